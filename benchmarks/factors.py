"""Training a graph network on factors and on matrices: time, disk, and half-precision error.

Series are random, a batch holds texts of 512 tokens; a step is a forward pass, a backward pass and
an Adam update. Variants are timed in turn; reported are medians, and medians of ratios within a
round.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.report import Report, save
from benchmarks.timing import Timing, describe, interleave
from experiments.gcn import Gcn
from probe.correlation import standardise
from probe.series import SeriesStore, StoredExample
from probe.series.factor import Factor, pack, unpack
from probe.series.graphs import Dense, Graph
from probe.series.shards import ShardWriter, find_shards

TOKENS, BATCH, WIDTH, LAYERS = 512, 16, 32, 2
NEURONS = (896, 3584)
FLOOR = "matrix, ready in memory"


def run(options: argparse.Namespace) -> None:
    """Measure training steps, file sizes and errors."""
    device = torch.device(options.device)
    torch.set_float32_matmul_precision("highest")
    facts = describe(device) | {
        "tokens": TOKENS, "batch": BATCH, "width": WIDTH, "layers": LAYERS,
        "rounds": options.rounds,
    }  # fmt: skip
    measured = {n: _measure(n, options.rounds, device) for n in NEURONS}
    errors = {dtype: _errors(dtype) for dtype in (torch.float16, torch.bfloat16)}
    save(
        Report(
            name=f"factors-{device.type}",
            title="A graph network's training on factors and on matrices",
            facts=facts,
            columns=["", *(f"{n} neurons" for n in NEURONS)],
            rows=_rows(measured),
            notes=[
                f"Largest error of r in {str(dtype).removeprefix('torch.')}, against float64: "
                + ", ".join(f"{kind} {error:.1e}" for kind, error in by_kind.items())
                + "."
                for dtype, by_kind in errors.items()
            ],
            raw={
                "steps": {
                    n: {variant: vars(timing) for variant, timing in timings.items()}
                    for n, (timings, _) in measured.items()
                },
                "bytes a text": {n: sizes for n, (_, sizes) in measured.items()},
                "errors": {str(dtype): by_kind for dtype, by_kind in errors.items()},
            },
        )
    )


def _rows(measured: dict[int, tuple[dict[str, Timing], dict[str, float]]]) -> list[Sequence[str]]:
    timings = [timings for timings, _ in measured.values()]
    rows = [
        [
            f"step: {variant}",
            *(
                f"{statistics.median(one[variant].wall):.4g} s "
                f"({one[variant].over(one[FLOOR])[0]:.2f})"
                for one in timings
            ),
        ]
        for variant in timings[0]
    ]
    sizes = [sizes for _, sizes in measured.values()]
    rows += [
        [f"disk of a text: {kind}", *(f"{one[kind] / 1e6:.3g} MB" for one in sizes)]
        for kind in sizes[0]
    ]
    ratios = [one["matrix, float32"] / one["factor, float16"] for one in sizes]
    return [*rows, ["matrix over factor", *(f"{ratio:.1f}" for ratio in ratios)]]


def _measure(
    n_neurons: int, rounds: int, device: torch.device
) -> tuple[dict[str, Timing], dict[str, float]]:
    """Time a step of each variant; return the timings and the bytes per text on disk."""
    with tempfile.TemporaryDirectory() as folder:
        store = _store(Path(folder), n_neurons)

        def read() -> Factor:
            return Factor.stack([Factor.read(store, n, 0, device) for n in range(BATCH)])

        factor = read()
        matrices = Dense(factor.dense())
        files = [Path(folder) / f"{number}.npy" for number in range(BATCH)]
        for file, matrix in zip(files, matrices.matrix, strict=True):
            np.save(file, matrix.cpu().numpy(), allow_pickle=False)

        def load() -> Dense:
            loaded = [torch.from_numpy(np.load(file, allow_pickle=False)) for file in files]
            return Dense(torch.stack(loaded).to(device))

        variants: dict[str, Callable[[], Graph]] = {
            FLOOR: lambda: matrices,
            "factor, ready in memory": lambda: factor,
            "matrix, formed for the step": lambda: Dense(factor.dense()),
            "matrix, read from disk": load,
            "factor, read from disk": read,
        }
        step = _step(n_neurons, device)
        steps = {name: partial(step, graph) for name, graph in variants.items()}
        timings = interleave(steps, rounds, device)
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


def _store(folder: Path, n_neurons: int) -> SeriesStore:
    """Write standardised random series, as a rank does."""
    writer, generator = ShardWriter(folder, "random", 60), torch.Generator().manual_seed(0)
    for number in range(BATCH):
        series = torch.randn(1, TOKENS, n_neurons, generator=generator)
        writer.add(number, np.arange(TOKENS), {0: pack(series, _all(TOKENS))[0][0].numpy()})
        writer.end_batch()
    writer.flush()
    examples = sorted(
        (
            StoredExample(number, f"text {number}", "", n_tokens, shard.name, start)
            for shard, rows in find_shards(folder, "random").items()
            for number, start, n_tokens in rows
        ),
        key=attrgetter("example"),
    )
    order = tuple(range(BATCH))
    return SeriesStore(folder, {0: n_neurons}, "float16", True, tuple(examples), order, {}, {})


def _errors(dtype: torch.dtype) -> dict[str, float]:
    """Return the largest error of r over 256 neurons, by kind of series."""
    generator = np.random.default_rng(0)
    white = generator.standard_normal((TOKENS, 256)) @ generator.standard_normal((256, 256))
    smooth = np.cumsum(white, axis=0) + 1e3 * generator.standard_normal(256)
    sink = smooth.copy()
    sink[0] += 1e5 * generator.standard_normal(256)
    errors = {}
    kinds = {"white noise": white, "smooth": smooth, "one token dominates": sink}
    for kind, series in kinds.items():
        activations = torch.from_numpy(series).float().unsqueeze(0)
        exact = np.corrcoef(activations[0].double().numpy(), rowvar=False)
        length = torch.tensor([TOKENS]).sqrt()
        rounded = standardise(activations, _all(TOKENS), length).series[0].to(dtype)
        errors[kind] = float(np.abs(Factor(unpack(rounded)).dense().numpy() - exact).max())
    return errors


def _all(n_tokens: int) -> Tensor:
    return torch.ones(1, n_tokens, dtype=torch.bool)
