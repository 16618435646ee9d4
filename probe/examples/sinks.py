"""Which matrices of a run are made without tokens whose norm is an outlier."""

from collections.abc import Sequence
from dataclasses import replace

from probe.config import Sinks
from probe.examples.partition import MatrixSpec
from probe.topology import WITHOUT_SINKS


def with_sinks(matrices: Sequence[MatrixSpec], sinks: Sinks) -> list[MatrixSpec]:
    """Return the matrices as they are, without sinks, or both.

    Examples
    --------
    >>> matrix = MatrixSpec("layer_3_part1", [3], [0])
    >>> [(m.name, m.drops) for m in with_sinks([matrix], Sinks.both)]
    [('layer_3_part1', False), ('layer_3_without_sinks_part1', True)]
    """
    if sinks is Sinks.drop:
        return [replace(matrix, drops=True) for matrix in matrices]
    if sinks is not Sinks.both:
        return list(matrices)
    dropping = [replace(one, name=_without(one.name), drops=True) for one in matrices]
    return [*matrices, *dropping]


def _without(name: str) -> str:
    group, part, number = name.partition("_part")
    return f"{group}{WITHOUT_SINKS}{part}{number}"
