"""Fits of every probe to every input of a pass, and their predictions."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from experiments.graph_probe.inputs import Input
from experiments.graph_probe.networks import learning_rate, make_reader
from experiments.graph_probe.ridge import ridge
from experiments.graph_probe.settings import GraphProbe
from experiments.graph_probe.targets import Target
from experiments.graph_probe.training import train_reader
from experiments.statistics import split_by_group
from probe.api import atomic_write

# Fractions for training, validation and test; the paper has no validation set.
_SHARES, _PAPERS_SHARES = (0.6, 0.2, 0.2), (0.8, 0.2)


class Key(NamedTuple):
    """What one fit predicts, from what and how."""

    target: str
    input: str
    density: float
    probe: str
    seed: int


@dataclass(frozen=True)
class Parts:
    """Indices of training, validation and test set."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]

    @classmethod
    def of(cls, groups: Sequence[str], protocol: str, seed: int) -> "Parts":
        """Split by group; the paper splits rows, and validates on the test set."""
        if protocol == "paper":
            rows = [str(row) for row in range(len(groups))]
            train, test = split_by_group(rows, _PAPERS_SHARES, seed)
            return cls(train, test, test)
        return cls(*split_by_group(groups, _SHARES, seed))


# Predictions for every text, shape (n_texts, n_outputs), by fit.
Fits = Mapping[Key, NDArray[np.float64]]


def fit_all(
    inputs: Iterable[Input],
    targets: Sequence[Target],
    parts: Mapping[int, Parts],
    settings: GraphProbe,
    device: torch.device,
) -> dict[Key, NDArray[np.float64]]:
    """Fit every probe to every input, for each target and repetition.

    Parameters
    ----------
    inputs : iterable of Input
        What to predict from.
    targets : sequence of Target
        What to predict.
    parts : mapping of int to Parts
        The split of each repetition, by its seed.
    settings : GraphProbe
        Probes, epochs.
    device : torch.device
        Where networks are trained.
    """
    tasks = list(_tasks(inputs, targets, parts, settings.probes))
    fits = {}
    for key, one, target in tqdm(tasks, "probes", disable=None, leave=False, delay=2):
        fits[key] = _fit(key, one, target, parts[key.seed], settings, device)
    return fits


def _tasks(
    inputs: Iterable[Input], targets: Sequence[Target], seeds: Iterable[int], probes: Sequence[str]
) -> Iterator[tuple[Key, Input, Target]]:
    for one in inputs:
        for probe in probes:
            if probe == "gcn" and one.graphs is None:
                continue
            for target in targets:
                for seed in seeds:
                    own = target.shuffled(seed) if one.shuffled else target
                    yield Key(target.name, one.name, one.density, probe, seed), one, own


def _fit(
    key: Key, one: Input, target: Target, parts: Parts, settings: GraphProbe, device: torch.device
) -> NDArray[np.float64]:
    train, validation = torch.from_numpy(parts.train), torch.from_numpy(parts.validation)
    values = torch.from_numpy(target.scaled(parts.train))
    if key.probe == "ridge":
        return ridge(one.features, _columns(values, target), train, validation).predicted.numpy()
    with torch.random.fork_rng():
        torch.manual_seed(key.seed)
        reader = make_reader(key.probe, one, target.outputs, train, settings.gcn_layers)
        reader.to(device)
        rate = learning_rate(key.probe, one)
        fitted = train_reader(
            reader, values, train, validation, rate, settings.epochs, seed=key.seed
        )
    return fitted.predicted.numpy()


def _columns(values: Tensor, target: Target) -> Tensor:
    """Return numbers as one column, classes as one indicator column each."""
    return (
        functional.one_hot(values, target.outputs).double() if target.classes else values[:, None]
    )


def save(file: Path, fits: Fits) -> None:
    """Write predictions with their keys in JSON."""
    arrays: dict[str, Any] = {str(n): values for n, values in enumerate(fits.values())}
    arrays["keys"] = np.array([json.dumps(key) for key in fits])
    with atomic_write(file) as unfinished, unfinished.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def load(file: Path) -> dict[Key, NDArray[np.float64]]:
    """Read predictions back."""
    with np.load(file, allow_pickle=False) as arrays:
        keys = [Key(*json.loads(str(key))) for key in arrays["keys"]]
        return {key: arrays[str(n)] for n, key in enumerate(keys)}
