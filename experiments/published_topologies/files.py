"""The published files: their names, and the layers and texts each averages over."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from experiments.published_topologies.settings import PARTS
from probe.api import View


@dataclass(frozen=True)
class File:
    """A file of the tree.

    Attributes
    ----------
    path : str
        Path in the tree.
    layer : int or None
        Its layer; None for the mean over all.
    examples : callable
        Called with the number of examples; returns those it averages over.
    """

    path: str
    layer: int | None = None
    examples: Callable[[int], range] = range

    def view(self, scheme: str, n_examples: int, n_layers: int) -> View:
        """Return the matrix to extract, named by its path in the tree of a scheme."""
        layers = tuple(range(n_layers)) if self.layer is None else (self.layer,)
        members = self.examples(n_examples)
        return View(f"{scheme}/{self.path}", layers, members.start, members.stop, scheme)


def subject_files(subject: str, layer: int) -> list[File]:
    """List the files of a subject of MMLU."""
    folder = f"mmlu/{subject}"
    return [
        File(f"{folder}/all_layers/all_layers_avg_corr.npy"),
        File(f"{folder}/layer{layer}/layer_{layer}_avg_corr.npy", layer),
    ]


def text_files(texts: int, layer: int) -> list[File]:
    """List the files of the first pieces of OpenWebText."""
    name, folder = f"layer_{layer}_avg_corr", f"openwebtext/layer{layer}"
    return [
        File(f"openwebtext/all_layers/average_{texts}/all_layers_avg_corr.npy"),
        *_part_files(f"openwebtext/all_layers/partitioned_{texts}/all_layers_avg_corr", None),
        File(f"{folder}/average_{texts}/{name}_openwebtext-{texts}.npy", layer),
        *_part_files(f"{folder}/partitioned_{texts}/{name}", layer),
        File(f"{folder}/single_example/{name}_openwebtext-1.npy", layer, _first),
    ]


def random_files(texts: int) -> list[File]:
    """List the files of the randomly initialised model."""
    return [File(f"openwebtext/all_layers/average_{texts}_random_init/all_layers_avg_corr.npy")]


def many_files(texts: int, layer: int) -> list[File]:
    """List the files of the many pieces of OpenWebText."""
    folder = f"openwebtext/layer{layer}/partitioned_{texts}"
    return _part_files(f"{folder}/layer_{layer}_avg_corr", layer)


def _part_files(stem: str, layer: int | None) -> list[File]:
    return [
        File(f"{stem}_part{part}.npy", layer, partial(_part, part)) for part in range(1, PARTS + 1)
    ]


def _first(_: int) -> range:
    return range(1)


def _part(part: int, n_examples: int) -> range:
    """Return one of the contiguous parts of `np.array_split`, counted from 1."""
    members = np.array_split(np.arange(n_examples), PARTS)[part - 1]
    return range(int(members[0]), int(members[-1]) + 1)
