"""Training a graph network on factors and on matrices: time, disk, and what half precision costs.

Series of random numbers, a batch of texts of 512 tokens; a step is a forward and a backward pass
and Adam. The ways are timed in turn; reported are medians, and of the ratios those within a round.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.report import Report, save
from benchmarks.timing import Timing, describe, interleave
from experiments.gcn import Gcn
from probe.correlation import standardise
from probe.factors import Dense, Factor, FactorStore, Graph, StoredExample
from probe.factors.shards import ShardWriter, shard_name
from probe.factors.store import pack, unpack

TOKENS, BATCH, WIDTH, LAYERS = 512, 16, 32, 2
NEURONS = (896, 3584)
FLOOR = "matrix, ready in memory"


def run(asked: argparse.Namespace) -> None:
    """Time training steps, weigh files and measure errors."""
    device = torch.device(asked.device)
    torch.set_float32_matmul_precision("highest")
    facts = describe(device) | {
        "tokens": TOKENS, "batch": BATCH, "width": WIDTH, "layers": LAYERS, "rounds": asked.rounds,
    }  # fmt: skip
    found = {n: _measure(n, asked.rounds, device) for n in NEURONS}
    errors = {dtype: _errors(dtype) for dtype in (torch.float16, torch.bfloat16)}
    save(
        Report(
            name=f"factors-{device.type}",
            title="A graph network's training on factors and on matrices",
            facts=facts,
            columns=["", *(f"{n} neurons" for n in NEURONS)],
            rows=_rows(found),
            notes=[
                f"Largest error of r in {str(dtype).removeprefix('torch.')}, against float64: "
                + ", ".join(f"{kind} {error:.1e}" for kind, error in by_kind.items())
                + "."
                for dtype, by_kind in errors.items()
            ],
            raw={
                "steps": {n: {w: vars(t) for w, t in one[0].items()} for n, one in found.items()},
                "bytes a text": {n: one[1] for n, one in found.items()},
                "errors": {str(dtype): by_kind for dtype, by_kind in errors.items()},
            },
        )
    )


def _rows(found: dict[int, tuple[dict[str, Timing], dict[str, float]]]) -> list[Sequence[str]]:
    timings = [one[0] for one in found.values()]
    rows = [
        [
            f"step: {way}",
            *(
                f"{statistics.median(one[way].wall):.4g} s ({one[way].over(one[FLOOR])[0]:.2f})"
                for one in timings
            ),
        ]
        for way in timings[0]
    ]
    sizes = [one[1] for one in found.values()]
    rows += [
        [f"disk of a text: {kind}", *(f"{one[kind] / 1e6:.3g} MB" for one in sizes)]
        for kind in sizes[0]
    ]
    ratios = [one["matrix, float32"] / one["factor, float16"] for one in sizes]
    return [*rows, ["matrix over factor", *(f"{ratio:.1f}" for ratio in ratios)]]


def _measure(
    n_neurons: int, rounds: int, device: torch.device
) -> tuple[dict[str, Timing], dict[str, float]]:
    """Time a step in every way; return the timings and the bytes of a text on disk."""
    with tempfile.TemporaryDirectory() as folder:
        store = _store(Path(folder), n_neurons)
        factor = store.batch(range(BATCH), 0, device)
        matrices = Dense(factor.dense())
        files = [Path(folder) / f"{number}.npy" for number in range(BATCH)]
        for file, matrix in zip(files, matrices.matrix, strict=True):
            np.save(file, matrix.cpu().numpy(), allow_pickle=False)

        def load() -> Dense:
            return Dense(
                torch.stack([torch.from_numpy(np.load(f, allow_pickle=False)) for f in files]).to(
                    device
                )
            )

        ways: dict[str, Callable[[], Graph]] = {
            FLOOR: lambda: matrices,
            "factor, ready in memory": lambda: factor,
            "matrix, formed for the step": lambda: Dense(factor.dense()),
            "matrix, read from disk": load,
            "factor, read from disk": lambda: store.batch(range(BATCH), 0, device),
        }
        step = _step(n_neurons, device)
        timings = interleave({n: partial(step, way) for n, way in ways.items()}, rounds, device)
        shards = Path(folder).glob("*.safetensors")
        sizes = {
            "factor, float16": sum(shard.stat().st_size for shard in shards) / BATCH,
            "matrix, float32": float(files[0].stat().st_size),
        }
    return timings, sizes


def _step(n_neurons: int, device: torch.device) -> Callable[[Callable[[], Graph]], float]:
    torch.manual_seed(0)
    network = Gcn(n_neurons, WIDTH, LAYERS, outputs=1).to(device)
    optimiser = torch.optim.Adam(network.parameters(), 1e-3, weight_decay=1e-5)
    target = torch.rand(BATCH, 1, device=device)

    def step(graph: Callable[[], Graph]) -> float:
        optimiser.zero_grad()
        (network(graph()) - target).square().mean().backward()
        optimiser.step()
        return 0.0

    return step


def _store(folder: Path, n_neurons: int) -> FactorStore:
    """Write factors of random series as a rank does."""
    writer, generator = ShardWriter(folder, 0), torch.Generator().manual_seed(0)
    for number in range(BATCH):
        series = torch.randn(1, TOKENS, n_neurons, generator=generator)
        writer.add(number, torch.arange(TOKENS), {0: pack(series, _all(TOKENS))[0][0]})
    writer.flush()
    examples = [
        StoredExample(number, f"text {number}", "", n_tokens, shard_name(rank, shard), start)
        for number, rank, shard, start, n_tokens in writer.rows
    ]
    return FactorStore(folder, (0,), n_neurons, tuple(examples), {}, {})


def _errors(dtype: torch.dtype) -> dict[str, float]:
    """Return the largest error of r over 256 neurons, by kind of series."""
    generator = np.random.default_rng(0)
    white = generator.standard_normal((TOKENS, 256)) @ generator.standard_normal((256, 256))
    smooth = np.cumsum(white, axis=0) + 1e3 * generator.standard_normal(256)
    sink = smooth.copy()
    sink[0] += 1e5 * generator.standard_normal(256)
    errors = {}
    for kind, series in {"white noise": white, "smooth": smooth, "one token rules": sink}.items():
        activations = torch.from_numpy(series).float().unsqueeze(0)
        exact = np.corrcoef(activations[0].double().numpy(), rowvar=False)
        length = torch.tensor([TOKENS]).sqrt()
        rounded = standardise(activations, _all(TOKENS), length).series[0].to(dtype)
        errors[kind] = float(np.abs(Factor(unpack(rounded)).dense().numpy() - exact).max())
    return errors


def _all(n_tokens: int) -> Tensor:
    return torch.ones(1, n_tokens, dtype=torch.bool)
