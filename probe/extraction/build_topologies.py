"""From extracted matrices to topologies with their reliability."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from probe.config import Weight, data_name, model_name
from probe.correlation import Correlation
from probe.examples.partition import MatrixSpec
from probe.examples.request import Request
from probe.extraction.block_matrix import join_blocks
from probe.extraction.extracted import Extracted, ExtractedMatrix
from probe.extraction.kept_tokens import LOST, Kept
from probe.measures import basic, cross_basic, cross_part
from probe.topology import Topology, matrix_file
from probe.topology.reliability import Null, Reliability, correlate_entries, white_noise


def build_topologies(
    request: Request, extracted: Extracted, run: Path | None = None
) -> list[Topology]:
    """Make the topologies of a request.

    Parameters
    ----------
    request : Request
        What was extracted.
    extracted : Extracted
        Its averages.
    run : Path, optional
        Folder into which a matrix of several layers' neurons is written, block by block.
    """
    return [
        _topology(request, matrix, extracted.matrices[matrix.name], run)
        for matrix in request.matrices
    ]


def _topology(
    request: Request, matrix: MatrixSpec, extracted: ExtractedMatrix, run: Path | None
) -> Topology:
    config = request.config
    tokens = np.array(
        [
            n_tokens
            for batch in request.batches
            if batch.cell in matrix.cells
            for n_tokens in batch.n_counted(config.data.skip_first)
        ]
    )
    error = extracted.standard_error
    if extracted.average is None:
        array, undefined = _joined(matrix, extracted.blocks, run)
    else:
        array = to_array(extracted.average.matrix)
        undefined = to_numbers(extracted.average.undefined)
    return Topology(
        matrix=array,
        name=matrix.name,
        layers=tuple(matrix.layers),
        scheme=matrix.scheme,
        weight=config.average.weight.value,
        part=matrix.part,
        parts=matrix.parts,
        examples=len(tokens),
        undefined=tuple(undefined),
        site=config.site.value,
        model=model_name(config.model),
        data=data_name(config.data),
        subject=config.subject.name if config.subject else None,
        init=config.init.kind.value,
        standard_error=None if error is None else to_array(error),
        reliability=reliability_of(config.average.weight, matrix, extracted, tokens),
        kind=matrix.kind,
        correlation=config.average.correlation.value,
        without_sinks=matrix.drops,
    )


def _joined(
    matrix: MatrixSpec, blocks: dict[tuple[int, int], Correlation], run: Path | None
) -> tuple[NDArray[np.float32], list[int]]:
    """Join the blocks between layers, numbering undefined neurons across the layers."""
    file = None if run is None else run / matrix_file(matrix.name)
    joined = join_blocks({pair: block.matrix for pair, block in blocks.items()}, file)
    own = [blocks[layer, layer].undefined.chunk(2)[0] for layer in sorted(matrix.layers)]
    return joined, to_numbers(torch.cat(own))


def reliability_of(
    weight: Weight,
    matrix: MatrixSpec,
    extracted: ExtractedMatrix,
    tokens: NDArray[np.int64],
) -> Reliability:
    """Return what is known of the noise of a matrix.

    Parameters
    ----------
    weight : Weight
        What is weighted equally.
    matrix : MatrixSpec
        The matrix.
    extracted : ExtractedMatrix
        Its average, halves and nulls.
    tokens : ndarray of int, shape (n_examples,)
        Tokens of each example.
    """
    weights = tokens.astype(float) if weight is Weight.token else np.ones(len(tokens))
    agreement = [] if extracted.agreement is None else extracted.agreement.tolist()
    undefined = [] if extracted.average is None else to_numbers(extracted.average.undefined)
    nulls = [_entries(null, undefined) for null in extracted.nulls]
    split_half, halves = _halves(extracted.halves, matrix.kind)
    total, noise = (
        int(tokens.sum()),
        white_noise(np.maximum(tokens - LOST[matrix.scheme], 1), weights),
    )
    dropped, left_out = {}, {}
    if extracted.kept is not None:
        kept = Kept.of_tensor(extracted.kept)
        # Layers are read as one example, so their noise does not average out.
        noise = float(kept.noise.mean())
        dropped, left_out = (
            {str(layer): int(n) for layer, n in zip(matrix.layers, counts, strict=True) if n}
            for counts in (kept.dropped, kept.left_out)
        )
        total -= round(sum(dropped.values()) / len(matrix.layers))
    return Reliability(
        tokens=total,
        noise=noise,
        split_half=split_half,
        halves=halves,
        layer_agreement={
            str(layer): round(value, 4)
            for layer, value in zip(matrix.layers, agreement, strict=False)
            if np.isfinite(value)
        },
        null=Null.of(nulls) if nulls else None,
        dropped=dropped,
        left_out=left_out,
        strongest_share=_number(extracted.strongest_share),
    )


def _number(value: Tensor | None) -> float | None:
    return None if value is None or value.isnan() else float(value)


def _halves(halves: list[Correlation], kind: str) -> tuple[float | None, list[dict[str, float]]]:
    """Correlate the two halves' entries, and summarise each half."""
    if not halves:
        return None, []
    undefined = [to_numbers(half.undefined) for half in halves]
    # A neuron that is constant in one half cannot be compared.
    either = sorted({*undefined[0], *undefined[1]})
    if kind == "cross":
        first, second = (
            cross_part(to_array(half.matrix), either).ravel().astype(float) for half in halves
        )
    else:
        first, second = (_entries(half.matrix, either) for half in halves)
    summary = cross_basic if kind == "cross" else basic
    summaries = [
        summary(to_array(half.matrix), neurons)
        for half, neurons in zip(halves, undefined, strict=True)
    ]
    return correlate_entries(first, second), summaries


def to_array(tensor: Tensor) -> NDArray[np.float32]:
    """Bring a matrix to the host."""
    array: NDArray[np.float32] = tensor.cpu().numpy()
    return array


def to_numbers(undefined: Tensor) -> list[int]:
    """List the undefined neurons."""
    numbers: list[int] = undefined.nonzero().flatten().tolist()
    return numbers


def _entries(matrix: Tensor, left_out: list[int]) -> NDArray[np.float64]:
    """Return r of every pair of neurons, without those that are left out."""
    rest = np.delete(np.arange(len(matrix)), left_out)
    square = to_array(matrix)[np.ix_(rest, rest)]
    pairs: NDArray[np.float64] = square[np.tri(len(rest), k=-1, dtype=bool)].astype(np.float64)
    return pairs
