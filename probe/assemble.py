"""From what the ranks return to topologies, with what is known of their noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from probe.cell_sums import within
from probe.cells import Wanted
from probe.config import AverageConfig, Weight, data_name, model_name
from probe.measures import basic
from probe.reliability import Null, Reliability, correlate_entries, white_noise
from probe.request import Request
from probe.topology import Topology

# Degrees of freedom of a correlation that its tokens do not give: of r, and of Fisher's z.
_LOST = {"mean": 1, "fisher": 3, "pooled": 0}


def assemble(request: Request, result: dict[str, Tensor]) -> list[Topology]:
    """Make the topologies that were wanted.

    Parameters
    ----------
    request : Request
        What was extracted.
    result : dict of str to Tensor
        What `extract` returned on rank 0.
    """
    return [
        _topology(request, matrix, within(result, f"{matrix.name}/")) for matrix in request.wanted
    ]


def _topology(request: Request, matrix: Wanted, found: dict[str, Tensor]) -> Topology:
    config = request.config
    tokens = np.array(
        [
            len(ids) - config.data.skip_first
            for batch in request.batches
            if batch.cell in matrix.cells
            for ids in batch.ids
        ]
    )
    error = found.get("standard_error")
    return Topology(
        matrix=_array(found["matrix"]),
        name=matrix.name,
        layers=tuple(matrix.layers),
        scheme=matrix.scheme,
        weight=config.average.weight.value,
        part=matrix.part,
        parts=matrix.parts,
        examples=len(tokens),
        undefined=tuple(_numbers(found["undefined"])),
        site=config.site.value,
        model=model_name(config.model),
        data=data_name(config.data),
        subject=config.subject.name if config.subject else None,
        init=config.init.kind.value,
        standard_error=None if error is None else _array(error),
        reliability=_reliability(config.average, matrix, found, tokens),
    )


def _reliability(
    average: AverageConfig, matrix: Wanted, found: dict[str, Tensor], tokens: NDArray[np.int64]
) -> Reliability:
    weights = tokens.astype(float) if average.weight is Weight.token else np.ones(len(tokens))
    agreement = found["agreement"].tolist() if "agreement" in found else []
    undefined = _numbers(found["undefined"])
    nulls = [_entries(found[key], undefined) for key in sorted(found) if key.startswith("null")]
    split_half, halves = _halves(found) if matrix.halves else (None, [])
    return Reliability(
        tokens=int(tokens.sum()),
        noise=white_noise(np.maximum(tokens - _LOST[matrix.scheme], 1), weights),
        split_half=split_half,
        halves=halves,
        layer_agreement={
            str(layer): round(value, 4)
            for layer, value in zip(matrix.layers, agreement, strict=False)
            if np.isfinite(value)
        },
        null=Null.of(nulls) if nulls else None,
    )


def _halves(found: dict[str, Tensor]) -> tuple[float | None, list[dict[str, float]]]:
    """Correlate the two halves' entries, and sum up each half."""
    undefined = [_numbers(found[f"undefined{half}"]) for half in (0, 1)]
    # Neurons that are constant in one half have nothing to be compared with there.
    either = sorted({*undefined[0], *undefined[1]})
    first, second = (_entries(found[f"half{half}"], either) for half in (0, 1))
    numbers = [basic(_array(found[f"half{half}"]), undefined[half]) for half in (0, 1)]
    return correlate_entries(first, second), numbers


def _array(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.cpu().numpy()
    return array


def _numbers(undefined: Tensor) -> list[int]:
    numbers: list[int] = undefined.nonzero().flatten().tolist()
    return numbers


def _entries(matrix: Tensor, left_out: list[int]) -> NDArray[np.float64]:
    """Return r of every pair of different neurons, but for those that are left out."""
    kept = np.delete(np.arange(len(matrix)), left_out)
    square = _array(matrix)[np.ix_(kept, kept)]
    pairs: NDArray[np.float64] = square[np.tri(len(kept), k=-1, dtype=bool)].astype(np.float64)
    return pairs
