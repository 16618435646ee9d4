"""The scan's state: for every unit the texts that activate it most, and a sample of random ones."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.neuron_graphs.unit import Unit

# Units whose texts are merged at a time.
_SOME = 4096


@dataclass(frozen=True, eq=False)
class Columns:
    """Units by layer, as columns of activations.

    Attributes
    ----------
    layer, neuron, sign : ndarray of int64, shape (n_units,)
        Of every unit, in their order.
    """

    layer: NDArray[np.int64]
    neuron: NDArray[np.int64]
    sign: NDArray[np.int64]

    @classmethod
    def of(cls, units: list[Unit]) -> "Columns":
        """Return the columns of units in ascending order."""
        assert units == sorted(units), "units are in order"
        rows = np.array([[u.layer, u.neuron, u.sign] for u in units], np.int64).reshape(-1, 3)
        return cls(*rows.T)

    def __len__(self) -> int:
        """Count the units."""
        return len(self.layer)

    def of_layer(self, layer: int) -> slice:
        """Return where the units of a layer are."""
        first, last = np.searchsorted(self.layer, [layer, layer + 1])
        return slice(int(first), int(last))


class TopTexts:
    """The texts with the largest activations of every unit, at most one of a document.

    Of equal ones the lowest document is kept. Nothing depends on the order in which texts come, so
    that ranks and sessions add up to the same, and a text that comes twice counts once.

    Parameters
    ----------
    columns : Columns
        The units.
    number : int
        Texts of every unit.
    length : int
        Tokens of the longest text.
    sampled : mapping of int to slice
        Where the activations of texts that are drawn at random are kept, by example.

    Attributes
    ----------
    values : Tensor of float32, shape (n_units, number)
        Largest activations, −∞ where there is no text.
    documents, examples : Tensor of int64, shape (n_units, number)
        Negative where there is no text.
    rows : Tensor of float32, shape (n_units, number, length)
        Activations of the texts.
    sample : Tensor of float16, shape (n_units, n_sampled)
        Activations in random texts, NaN where they have not been read.
    counts : Tensor of int64, shape (1,)
        Batches that were read in parts.
    """

    def __init__(
        self,
        columns: Columns,
        number: int,
        length: int,
        sampled: Mapping[int, slice],
    ) -> None:
        self.columns, self.sampled = columns, dict(sampled)
        n_sampled = max((part.stop for part in sampled.values()), default=0)
        shape = (len(columns), number)
        self.values = torch.full(shape, -torch.inf)
        # Empty places are documents of their own, so that they are not taken for one document.
        self.documents = torch.arange(-number, 0).repeat(len(columns), 1)
        self.examples = torch.full(shape, -1)
        self.rows = torch.zeros(*shape, length)
        self.sample = torch.full((len(columns), n_sampled), torch.nan, dtype=torch.float16)
        self.counts = torch.zeros(1, dtype=torch.long)

    @staticmethod
    def bytes_needed(n_units: int, number: int, length: int, n_sampled: int) -> int:
        """Return the bytes of the state."""
        return n_units * (number * (4 * length + 20) + 2 * n_sampled)

    def state(self) -> dict[str, Tensor]:
        """Return the state by name."""
        return {
            "values": self.values, "documents": self.documents, "examples": self.examples,
            "rows": self.rows, "sample": self.sample, "counts": self.counts,
        }  # fmt: skip

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the `state()` of another rank or session."""
        for first in range(0, len(self.columns), _SOME):
            part = slice(first, first + _SOME)
            unit, place = (state["examples"][part] >= 0).nonzero(as_tuple=True)
            values, documents, examples, rows = (
                state[name][part][unit, place]
                for name in ("values", "documents", "examples", "rows")
            )
            self._insert(unit.numpy() + first, values, documents, examples, rows)
        unread = self.sample.isnan()
        self.sample[unread] = state["sample"][unread]
        self.counts += state["counts"]

    def add(
        self, layer: int, activations: Tensor, keep: Tensor, members: list[int], of: Tensor
    ) -> None:
        """Add a layer's activations of a batch.

        Parameters
        ----------
        layer : int
            The layer.
        activations : Tensor, shape (n_examples, n_tokens, n_neurons)
            Activations, padding included.
        keep : Tensor of bool, shape (n_examples, n_tokens)
            Tokens that count.
        members : list of int
            Numbers of the examples.
        of : Tensor of int64, shape (n_examples,)
            Their documents.
        """
        part = self.columns.of_layer(layer)
        device = activations.device
        neuron = torch.from_numpy(self.columns.neuron[part]).to(device)
        sign = torch.from_numpy(self.columns.sign[part]).to(device)
        own = activations[:, :, neuron].float() * sign
        for row, member in enumerate(members):
            where = self.sampled.get(member)
            if where is not None:
                length = where.stop - where.start
                self.sample[part, where] = own[row, :length].T.half().cpu()
        peak = own.masked_fill(~keep.to(device)[:, :, None], -torch.inf).amax(dim=1).T
        least = self.values[part].amin(dim=1).to(device)
        # Equal ones too: theirs may be the lower document.
        unit, at = ((peak >= least[:, None]) & (peak > 0)).nonzero(as_tuple=True)
        text = at.cpu()
        self._insert(
            unit.cpu().numpy() + part.start,
            peak[unit, at].cpu(), of[text], torch.tensor(members)[text], own[at, :, unit].cpu(),
        )  # fmt: skip

    def _insert(
        self,
        unit: NDArray[np.int64],
        values: Tensor,
        documents: Tensor,
        examples: Tensor,
        rows: Tensor,
    ) -> None:
        """Keep the best of what is held and what is given, each with its unit."""
        if not len(unit):
            return
        touched, number = np.unique(unit), self.values.shape[1]
        n_held = len(touched) * number
        of = np.concatenate([np.repeat(touched, number), unit])
        value = np.concatenate([self.values[touched].numpy().ravel(), values.numpy()])
        document = np.concatenate([self.documents[touched].numpy().ravel(), documents.numpy()])
        example = np.concatenate([self.examples[touched].numpy().ravel(), examples.numpy()])
        # The best of every document, of these the best of every unit.
        order = np.lexsort((example, -value, document, of))
        again = (of[order][1:] == of[order][:-1]) & (document[order][1:] == document[order][:-1])
        order = order[np.concatenate([[True], ~again])]
        order = order[np.lexsort((document[order], -value[order], of[order]))]
        first = np.searchsorted(of[order], touched)
        rank = np.arange(len(order)) - np.repeat(first, np.diff([*first, len(order)]))
        kept = np.zeros(len(of), dtype=np.bool_)
        kept[order[rank < number]] = True
        # A unit keeps as many as it held: what is new takes the places of what is left out.
        free, new = np.flatnonzero(~kept[:n_held]), np.flatnonzero(kept[n_held:])
        new = new[np.argsort(unit[new], kind="stable")]
        at, place = touched[free // number], free % number
        assert (unit[new] == at).all(), "every unit keeps its number of texts"
        self.values[at, place] = values[new]
        self.documents[at, place] = documents[new]
        self.examples[at, place] = examples[new]
        self.rows[at, place, : rows.shape[1]] = rows[new]
