"""From a store of activations to networks."""

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from experiments.networks.decomposition import Method, decompose, reduce
from experiments.networks.masks import Masks, Threshold, fix_signs, threshold_maps, z_maps
from experiments.networks.memory import bytes_needed, check_memory
from experiments.networks.rotation import Contrast, Solver, rotate
from experiments.networks.settings import Networks
from experiments.networks.signals import Matrix, Rule, Signals, gather
from probe.api import SeriesStore, UserError, plural
from probe.api.parts import free_memory

logger = logging.getLogger(__name__)
# Tokens that are copied at a time.
_TOKENS = 1024


@dataclass(frozen=True, eq=False)
class Found:
    """Networks of some texts, the largest first.

    Attributes
    ----------
    maps : ndarray of float64, shape (k, n_units)
        With positive skewness.
    z : ndarray of float64, shape (k, n_units)
        Standardised over the units.
    masks : ndarray of bool, shape (k, n_units)
        The units of each network.
    others : list of ndarray of float64, each of shape (k, n_units)
        Maps from the other random starts.
    """

    maps: Matrix
    z: Matrix
    masks: Masks
    others: list[Matrix]


def read_signals(
    store: SeriesStore, examples: Sequence[int], settings: Networks, folder: Path
) -> Signals:
    """Map the activations of some texts, tokens × units, from an unnamed file in a folder."""
    lengths = [store.examples[example].n_tokens for example in examples]
    shape = sum(lengths), len(store.units)
    with tempfile.TemporaryFile(dir=folder) as file:
        values = np.memmap(file, np.float32, "w+", shape=shape)
    gather(store.blocks(_TOKENS, examples=examples), values)
    return Signals.of(values, cast(Rule, settings.standardise), lengths)


def find(signals: Signals, k: int, settings: Networks, device: torch.device) -> Found:
    """Find k networks.

    Raises
    ------
    UserError
        If there are fewer tokens or units, the signals have too low a rank, or memory is short.
    """
    method = cast(Method, settings.method)
    needed = bytes_needed(signals.lengths, signals.shape[1], k, method, _solver(settings))
    logger.info(
        "%s of %d tokens × %d neurons by %s: up to %.2g GB beside the signals",
        plural(k, "network"), *signals.shape, method, needed / 1e9,
    )  # fmt: skip
    check_memory(needed, free_memory(torch.device("cpu")))
    whitened = reduce(signals, k, method, settings.seed, _placed(device))
    starts = range(settings.seed, settings.seed + settings.starts)
    found = decompose(
        whitened, starts, _contrast(settings), _solver(settings), device=_placed(device)
    )
    maps = fix_signs(found.maps)
    z = z_maps(maps)
    masks = _masks(z, signals, settings)
    largest_first = np.argsort(-masks.sum(axis=1), kind="stable")
    others = [whitened.maps(run) for number, run in enumerate(found.runs) if number != found.chosen]
    return Found(maps[largest_first], z[largest_first], masks[largest_first], others)


def by_solver(signals: Signals, k: int, settings: Networks, device: torch.device) -> Matrix | None:
    """Return the maps that the other solver finds; None if it is not installed."""
    other: Solver = "picard" if settings.solver == "fastica" else "fastica"
    whitened = reduce(signals, k, cast(Method, settings.method), settings.seed, _placed(device))
    try:
        return whitened.maps(rotate(whitened.rows, settings.seed, _contrast(settings), other))
    except UserError as error:
        logger.info("stability over solvers is left out: %s", error)
        return None


def of_samples(
    signals: Signals, k: int, settings: Networks, device: torch.device
) -> list[NDArray[np.bool_]]:
    """Find the networks of every text by itself; texts of too low a rank are left out."""
    found, left_out, moving = [], 0, 0
    ends = np.cumsum(signals.lengths).tolist()
    bar = tqdm(
        zip(signals.lengths, ends, strict=True), "texts", len(ends), disable=None, leave=False,
        delay=2,
    )  # fmt: skip
    for length, end in bar:
        try:
            own = Signals.of(signals.values[end - length : end], signals.rule)
            # The rank of a single text is that of its tokens: nothing is reduced before.
            whitened = reduce(own, k, _single(settings), settings.seed, _placed(device))
        except UserError:
            left_out += 1
            continue
        run = rotate(whitened.rows, settings.seed, _contrast(settings), _solver(settings))
        moving += run.complaint() is not None
        found.append(_masks(z_maps(fix_signs(whitened.maps(run))), own, settings))
    if left_out or moving:
        logger.info(
            "networks of single texts: %d of %s had too few tokens or too low a rank and are left "
            "out, %d did not converge in every component", left_out, plural(len(ends), "text"),
            moving,
        )  # fmt: skip
    return found


def _masks(z: Matrix, signals: Signals, settings: Networks) -> Masks:
    rule = cast(Threshold, settings.rule.replace("_", "-"))
    return threshold_maps(z, signals.varying, rule, settings.threshold)


def _single(settings: Networks) -> Method:
    return "temporal" if settings.method == "temporal" else "spatial"


def _contrast(settings: Networks) -> Contrast:
    return "logcosh" if settings.method == "temporal" else "cube"


def _solver(settings: Networks) -> Solver:
    return cast(Solver, settings.solver)


def _placed(device: torch.device) -> str | None:
    """Return where products are formed; on a CPU they are NumPy's."""
    return None if device.type == "cpu" else str(device)
