"""The tokens on which every neuron is largest: hubs are only known after the pass."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from probe.correlation import BatchShape, MostBytes
from probe.examples.batches import Batch
from probe.examples.partition import MatrixSpec

# Tokens kept of a neuron, each of another text.
MOST = 5
_HALF = 32  # bits of each of the two numbers in a key
_LOW = (1 << _HALF) - 1


class Peak(NamedTuple):
    """A token of a text on which a neuron is larger than on its other tokens.

    Attributes
    ----------
    value : float
        The activation, of either sign.
    layer : int
        Layer in which it was read.
    example : int
        Number of the text.
    position : int
        Number of the token in the text, from 0.
    """

    value: float
    layer: int
    example: int
    position: int


class Peaks:
    """For every neuron of each layer the texts in which it is largest, by |activation|.

    A text has one token: the one on which the neuron is largest, the first of equal ones. Of texts
    in which it is equally large those of the smallest numbers are kept, so that the result depends
    neither on batches nor on ranks.

    Parameters
    ----------
    matrices : iterable of MatrixSpec
        Matrices whose neurons may be hubs; those between two layers have none.
    widths : mapping of int to int
        Neurons of every layer.
    device : torch.device
        Where the numbers live.

    Attributes
    ----------
    kept : dict of str to Tensor of int64, shape (2, n_neurons, 5)
        By whether norm outliers are dropped, layer and cell of texts, the largest first: keys,
        whose upper half is |activation| as a float32 and whose lower half falls with the number of
        the text; and twice the token's position, plus 1 where the activation is negative. Keys
        below 0 are empty.
    """

    def __init__(
        self, matrices: Iterable[MatrixSpec], widths: Mapping[int, int], device: torch.device
    ) -> None:
        places = {
            (matrix.drops, layer, cell)
            for matrix in matrices
            if matrix.kind != "cross"
            for layer in matrix.layers
            for cell in matrix.cells
        }
        self.kept = {
            _place(*place): torch.full(
                (2, widths[place[1]], MOST), -1, dtype=torch.long, device=device
            )
            for place in sorted(places)
        }
        self._widest = max((widths[layer] for _, layer, _ in places), default=0)

    def update(
        self,
        layer: int,
        batch: Batch,
        activations: Tensor,
        keep: Tensor,
        attended: Tensor,
        drops: bool = False,
    ) -> None:
        """Add one layer's activations of a batch.

        Parameters
        ----------
        layer : int
            Their layer.
        batch : Batch
            Says the numbers of the texts and their cell.
        activations : Tensor, shape (n_examples, n_tokens, n_neurons)
            Activations, in any floating type.
        keep, attended : Tensor of bool, shape (n_examples, n_tokens)
            Tokens that count, and those that are no padding.
        drops : bool
            Whether tokens whose norm is an outlier do not count.
        """
        place = _place(drops, layer, batch.cell)
        if place not in self.kept:
            return
        size = activations.abs()
        # On a GPU asking whether there is padding costs more than masking none.
        if keep.device.type != "cpu" or not keep.all():
            size.masked_fill_(~keep.unsqueeze(-1), -1)
        most, at = size.max(dim=1)
        negative = activations.gather(1, at.unsqueeze(1)).squeeze(1) < 0
        numbers = torch.tensor(batch.members, device=most.device).unsqueeze(1)
        # The bits of floats that are not negative are in the order of the floats.
        keys = (most.float().view(torch.int32).long() << _HALF) | (_LOW - numbers)
        start = attended.to(at.device).int().argmax(dim=1, keepdim=True)
        found = torch.stack([keys.T, (2 * (at - start) + negative).T])
        self.kept[place] = _largest(self.kept[place], found.to(self.kept[place].device))

    def most_bytes(self, batch: BatchShape) -> MostBytes:
        """Return the most bytes that `update` takes: |activations|, and what is found in a text."""
        return MostBytes(update=(4 * batch.length + 96) * batch.rows * self._widest)

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add those of other texts."""
        for place, kept in self.kept.items():
            self.kept[place] = _largest(kept, state[place].to(kept.device))

    def state(self) -> dict[str, Tensor]:
        """Return what is kept by name."""
        return dict(self.kept)

    def of(self, matrix: MatrixSpec) -> dict[int, Tensor]:
        """Return what is kept by layer, over all texts of a matrix."""
        found = {}
        for layer in matrix.layers if matrix.kind != "cross" else []:
            first, *others = (self.kept[_place(matrix.drops, layer, c)] for c in matrix.cells)
            for other in others:
                first = _largest(first, other)
            found[layer] = first
        return found


def _place(drops: bool, layer: int, cell: int) -> str:
    return f"{'without/' if drops else ''}peaks/{layer}/{cell}"


def _largest(one: Tensor, other: Tensor) -> Tensor:
    """Keep the largest keys of two, and what belongs to them."""
    keys, places = torch.cat([one, other], dim=2)
    keys, chosen = keys.topk(MOST, dim=1)
    return torch.stack([keys, places.gather(1, chosen)])


def read_peaks(kept: Tensor, layer: int, neuron: int) -> Iterator[Peak]:
    """Read what `Peaks` has kept of a neuron of a layer, the largest first."""
    for key, place in kept[:, neuron].T.tolist():
        if key >= 0:
            bits = torch.tensor(key >> _HALF, dtype=torch.int32)
            value = float(bits.view(torch.float32)) * (-1 if place % 2 else 1)
            yield Peak(value, layer, _LOW - (key & _LOW), place // 2)
