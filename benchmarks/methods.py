"""Topologies against a bare forward pass, a plain PyTorch script and the published method.

Random weights, random tokens, one batch. Methods are timed in turn; reported are medians over the
rounds, ratios to the floor, and the CPU time of all processes.
"""

import argparse
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial

import torch

from benchmarks import baselines
from benchmarks.ours import Ours
from benchmarks.report import Report, save
from benchmarks.shapes import SHAPES, make_model
from benchmarks.timing import Timing, describe, interleave, rows_over
from probe.examples.batches import Batch

FLOOR = "floor: bare trunk forward"


def run(options: argparse.Namespace) -> None:
    """Time the selected methods and write the results."""
    torch.set_float32_matmul_precision("highest")
    device = torch.device(options.device)
    with baselines.pool(options.processes) as executor:
        methods = make_methods(options, device, executor)
        selected = {name: methods[name] for name in methods if _selected(name, options.only)}
        timings = interleave(selected, options.rounds, device)
    names = ("shape", "dtype", "examples", "tokens", "rounds", "processes", "matmul")
    facts = describe(device) | {name: getattr(options, name) for name in names}
    save(report(timings, facts, f"{device.type}-{options.shape}-{options.dtype}"))


def make_methods(
    options: argparse.Namespace, device: torch.device, executor: ProcessPoolExecutor
) -> dict[str, Callable[[], float]]:
    """Return all methods by name, the floor first."""
    model = make_model(options.shape, getattr(torch, options.dtype), device)
    trunk = model.get_submodule("model")
    size = (options.examples, options.tokens)
    tokens = torch.randint(SHAPES[options.shape]["vocab_size"], size)
    batch = Batch(list(range(options.examples)), tokens.tolist())
    tokens = tokens.to(device)
    every = list(range(SHAPES[options.shape]["num_hidden_layers"]))
    middle = [len(every) // 2]

    def published(layers: list[int]) -> float:
        return baselines.published(model, tokens, layers, executor)[1]

    def plain(layers: list[int]) -> float:
        baselines.plain(model, tokens, layers)
        return 0.0

    def floor() -> float:
        baselines.forward(trunk, tokens)
        return 0.0

    # Built in the warm-up round, and only for the timed methods: sums can take many gigabytes.
    @cache
    def build(selection: str, scheme: str, correlation: str) -> Ours:
        layers = middle if selection == "middle" else every
        return Ours(trunk, batch, layers, selection, scheme, options.matmul, correlation)

    def ours(selection: str, scheme: str, correlation: str = "pearson") -> float:
        return build(selection, scheme, correlation).run()

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
        **{
            f"{scheme} of Spearman's r, all layers": partial(ours, "all", scheme, "spearman")
            for scheme in ("mean", "fisher")
        },
        "plain PyTorch, all layers": partial(plain, every),
        "plain PyTorch, middle layer": partial(plain, middle),
        "published method, all layers": partial(published, every),
        "published method, middle layer": partial(published, middle),
    }  # fmt: skip


def report(timings: dict[str, Timing], facts: dict[str, object], name: str) -> Report:
    """Return the report: medians, and ratios to the floor."""
    notes = []
    for layers in ("all layers", "middle layer"):
        pair = [timings.get(f"{method}, {layers}") for method in ("published method", "mean")]
        if pair[0] is not None and pair[1] is not None:
            wall, cpu = pair[0].over(pair[1])
            ratios = f"{wall:.1f} times the wall time and {cpu:.1f} times the CPU time"
            notes.append(f"The published method takes {ratios} of mean, {layers}.")
    for scheme in ("mean", "fisher"):
        pair = [timings.get(f"{scheme}{of}, all layers") for of in (" of Spearman's r", "")]
        if pair[0] is not None and pair[1] is not None:
            wall, cpu = pair[0].over(pair[1])
            notes.append(
                f"Spearman's r takes {wall:.2f} times the wall time and {cpu:.2f} times the CPU "
                f"time of Pearson's: {scheme}, all layers."
            )
    return Report(
        name=name,
        title="Topologies against a bare forward pass",
        facts=facts,
        columns=["", "wall s", "over the floor", "CPU s", "over the floor"],
        rows=rows_over(timings, timings[FLOOR]),
        notes=notes,
        raw={method: vars(timing) for method, timing in timings.items()},
    )


def _selected(name: str, only: list[str] | None) -> bool:
    return only is None or name == FLOOR or any(word in name for word in only)
