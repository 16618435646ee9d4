"""What is measured of a checkpoint, and its file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from experiments.multifractal.boxes import Nodes
from probe.api import atomic_write

Array = NDArray[Any]
_NODES = ("nodes", "shuffled_nodes")


@dataclass(frozen=True, eq=False)
class Measured:
    """All that is kept of a checkpoint, of its networks in their order.

    Attributes
    ----------
    numbers : dict of str to ndarray, each of shape (n_samples,)
        α₀, width, their public and shuffled values, nodes, norm and so on.
    moments : dict of str to ndarray, each of shape (n_samples, n_moments), α and f one less
        τ, R², α and f by q.
    log_radius : ndarray of float64, shape (n_radii,)
        ln(r / r_max) of the first network.
    log_partition : ndarray of float64, shape (n_moments, n_radii)
        ln Z_q(r) of the first network.
    nodes, shuffled_nodes : list of Nodes
        Which nodes counted, in the given and in the shuffled networks.
    weights : str
        Fingerprint of the weights, and before it that of the first checkpoint's.
    """

    numbers: dict[str, Array]
    moments: dict[str, Array]
    log_radius: Array
    log_partition: Array
    nodes: list[Nodes]
    shuffled_nodes: list[Nodes]
    weights: str = ""

    def save(self, file: Path) -> None:
        """Write it, whole or not at all."""
        held: dict[str, Any] = {f"number {name}": values for name, values in self.numbers.items()}
        held |= {f"moment {name}": values for name, values in self.moments.items()}
        held |= {"log_radius": self.log_radius, "log_partition": self.log_partition}
        for name in _NODES:
            nodes = getattr(self, name)
            held[f"{name} sizes"] = np.array([one.sizes for one in nodes])
            held[f"{name} ends"] = np.cumsum([len(one.numbers) for one in nodes])
            held[name] = np.concatenate([one.numbers for one in nodes])
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as unfinished, unfinished.open("wb") as stream:
            np.savez_compressed(stream, weights=np.array(self.weights), **held)

    @classmethod
    def load(cls, file: Path, weights: str) -> Self | None:
        """Read it, or return None if it is not there or is that of other weights."""
        if not file.is_file():
            return None
        with np.load(file, allow_pickle=False) as held:
            if str(held["weights"]) != weights:
                return None
            numbers, moments = (
                {name.split()[1]: held[name] for name in held.files if name.startswith(kind)}
                for kind in ("number ", "moment ")
            )
            radius, partition = held["log_radius"], held["log_partition"]
            nodes, shuffled = (_nodes(held, one) for one in _NODES)
            return cls(numbers, moments, radius, partition, nodes, shuffled, weights)


def _nodes(held: Any, name: str) -> list[Nodes]:
    numbers = np.split(held[name], held[f"{name} ends"][:-1])
    return [
        Nodes(tuple(map(int, sizes)), own)
        for sizes, own in zip(held[f"{name} sizes"], numbers, strict=True)
    ]
