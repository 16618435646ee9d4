"""What only a CUDA device shows, in two minutes of it.

Models with random weights in the shapes of Qwen2.5-0.5B and 7B, in float32 and bfloat16: the mean
over all layers against a bare forward pass, with every kind of matrix product and its error against
float64; the published method; texts padded on either side against the same texts alone; and
training on factors. What no longer fits in the time is left out, and said.
"""

import argparse
import logging
import math
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from itertools import product

import torch
from torch import Tensor, nn

from benchmarks import baselines, factors
from benchmarks.gpu_report import Found, Padded, Speed, report
from benchmarks.ours import Ours
from benchmarks.report import Report, save
from benchmarks.shapes import SHAPES, make_model
from benchmarks.timing import Timing, describe, interleave
from probe.config import Matmul, ModelConfig, Side, Site
from probe.examples.batches import Batch
from probe.extraction.activations import Reader
from probe.extraction.checks.padding import difference, read

logger = logging.getLogger("benchmarks")
LIMIT = 120.0  # seconds
FLOOR, PUBLISHED, MEAN = "bare trunk forward", "published method", "mean"
# Texts of the published method: its files of one text of 7b take 3 GB.
TEXTS = {"0.5b": 16, "7b": 1}
DTYPES = (torch.float32, torch.bfloat16)
# What is measured, and the bar: the most of a ratio to the floor, the least of the published one.
BARS = {
    (torch.float32, Matmul.fp32): 1.10,
    (torch.bfloat16, Matmul.bf16x3): 1.15,
}
LEAST_PUBLISHED = 20.0
# Lengths of the texts that are padded: as rows of one batch and alone.
LENGTHS = (256, 64, 3)


def run(options: argparse.Namespace) -> None:
    """Measure what fits into two minutes, saving as it goes; say so where there is no device."""
    if not torch.cuda.is_available():
        logger.info("gpu: there is no CUDA device here, so nothing is measured")
        return
    with baselines.pool(options.processes) as executor:  # started before the clock
        measure(torch.device("cuda"), ("0.5b", "7b"), options, executor, LIMIT)


def measure(
    device: torch.device,
    shapes: Sequence[str],
    options: argparse.Namespace,
    executor: ProcessPoolExecutor,
    limit: float,
) -> Report:
    """Measure all that fits into `limit` seconds, and save it after every step."""
    started = time.monotonic()
    torch.set_float32_matmul_precision("highest")
    found = Found([], [], [])
    left_out: list[str] = []
    steps: list[tuple[str, Callable[[], object]]] = [
        (
            f"{shape}, {_name(dtype)}",
            partial(_model, found, shape, dtype, device, options, executor),
        )
        for shape, dtype in product(shapes, DTYPES)
    ]
    steps.append(("factors", partial(factors.run, _on(options, device))))

    def result() -> Report:
        seconds = round(time.monotonic() - started)
        sizes = {name: getattr(options, name) for name in ("rounds", "examples", "tokens")}
        return report(found, describe(device) | sizes | {"seconds": seconds}, left_out)

    for name, step in steps:
        if time.monotonic() - started > limit:
            left_out.append(name)
            continue
        try:
            step()
        except (torch.OutOfMemoryError, MemoryError) as error:
            left_out.append(f"{name} ({str(error).splitlines()[0]})")
        save(result())
    save(result())
    return result()


