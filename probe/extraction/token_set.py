"""The sums over one choice of tokens: all that count, or those without norm outliers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from probe.config import Config
from probe.correlation import Correlation, Matmul, Sums, make_sums
from probe.examples.batches import Batch
from probe.examples.partition import MatrixSpec
from probe.extraction.circular_shift import draw_shifts, shift
from probe.extraction.extracted import ExtractedMatrix
from probe.extraction.out_of_memory import Journal
from probe.extraction.sums import LayerSums, Place, placed
from probe.topology.reliability import correlate_entries

# Neurons over which every layer is compared with the mean over layers: a whole matrix per layer
# would cost more memory than the answer is worth.
SAMPLE = 48
# Neurons over which the share of the strongest tokens is taken: of more a random sample, which
# costs 2 MB of sums instead of as much as the matrix.
SHARED = 512


@dataclass(frozen=True)
class Series:
    """One layer's activations of a batch, and what is counted of them.

    Attributes
    ----------
    activations : Tensor, shape (n_examples, n_tokens, n_neurons)
        Activations, padding included.
    keep : Tensor of bool, shape (n_examples, n_tokens)
        Tokens that count.
    tokens : Tensor of int64, shape (n_examples,)
        Their number.
    weight : Tensor of float64, shape (n_examples,)
        Weight of every example.
    strongest : Tensor of int64, shape (n_examples,)
        Place of the token with the largest norm among those that count.
    """

    activations: Tensor
    keep: Tensor
    tokens: Tensor
    weight: Tensor
    strongest: Tensor


class TokenSet:
    """The sums of matrices within layers, of their null models, and of a sample of every layer.

    Parameters
    ----------
    name : str
        Begins the names of its sums, which share a journal with others.
    matrices : sequence of MatrixSpec
        Matrices to make, none between layers.
    config : Config
        Scheme, precision and null models.
    widths : mapping of int to int
        Neurons of each layer.
    device : torch.device
        Where the numbers of the sampled neurons live.
    place : callable
        Returns where the sums of some layers live, given these and the sums' bytes.
    journal : Journal
        Finished steps of the current batch.
    """

    def __init__(
        self,
        name: str,
        matrices: Sequence[MatrixSpec],
        config: Config,
        widths: Mapping[int, int],
        device: torch.device,
        place: Place,
        journal: Journal,
    ) -> None:
        self._place, self._journal, self._config = place, journal, config
        self._matmul: Matmul = config.runtime.matmul.value
        std, shifts = config.average.std, config.null.shifts
        self.matrices = self._layer_sums(f"{name}matrices", matrices, widths, std, shared=True)
        # The share is that in the mean of r, which other averages do not hold.
        others = [one for one in matrices if std or one.scheme != "mean"]
        sampled = {layer: min(n, SHARED) for layer, n in widths.items()}
        means = [replace(one, scheme="mean") for one in others]
        self.shares = self._layer_sums(f"{name}shares", means, sampled, shared=True)
        self.nulls = [
            self._layer_sums(f"{name}null{repetition}", matrices, widths)
            for repetition in range(shifts)
        ]
        # Only layers of one width are compared.
        self.sampled = neurons_of(min(widths.values()), SAMPLE).to(device)
        self.shared = {n: neurons_of(n, SHARED).to(device) for n in {*widths.values()}}
        layers = [layer for matrix in matrices for layer in _layers(matrix)]
        self.layers = self._layer_sums(
            f"{name}layers", layers, dict.fromkeys(widths, len(self.sampled))
        )

    def _layer_sums(
        self, name: str, matrices: Sequence[MatrixSpec], widths: Mapping[int, int],
        std: bool = False, *, shared: bool = False,
    ) -> LayerSums:  # fmt: skip
        def make(scheme: str, layers: tuple[int, ...]) -> Sums:
            n_neurons = widths[layers[0]]
            sample = neurons_of(n_neurons, SHARED) if shared else None
            empty = partial(
                make_sums, scheme, std, n_neurons, len(layers), matmul=self._matmul, sample=sample
            )
            return placed(empty, layers, self._place)

        return LayerSums(name, matrices, make, self._journal)

    def update(self, layer: int, batch: Batch, series: Series) -> Iterator[Tensor]:
        """Add one layer of a batch; yield which examples are finite, for every sum of matrices."""
        x, keep, weight = series.activations, series.keep, series.weight
        yield from self.matrices.update(layer, batch.cell, x, keep, weight, series.strongest)
        if self.shares.sums:
            shared = x[..., self.shared[x.shape[-1]].to(x.device)]
            self.shares.update(layer, batch.cell, shared, keep, weight, series.strongest)
        null, neurons = self._config.null, x.shape[-1]
        for repetition, sums in enumerate(self.nulls):
            shifts = draw_shifts(null.seed, repetition, batch.members, series.tokens, neurons)
            shifted = shift(x, keep, shifts.to(x.device))
            sums.update(layer, batch.cell, shifted, keep, weight)
        if self.layers.sums:
            self.layers.update(layer, batch.cell, x[..., self.sampled.to(x.device)], keep, weight)

    @property
    def parts(self) -> list[LayerSums]:
        """All its sums."""
        return [self.matrices, self.shares, self.layers, *self.nulls]

    def finish(self, matrix: MatrixSpec) -> ExtractedMatrix:
        """Return the average of a matrix, with what its noise is estimated from."""
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
        error, share = average.standard_error, average.strongest_share
        if share is None:
            share = self.shares.average(replace(matrix, scheme="mean")).strongest_share
        return ExtractedMatrix(
            average=in_single(average),
            standard_error=None if error is None else error.float(),
            halves=halves,
            nulls=[null.average(matrix).matrix.float() for null in self.nulls],
            agreement=agreement,
            strongest_share=torch.tensor(share, dtype=torch.float64),
        )


def neurons_of(n_neurons: int, most: int) -> Tensor:
    """Return a fixed random sample of neurons, all if there are no more."""
    sample = np.random.default_rng(0).permutation(n_neurons)[:most]
    return torch.from_numpy(np.sort(sample))


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
