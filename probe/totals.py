"""Everything that a run sums up, fed layer by layer, and the counts beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from probe.batches import Batch, Tensors
from probe.cell_sums import CellSums, within
from probe.cells import Wanted
from probe.config import Site, Weight
from probe.correlation import Matmul, Sums, make_sums, pair_bytes, sums_bytes
from probe.journal import Journal
from probe.pair_sums import PairSums
from probe.reliability import correlate_entries
from probe.request import Request
from probe.shifts import draw_shifts, shift
from probe.sinks import FirstTokenNorm

# Neurons over which every layer is compared with the mean over layers: a matrix a layer would
# cost more memory than the answer is worth.
SAMPLE = 48
Place = Callable[[Sequence[int], int], torch.device]


class Totals:
    """The sums of every wanted matrix, of its nulls, and of a sample of every layer.

    Parameters
    ----------
    request : Request
        What to sum.
    n_neurons : int
        Neurons of a layer.
    device : torch.device
        Where the sums live; it must have float64.
    place : callable, optional
        Says where else the sums of some layers live, given these and the sums' bytes.
    """

    def __init__(
        self, request: Request, n_neurons: int, device: torch.device, place: Place | None = None
    ) -> None:
        self.request, self.device, self._n_neurons = request, device, n_neurons
        self._place = place or (lambda _layers, _size: device)
        alone = [matrix for matrix in request.wanted if not matrix.pairs]
        self.matrices = self._cell_sums(alone, n_neurons, request.config.average.std)
        self.pairs = PairSums(request.wanted, n_neurons, self._device_of_pair, self._matmul)
        self.nulls = [self._cell_sums(alone, n_neurons) for _ in range(request.config.null.shifts)]
        chosen = np.random.default_rng(0).permutation(n_neurons)[:SAMPLE]
        self.sampled = torch.from_numpy(np.sort(chosen)).to(device)
        layers = [layer for matrix in alone for layer in _layers(matrix)]
        self.layers = self._cell_sums(layers, len(chosen))
        self.first_token = FirstTokenNorm(request.layers, device)
        self._finite: dict[int, Tensor] = {}
        # Examples, tokens, and batches that ran out of memory.
        self.counts = torch.zeros(3, dtype=torch.long)
        self._journal = Journal()

    @property
    def _matmul(self) -> Matmul:
        matmul: Matmul = self.request.config.runtime.matmul.value
        return matmul

    def _cell_sums(self, wanted: list[Wanted], n_neurons: int, std: bool = False) -> CellSums:
        def make(scheme: str, layers: tuple[int, ...]) -> Sums:
            device = self._place(layers, sums_bytes(scheme, std, n_neurons, len(layers)))
            return make_sums(scheme, std, n_neurons, len(layers), device, self._matmul)

        return CellSums(wanted, make)

    def _device_of_pair(self, pair: tuple[int, int]) -> torch.device:
        # The later layer's: its series are there when they are added.
        return self._place(pair[1:], pair_bytes(self._n_neurons))

    def consume(self, batch: Batch, tensors: Tensors, layer: int, activations: Tensor) -> None:
        """Add one layer's activations of a batch, but where they have been added already.

        Where memory runs out every sum has them whole or not at all; `halve` is to be told.

        Raises
        ------
        UserError
            If an activation is not finite, naming the example and the layer.
        """
        config, keep = self.request.config, tensors.keep
        if activations.device.type == "mps":
            # The formula needs float64, which the model's device does not have.
            activations = activations.to(self.device)
        # A model can be spread over several devices.
        keep = keep.to(activations.device)
        # Not from `keep`, which may be on a GPU that would have to be waited for.
        tokens = torch.tensor([len(ids) - config.data.skip_first for ids in batch.ids])
        by_token = config.average.weight is Weight.token
        weight = tokens.double() if by_token else torch.ones(len(tokens), dtype=torch.float64)
        for sums in (self.matrices, self.pairs):
            for finite in sums.update(layer, batch.cell, activations, keep, weight):
                self._finite[layer] = finite
        for repetition, null in enumerate(self.nulls):
            shifts = draw_shifts(
                config.null.seed, repetition, batch.members, tokens, activations.shape[-1]
            )
            shifted = shift(activations, keep, shifts.to(activations.device))
            null.update(layer, batch.cell, shifted, keep, weight)
        if self.layers.sums:
            sampled = activations[..., self.sampled.to(activations.device)]
            self.layers.update(layer, batch.cell, sampled, keep, weight)
        if config.site is Site.residual and self._journal.todo(layer):
            self.first_token.update(layer, activations, keep)
            self._journal.note(layer)
        if layer == self.request.layers[-1]:
            self._refuse_non_finite(batch)
            self.counts += torch.tensor([len(tokens), int(tokens.sum()), 0])
            self._journal.go_on()
            for sums in self._parts().values():
                sums.go_on(batch.cell)

    def halve(self, batch: Batch, rows: int) -> None:
        """Hear that a batch ran out of memory: its first `rows` come again, then the others."""
        self._refuse_non_finite(batch)
        self._journal.halve()
        for sums in self._parts().values():
            sums.halve(batch.cell, rows)

    def _refuse_non_finite(self, batch: Batch) -> None:
        """Look at all layers at once: a GPU stands still while the CPU waits for its answer."""
        if not self._finite:  # no matrix needs a text between the views of a study
            return
        layers = list(self._finite)
        finite = torch.stack([self._finite[layer].to(self.device) for layer in layers])
        for place, row in (~finite).nonzero()[:1].tolist():
            raise self.request.not_finite(batch.members[row], layers[place])
        self._finite.clear()

    def _parts(self) -> dict[str, CellSums | PairSums]:
        nulls = {f"null{repetition}": null for repetition, null in enumerate(self.nulls)}
        return {"matrices": self.matrices, "pairs": self.pairs, "layers": self.layers, **nulls}

    def state(self) -> dict[str, Tensor]:
        """Return all sums and counts by name."""
        state = {"counts": self.counts, "first_token": self.first_token.total}
        for part, sums in self._parts().items():
            state |= {f"{part}/{name}": tensor for name, tensor in sums.state().items()}
        return state

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the `state()` of another rank."""
        self.counts += state["counts"]
        self.first_token.merge(state["first_token"])
        for part, sums in self._parts().items():
            sums.merge(within(state, f"{part}/"))

    def finish(self) -> dict[str, Tensor]:
        """Turn the sums into averages, once every example has been counted.

        Sums between layers are given up meanwhile.
        """
        examples, tokens, halved = self.counts
        assert examples == self.request.n_examples, (
            f"{examples} examples were summed, not {self.request.n_examples}"
        )
        result = {
            "examples": examples.clone(),
            "tokens": tokens.clone(),
            "out_of_memory": halved.clone(),
        }
        if self.request.config.site is Site.residual:
            result["first_token"] = self.first_token.total / examples
        for matrix in self.request.wanted:
            found = self._finish_pairs(matrix) if matrix.pairs else self._finish(matrix)
            result |= {f"{matrix.name}/{name}": tensor for name, tensor in found.items()}
        return result

    def _finish(self, matrix: Wanted) -> dict[str, Tensor]:
        average = self.matrices.average(matrix)
        found = {"matrix": average.matrix.float(), "undefined": average.undefined}
        if average.standard_error is not None:
            found["standard_error"] = average.standard_error.float()
        for number, cell in enumerate(matrix.cells if matrix.halves else []):
            half = self.matrices.average(replace(matrix, cells=[cell]))
            found |= {f"half{number}": half.matrix.float(), f"undefined{number}": half.undefined}
        for repetition, null in enumerate(self.nulls):
            shifted = null.average(matrix)
            found[f"null{repetition}"] = shifted.matrix.float()
        if len(matrix.layers) > 1:
            sampled = self.sampled.to(average.matrix.device)
            whole = average.matrix[sampled][:, sampled]
            found["agreement"] = torch.tensor(
                [_agreement(self.layers.average(layer).matrix, whole) for layer in _layers(matrix)]
            )
        return found

    def _finish_pairs(self, matrix: Wanted) -> dict[str, Tensor]:
        """Average a matrix between layers, or each block of the matrix of several."""
        found = {}
        for pair in matrix.pairs:
            block = "" if matrix.kind == "cross" else f"block/{pair[0]}-{pair[1]}/"
            average, *halves = self.pairs.take(matrix, pair)
            for key, one in (("", average), *((str(n), half) for n, half in enumerate(halves))):
                name = "half" if key else "matrix"
                found[f"{block}{name}{key}"] = one.matrix.float()
                found[f"{block}undefined{key}"] = one.undefined
        return found


def _layers(matrix: Wanted) -> list[Wanted]:
    """Take apart a mean over several layers."""
    return [replace(matrix, layers=[layer]) for layer in matrix.layers if len(matrix.layers) > 1]


def _agreement(layer: Tensor, mean: Tensor) -> float:
    """Correlate a layer's entries with the mean's; not a number where either is constant."""
    upper = np.triu_indices(len(mean), k=1)
    found = correlate_entries(layer.cpu().numpy()[upper], mean.cpu().numpy()[upper])
    return float("nan") if found is None else found