def _model(
    found: Found,
    shape: str,
    dtype: torch.dtype,
    device: torch.device,
    options: argparse.Namespace,
    executor: ProcessPoolExecutor,
) -> None:
    """Measure one model, in an order in which the most important comes first."""
    model = make_model(shape, dtype, device)
    trunk, layers = model.get_submodule("model"), list(range(SHAPES[shape]["num_hidden_layers"]))
    generator = torch.Generator().manual_seed(0)
    size = (options.examples, options.tokens)
    tokens = torch.randint(SHAPES[shape]["vocab_size"], size, generator=generator)
    batch = Batch(list(range(len(tokens))), tokens.tolist())
    ours = {matmul: Ours(trunk, batch, layers, "all", "mean", matmul.value) for matmul in Matmul}
    on_device = tokens.to(device)
    ways: dict[str, Callable[[], float]] = {FLOOR: partial(_floor, trunk, on_device)}
    ways |= {f"{MEAN}, {matmul.value}": one.run for matmul, one in ours.items()}
    timings = interleave(ways, options.rounds, device)
    del ours
    kind = shape, _name(dtype)
    found.speeds.append(Speed(*kind, FLOOR, statistics.median(timings[FLOOR].wall), 1.0))
    for matmul in Matmul:
        timing = timings[f"{MEAN}, {matmul.value}"]
        bar, ratio = BARS.get((dtype, matmul)), timing.over(timings[FLOOR])[0]
        found.speeds.append(
            Speed(
                *kind, f"{MEAN}, {matmul.value}", statistics.median(timing.wall), ratio,
                error_of(trunk, batch, layers[len(layers) // 2], matmul),
                "" if bar is None else f"≤ {bar:.2f}", None if bar is None else ratio <= bar,
            )
        )  # fmt: skip
    for side in Side:
        found.padded.extend(padded(trunk, shape, dtype, side, LENGTHS))
    if dtype is torch.float32:
        few = min(TEXTS.get(shape, 1), len(tokens))
        speed, slow = _published(model, trunk, on_device[:few], layers, executor)
        found.speeds.append(replace(speed, shape=shape, dtype=_name(dtype)))
        timings |= slow
    found.raw.append(
        {"shape": shape, "dtype": _name(dtype), **{way: asdict(t) for way, t in timings.items()}}
    )


def _floor(trunk: nn.Module, tokens: Tensor) -> float:
    baselines.forward(trunk, tokens)
    return 0.0


def _published(
    model: nn.Module,
    trunk: nn.Module,
    tokens: Tensor,
    layers: list[int],
    executor: ProcessPoolExecutor,
) -> tuple[Speed, dict[str, Timing]]:
    """Time the published method against ours on the same texts, once, as it takes so long."""
    batch = Batch(list(range(len(tokens))), tokens.tolist())
    ours = Ours(trunk, batch, layers, "all", "mean")
    ways: dict[str, Callable[[], float]] = {
        "mean of the same texts": ours.run,
        PUBLISHED: lambda: baselines.published(model, tokens, layers, executor)[1],
    }
    timings = interleave(ways, 1, tokens.device)
    timing, ratio = timings[PUBLISHED], timings[PUBLISHED].over(timings[next(iter(ways))])[0]
    way = f"{PUBLISHED}, texts: {len(tokens)}; over mean"
    bar = f"≥ {LEAST_PUBLISHED:.0f}"
    speed = Speed("", "", way, timing.wall[0], ratio, None, bar, ratio >= LEAST_PUBLISHED)
    return speed, timings


def error_of(trunk: nn.Module, batch: Batch, layer: int, matmul: Matmul) -> float:
    """Return the largest error of r in a layer's mean, against float64 on the same activations."""
    ours = Ours(trunk, batch, [layer], "each", "mean", matmul.value)
    [matrix] = ours.matrices()
    series: list[Tensor] = []
    tensors = batch.tensors(0, Side.left, 0).to(ours.device)
    ours.reader.read(tensors, lambda _, x: series.extend(x.double()))
    exact = sum(torch.corrcoef(one.T) for one in series) / len(series)
    return float((matrix.to(ours.device).double() - exact).abs().max())


def padded(
    trunk: nn.Module, shape: str, dtype: torch.dtype, side: Side, lengths: Sequence[int]
) -> list[Padded]:
    """Read texts of some lengths in one padded batch and alone."""
    model = ModelConfig(padding_side=side)
    layers = list(range(len(trunk.get_submodule("layers")._modules)))
    reader = Reader(trunk, model, layers, Site.residual)
    ids = [[(7 * token + 3) % 50 for token in range(length)] for length in lengths]
    together = read(reader, Batch(list(range(len(ids))), ids), 0, model)[0]
    rows = []
    for row, text in enumerate(ids):
        alone = read(reader, Batch([0], [text]), 0, model)[0]
        values = [layer[row] for layer in together.layers.values()]
        not_finite = sum(int((~x.isfinite()).sum()) for x in values)
        one = difference(together, row, alone, dtype)
        x, r = (math.nan if not_finite else found for found in (one.x, one.r))
        kind = shape, _name(dtype), side.value
        rows.append(Padded(*kind, len(text), not_finite, x, r, one.bound))
    return rows


def _on(options: argparse.Namespace, device: torch.device) -> argparse.Namespace:
    return argparse.Namespace(**vars(options) | {"device": str(device)})


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
