"""The weight of the examples in which each correlation was defined."""

from collections.abc import Mapping

import torch
from torch import Tensor

from probe.correlation.batch_memory import BatchShape, MostBytes

# Examples that are counted together.
_TOGETHER = 512


class Coverage:
    """Sum of example weights behind every entry of an average.

    A correlation is undefined where either neuron is constant over the example. That is rare, so
    the examples without a constant neuron share one number and only the others add to a matrix.
    They are told apart many at a time, because a GPU's queue runs dry while the CPU waits.

    Attributes
    ----------
    everywhere : float
        Weight of the examples in which every neuron was defined.
    elsewhere : Tensor of float64, shape (n_neurons, n_neurons), or None
        Weight of the other examples, entry by entry.
    """

    def __init__(self, n_neurons: int, device: torch.device) -> None:
        self.n_neurons, self.device = n_neurons, device
        self.everywhere = 0.0
        self.elsewhere: Tensor | None = None
        self._waiting: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, defined: Tensor, weight: Tensor, columns: Tensor | None = None) -> None:
        """Count examples: `defined` (n_examples, n_neurons), `weight` (n_examples,) float64.

        `columns` is `defined` of the second layer's neurons, for entries between two layers.
        If that fails, nothing is counted.
        """
        if sum(len(defined) for defined, _, _ in self._waiting) >= _TOGETHER:
            self._count()
        self._waiting.append((defined, weight, defined if columns is None else columns))

    def _count(self) -> None:
        if not self._waiting:
            return
        # Layers that are averaged together can be on several devices.
        rows, weight, columns = (
            torch.cat([tensor.to(self.device) for tensor in tensors])
            for tensors in zip(*self._waiting, strict=True)
        )
        whole = rows.all(dim=1) & columns.all(dim=1)
        everywhere = self.everywhere + float(weight[whole].sum())
        if not whole.all():
            left, right = (defined[~whole].double() for defined in (rows, columns))
            product = left.T @ (right * weight[~whole, None])
            self.elsewhere = product if self.elsewhere is None else self.elsewhere + product
        self.everywhere, self._waiting = everywhere, []

    def matrix(self) -> Tensor:
        """Return the weight behind every entry, shape (n_neurons, n_neurons), float64."""
        self._count()
        shape = (self.n_neurons, self.n_neurons)
        weight = torch.full(shape, self.everywhere, dtype=torch.float64, device=self.device)
        return weight if self.elsewhere is None else weight.add_(self.elsewhere)

    def most_bytes(self, batch: BatchShape) -> MostBytes:
        """Return the most bytes that batches of a shape take, see `Sums.most_bytes`.

        Which neurons of the waiting examples are defined, in two layers; if some are constant
        also a matrix, and two more while it is added to.
        """
        waiting = (_TOGETHER + batch.rows) * self.n_neurons
        matrix = 8 * self.n_neurons**2 if batch.constants else 0
        count = 28 * waiting if batch.constants else 2 * waiting
        return MostBytes(run=2 * waiting + matrix, update=count + 2 * matrix)

    def state(self) -> dict[str, Tensor]:
        """Return the sums by name."""
        self._count()
        state = {"everywhere": torch.tensor(self.everywhere, dtype=torch.float64)}
        return state if self.elsewhere is None else state | {"elsewhere": self.elsewhere}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the sums of other examples."""
        self.everywhere += float(state["everywhere"])
        if "elsewhere" in state:
            other = state["elsewhere"].to(self.device)
            self.elsewhere = other if self.elsewhere is None else self.elsewhere + other
