"""All sums and counts of a run, fed layer by layer."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from probe.config import RESIDUALS, Coefficient, Weight
from probe.correlation import (
    BatchShape,
    Correlation,
    Matmul,
    MostBytes,
    Sums,
    make_sums,
    rank,
    rank_bytes,
)
from probe.errors import UserError
from probe.examples.batches import Batch, Tensors
from probe.examples.partition import MatrixSpec
from probe.examples.request import Request
from probe.extraction.circular_shift import draw_shifts, shift, shift_bytes
from probe.extraction.extracted import Extracted, ExtractedMatrix
from probe.extraction.first_token import FirstTokenNorm
from probe.extraction.out_of_memory import Journal
from probe.extraction.peaks import Peaks
from probe.extraction.sums import LayerSums, PairSums, Place, placed
from probe.topology.reliability import correlate_entries

# Neurons over which every layer is compared with the mean over layers: a whole matrix per layer
# would cost more memory than the answer is worth.
SAMPLE = 48


class Accumulator:
    """The sums of every matrix, of its null models, and of a sample of every layer.

    Parameters
    ----------
    request : Request
        What to sum.
    n_neurons : int or mapping of int to int
        Neurons of a layer, or of each by its number.
    device : torch.device
        Where the sums live; it must have float64.
    place : callable, optional
        Returns where else the sums of some layers live, given these and the sums' bytes.

    Raises
    ------
    UserError
        If a matrix is of layers that have not the same number of neurons.
    """

    def __init__(
        self,
        request: Request,
        n_neurons: int | Mapping[int, int],
        device: torch.device,
        place: Place | None = None,
    ) -> None:
        self.request, self.device = request, device
        widths = n_neurons
        if isinstance(widths, int):
            widths = dict.fromkeys(request.layers, widths)
        _refuse_unequal(request, widths)
        self._widths = widths
        self._place = place or (lambda _layers, _size: device)
        self._journal = Journal()
        self._matmul: Matmul = request.config.runtime.matmul.value
        self._ranked = request.config.average.correlation is Coefficient.spearman
        within = [matrix for matrix in request.matrices if not matrix.pairs]
        std = request.config.average.std
        self.matrices = self._layer_sums("matrices", within, widths, std)
        joined = max(widths.values())
        self.pairs = PairSums(request.matrices, joined, self._place, self._journal, self._matmul)
        self.nulls = [
            self._layer_sums(f"null{repetition}", within, widths)
            for repetition in range(request.config.null.shifts)
        ]
        # Only layers of one width are compared.
        sample = np.random.default_rng(0).permutation(min(widths.values()))[:SAMPLE]
        self.sampled = torch.from_numpy(np.sort(sample)).to(device)
        layers = [layer for matrix in within for layer in _layers(matrix)]
        self.layers = self._layer_sums("layers", layers, dict.fromkeys(widths, len(sample)))
        self.first_token = FirstTokenNorm(request.layers, device)
        self.peaks = Peaks(request.matrices, widths, device)
        self._finite: dict[int, Tensor] = {}
        # Examples, tokens, batches that ran out of memory.
        self.counts = torch.zeros(3, dtype=torch.long)

    def _layer_sums(
        self, name: str, matrices: list[MatrixSpec], widths: Mapping[int, int], std: bool = False
    ) -> LayerSums:
        def make(scheme: str, layers: tuple[int, ...]) -> Sums:
            n_neurons = widths[layers[0]]
            empty = partial(make_sums, scheme, std, n_neurons, len(layers), matmul=self._matmul)
            return placed(empty, layers, self._place)

        return LayerSums(name, matrices, make, self._journal)

    def consume(self, batch: Batch, tensors: Tensors, layer: int, activations: Tensor) -> None:
        """Add one layer's activations of a batch to the sums that do not have them yet.

        If memory runs out, every sum has them whole or not at all; call `halve` then.

        Raises
        ------
        UserError
            If an activation is not finite, naming the example and the layer.
        """
        config, keep = self.request.config, tensors.keep
        if activations.device.type == "mps":
            # The formula needs float64, which MPS does not have.
            activations = activations.to(self.device)
        # A model can be spread over several devices.
        keep = keep.to(activations.device)
        # Not from `keep`, which may be on a GPU: the CPU would wait for it.
        tokens = torch.tensor(batch.n_counted(config.data.skip_first))
        by_token = config.average.weight is Weight.token
        weight = tokens.double() if by_token else torch.ones(len(tokens), dtype=torch.float64)
        # Shifting ranks is ranking what is shifted: each layer is ranked once, for all its sums.
        series = rank(activations, keep) if self._ranked else activations
        for sums in (self.matrices, self.pairs):
            for finite in sums.update(layer, batch.cell, series, keep, weight):
                self._finite[layer] = finite
        for repetition, null in enumerate(self.nulls):
            shifts = draw_shifts(
                config.null.seed, repetition, batch.members, tokens, activations.shape[-1]
            )
            shifted = shift(series, keep, shifts.to(series.device))
            null.update(layer, batch.cell, shifted, keep, weight)
        if self.layers.sums:
            sampled = series[..., self.sampled.to(series.device)]
            self.layers.update(layer, batch.cell, sampled, keep, weight)
        if self._journal.todo(("peaks", layer)):
            attended = tensors.attended
            self.peaks.update(layer, batch.cell, batch.members, activations, keep, attended)
            self._journal.note(("peaks", layer))
        if config.site in RESIDUALS and self._journal.todo(layer):
            self.first_token.update(layer, activations, keep)
            self._journal.note(layer)
        if layer == self.request.layers[-1]:
            self._refuse_non_finite(batch)
            self.counts += torch.tensor([len(tokens), int(tokens.sum()), 0])
            self._journal.go_on()

    def halve(self, batch: Batch, rows: int) -> None:
        """Prepare for the batch to be repeated in two parts, the first of `rows` examples."""
        self._refuse_non_finite(batch)
        self._journal.halve(rows)

    def _refuse_non_finite(self, batch: Batch) -> None:
        """Check all layers at once: a GPU stands still while the CPU waits for its answer."""
        if not self._finite:  # no matrix needs these examples
            return
        layers = list(self._finite)
        finite = torch.stack([self._finite[layer].to(self.device) for layer in layers])
        for place, row in (~finite).nonzero()[:1].tolist():
            raise self.request.not_finite(batch.members[row], layers[place])
        self._finite.clear()

    def _parts(self) -> list[LayerSums | PairSums]:
        return [self.matrices, self.pairs, self.layers, *self.nulls]

    def state(self) -> dict[str, Tensor]:
        """Return all sums and counts by name."""
        state = {"counts": self.counts, "first_token": self.first_token.total}
        state |= self.peaks.state()
        for sums in self._parts():
            state |= sums.state()
        return state

    @property
    def nbytes(self) -> int:
        """Bytes of all sums and counts."""
        return sum(tensor.nbytes for tensor in [*self.state().values(), self.sampled])

    def most_bytes(self, batch: BatchShape, cell: int) -> MostBytes:
        """Return the most bytes that batches of a shape and cell take, see `Sums.most_bytes`."""
        widest = max(self._widths.values())
        series = [self.peaks.most_bytes(batch)]
        series += [shift_bytes(batch, widest)] if self.nulls else []
        series += [rank_bytes(batch, widest)] if self._ranked else []
        return MostBytes.of([*(sums.most_bytes(batch, cell) for sums in self._parts()), *series])

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the `state()` of another rank."""
        self.counts += state["counts"]
        self.first_token.merge(state["first_token"])
        self.peaks.merge(state)
        for sums in self._parts():
            sums.merge(state)

    def finish(self) -> Extracted:
        """Return the averages, once every example has been counted.

        Sums between layers are freed on the way.
        """
        examples, tokens, out_of_memory = self.counts.tolist()
        assert examples == self.request.n_examples, (
            f"{examples} examples were summed, not {self.request.n_examples}"
        )
        residual = self.request.config.site in RESIDUALS
        return Extracted(
            examples=examples,
            tokens=tokens,
            out_of_memory=out_of_memory,
            matrices={
                matrix.name: self._finish_pairs(matrix) if matrix.pairs else self._finish(matrix)
                for matrix in self.request.matrices
            },
            first_token_norm=self.first_token.total / examples if residual else None,
            peaks={matrix.name: self.peaks.of(matrix) for matrix in self.request.matrices},
        )

    def _finish(self, matrix: MatrixSpec) -> ExtractedMatrix:
        average, agreement = self.matrices.average(matrix), None
        halves = [
            in_single(self.matrices.average(replace(matrix, cells=[cell])))
            for cell in (matrix.cells if matrix.halves else [])
        ]
        if len(matrix.layers) > 1:
            sampled = self.sampled.to(average.matrix.device)
            whole = average.matrix[sampled][:, sampled]
            agreement = torch.tensor(
                [_agreement(self.layers.average(layer).matrix, whole) for layer in _layers(matrix)]
            )
        error = average.standard_error
        return ExtractedMatrix(
            average=in_single(average),
            standard_error=None if error is None else error.float(),
            halves=halves,
            nulls=[null.average(matrix).matrix.float() for null in self.nulls],
            agreement=agreement,
        )

    def _finish_pairs(self, matrix: MatrixSpec) -> ExtractedMatrix:
        """Average a matrix between two layers, or each block of the matrix of several."""
        averages = {
            pair: [in_single(average) for average in self.pairs.take(matrix, pair)]
            for pair in matrix.pairs
        }
        if matrix.kind == "full":
            return ExtractedMatrix(
                None, blocks={pair: block for pair, (block, *_) in averages.items()}
            )
        [(average, *halves)] = averages.values()
        return ExtractedMatrix(average, halves=halves)


def _refuse_unequal(request: Request, widths: Mapping[int, int]) -> None:
    for matrix in request.matrices:
        sizes = {widths[layer] for layer in matrix.layers}
        if len(sizes) > 1:
            raise UserError(
                f"{matrix.name} is of layers that have {', '.join(map(str, sorted(sizes)))} "
                "neurons, which cannot be averaged or joined; use layers=each"
            )


def _layers(matrix: MatrixSpec) -> list[MatrixSpec]:
    """Return the single layers of a mean over several."""
    return [replace(matrix, layers=[layer]) for layer in matrix.layers if len(matrix.layers) > 1]


def in_single(average: Correlation) -> Correlation:
    """Round a finished average to float32."""
    return Correlation(average.matrix.float(), average.undefined)


def _agreement(layer: Tensor, mean: Tensor) -> float:
    """Correlate a layer's entries with the mean's; NaN if either is constant."""
    upper = np.triu_indices(len(mean), k=1)
    r = correlate_entries(layer.cpu().numpy()[upper], mean.cpu().numpy()[upper])
    return float("nan") if r is None else r
