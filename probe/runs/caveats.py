"""What limits the results of a run: one line for each kind, however many matrices it concerns."""

import logging
from collections import defaultdict
from collections.abc import Sequence

from probe.measures import Measures
from probe.system.logs import plural
from probe.topology import Topology

logger = logging.getLogger(__name__)
# Below this split-half r, more than half of a matrix's variance is noise.
_UNRELIABLE = 0.5
# Constant neurons, and topologies, named in a line.
_NAMED, _NAMED_TOPOLOGIES = 8, 3
Measured = Sequence[tuple[Topology, Measures]]


def log_caveats(measured: Measured) -> None:
    """Log what never varied, what is noise, how layers agree, and what was left out."""
    _log_constant(measured)
    _log_unreliable(measured)
    _log_agreement(measured)
    _log_skipped(measured)


def _log_constant(measured: Measured) -> None:
    found = [topology for topology, _ in measured if topology.undefined]
    if not found:
        return
    neurons = found[0].undefined
    named = ", ".join(map(str, neurons[:_NAMED])) + " …" * (len(neurons) > _NAMED)
    if len(found) == 1:
        logger.warning(
            "%s: %s never varied (%s); the rows are 0",
            found[0].name, plural(len(neurons), "neuron"), named,
        )  # fmt: skip
        return
    counts = [len(topology.undefined) for topology in found]
    logger.warning(
        "neurons never varied in %d of %d matrices, %s (%s: %s); their rows are 0",
        len(found), len(measured), _span(min(counts), max(counts), "d"), found[0].name, named,
    )  # fmt: skip


def _log_unreliable(measured: Measured) -> None:
    halves = {
        topology.name: topology.reliability.split_half
        for topology, _ in measured
        if topology.reliability is not None and topology.reliability.split_half is not None
    }
    low = {name: r for name, r in halves.items() if r < _UNRELIABLE}
    if len(low) == 1:
        ((name, r),) = low.items()
        logger.warning(
            "%s: split-half r is only %.2f: much of this matrix is noise; use more or longer "
            "examples", name, r,
        )  # fmt: skip
    elif low:
        logger.warning(
            "split-half r is below %g in %d of %d matrices, %s (%s): much of them is noise; use "
            "more or longer examples",
            _UNRELIABLE, len(low), len(halves), _span(min(low.values()), max(low.values()), ".2f"),
            _names(list(low)),
        )  # fmt: skip


def _log_agreement(measured: Measured) -> None:
    """Say how far means over layers stand for their layers."""
    found = [
        (r, layer, topology.name)
        for topology, _ in measured
        if topology.reliability is not None
        for layer, r in topology.reliability.layer_agreement.items()
    ]
    if not found:
        return
    (least, low, _), (most, high, _) = min(found), max(found)
    names = list(dict.fromkeys(name for _, _, name in found))
    logger.info(
        "%s: the correlations of single layers agree with this mean at r = %.2f (layer %s) to "
        "%.2f (layer %s), on a sample of neurons",
        _names(names), least, low, most, high,
    )  # fmt: skip


def _log_skipped(measured: Measured) -> None:
    skipped: dict[str, dict[str, str]] = defaultdict(dict)
    for topology, measures in measured:
        for what, why in measures.skipped.items():
            skipped[what][topology.name] = why
    for what, reasons in skipped.items():
        first = next(iter(reasons.values()))
        others = " and the like" * (len(set(reasons.values())) > 1)
        logger.info("%s: %s left out: %s%s", _names(list(reasons)), what, first, others)


def _names(names: Sequence[str]) -> str:
    """Name a few topologies, or the first and the last of many, and how many there are.

    Examples
    --------
    >>> _names(["layer_0", "layer_1"]), _names([f"layer_{i}" for i in range(18)])
    ('layer_0, layer_1', 'layer_0 to layer_17, 18 in all')
    """
    if len(names) <= _NAMED_TOPOLOGIES:
        return ", ".join(names)
    return f"{names[0]} to {names[-1]}, {len(names)} in all"


def _span(low: float, high: float, form: str) -> str:
    """Return two numbers as a range, or one if they look alike."""
    return " to ".join(dict.fromkeys([format(low, form), format(high, form)]))
