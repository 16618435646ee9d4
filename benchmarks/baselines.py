"""Baselines: a bare forward pass, a plain PyTorch script, and the published method."""

import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Matrix = NDArray[np.float64]


@torch.inference_mode()
def forward(trunk: nn.Module, tokens: Tensor) -> None:
    """Run the trunk and nothing else: the floor."""
    trunk(input_ids=tokens, use_cache=False)


@torch.inference_mode()
def plain(model: nn.Module, tokens: Tensor, layers: list[int]) -> Tensor:
    """Average `torch.corrcoef` over texts and layers, as in a short script on the device."""
    states = model(input_ids=tokens, use_cache=False, output_hidden_states=True).hidden_states
    total: Tensor | float = 0.0
    for layer in layers:
        for series in states[layer + 1]:
            total = total + torch.corrcoef(series.float().T)
    assert isinstance(total, Tensor)
    return total / (len(layers) * len(tokens))


@contextmanager
def pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Start single-threaded processes that wait for series to correlate."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        with ProcessPoolExecutor(processes, get_context("spawn")) as executor:
            list(executor.map(time.sleep, [0.2] * processes))
            yield executor
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def published(
    model: nn.Module, tokens: Tensor, layers: list[int], executor: ProcessPoolExecutor
) -> tuple[Matrix, float]:
    """Correlate as the published code is described to do, reimplemented.

    It runs the whole model, with its language-model head and all hidden states, and copies them to
    the host; each process takes one text and layer through `np.corrcoef` in float64 and `np.save`;
    the average is computed by reading the files back.

    Returns
    -------
    matrix : ndarray of float64, shape (n_neurons, n_neurons)
        Average over texts and layers.
    seconds : float
        CPU time of the processes.
    """
    with torch.inference_mode():
        states = model(input_ids=tokens, output_hidden_states=True).hidden_states
        stacked = torch.stack(states)[[layer + 1 for layer in layers]].float().cpu().numpy()
    with tempfile.TemporaryDirectory(prefix="published") as folder:
        jobs = [
            executor.submit(_correlate, stacked[i, j], Path(folder) / f"{i}_{j}.npy")
            for i in range(len(layers))
            for j in range(len(tokens))
        ]
        seconds = sum(job.result() for job in jobs)
        files = sorted(Path(folder).glob("*.npy"))
        matrix = sum(np.load(file, allow_pickle=False) for file in files) / len(files)
    return matrix, seconds


def _correlate(series: NDArray[np.float32], file: Path) -> float:
    start = time.process_time()
    np.save(file, np.corrcoef(series.astype(np.float64), rowvar=False), allow_pickle=False)
    return time.process_time() - start
