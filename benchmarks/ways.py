"""Topologies beside a bare forward pass, a plain PyTorch script and the published way.

Random weights, texts of random tokens, one batch. The ways are timed in turn; reported are medians
over the rounds, the ratios to the floor, and the CPU time of all processes.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial

import torch

from benchmarks import others
from benchmarks.ours import Ours
from benchmarks.report import Report, save
from benchmarks.shapes import SHAPES, make_model
from benchmarks.timing import Timing, describe, interleave
from probe.examples.batches import Batch

FLOOR = "floor: bare trunk forward"


def run(asked: argparse.Namespace) -> None:
    """Time what was asked for and write the results."""
    torch.set_float32_matmul_precision("highest")
    device = torch.device(asked.device)
    with others.pool(asked.processes) as executor:
        ways = make_ways(asked, device, executor)
        chosen = {name: ways[name] for name in ways if _wanted(name, asked.only)}
        timings = interleave(chosen, asked.rounds, device)
    names = ("shape", "dtype", "examples", "tokens", "rounds", "processes", "matmul")
    facts = describe(device) | {name: getattr(asked, name) for name in names}
    save(report(timings, facts, f"{device.type}-{asked.shape}-{asked.dtype}"))


def make_ways(
    asked: argparse.Namespace, device: torch.device, executor: ProcessPoolExecutor
) -> dict[str, Callable[[], float]]:
    """Return what can be timed, by name, the floor first."""
    model = make_model(asked.shape, getattr(torch, asked.dtype), device)
    trunk = model.get_submodule("model")
    size = (asked.examples, asked.tokens)
    tokens = torch.randint(SHAPES[asked.shape]["vocab_size"], size)
    batch = Batch(list(range(asked.examples)), tokens.tolist())
    tokens = tokens.to(device)
    every = list(range(SHAPES[asked.shape]["num_hidden_layers"]))
    middle = [len(every) // 2]

    def published(layers: list[int]) -> float:
        return others.published(model, tokens, layers, executor)[1]

    def plain(layers: list[int]) -> float:
        others.plain(model, tokens, layers)
        return 0.0

    def floor() -> float:
        others.forward(trunk, tokens)
        return 0.0

    # Made in the round that warms up, and only of what is timed: sums can be many gigabytes.
    @cache
    def made(selection: str, scheme: str) -> Ours:
        layers = middle if selection == "middle" else every
        return Ours(trunk, batch, layers, selection, scheme, asked.matmul)

    def ours(selection: str, scheme: str) -> float:
        return made(selection, scheme).run()

    return {
        FLOOR: floor,
        **{
            f"{scheme}, {name}": partial(ours, selection, scheme)
            for scheme in ("mean", "fisher", "pooled")
            for name, selection in (
                ("all layers", "all"), ("each layer", "each"), ("middle layer", "middle"),
                ("cross, every pair of layers", "cross"),
            )
            if (scheme, selection) != ("pooled", "cross")
        },
        "plain PyTorch, all layers": partial(plain, every),
        "plain PyTorch, middle layer": partial(plain, middle),
        "published way, all layers": partial(published, every),
        "published way, middle layer": partial(published, middle),
    }  # fmt: skip


def report(timings: dict[str, Timing], facts: dict[str, object], name: str) -> Report:
    """Put medians and ratios over the floor into words."""
    base = timings[FLOOR]
    rows = []
    for way, timing in timings.items():
        wall, cpu = timing.over(base)
        medians = statistics.median(timing.wall), statistics.median(timing.cpu)
        rows.append([way, f"{medians[0]:.4g}", f"{wall:.3f}", f"{medians[1]:.4g}", f"{cpu:.3f}"])
    notes = []
    for layers in ("all layers", "middle layer"):
        pair = [timings.get(f"{way}, {layers}") for way in ("published way", "mean")]
        if pair[0] is not None and pair[1] is not None:
            wall, cpu = pair[0].over(pair[1])
            ratios = f"{wall:.1f} times the wall and {cpu:.1f} times the CPU time"
            notes.append(f"The published way takes {ratios} of mean, {layers}.")
    return Report(
        name=name,
        title="Topologies beside a bare forward pass",
        facts=facts,
        columns=["", "wall s", "over the floor", "CPU s", "over the floor"],
        rows=rows,
        notes=notes,
        raw={way: vars(timing) for way, timing in timings.items()},
    )


def _wanted(name: str, only: list[str] | None) -> bool:
    return only is None or name == FLOOR or any(word in name for word in only)
