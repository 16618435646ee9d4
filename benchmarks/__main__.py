"""Topologies beside a bare forward pass, a plain PyTorch script and the published way.

python -m benchmarks                                     # 0.5B shape, float32, GPU if there is one
python -m benchmarks --shape 7b --dtype bfloat16 --examples 4 --device cuda
python -m benchmarks --rounds 3 --only "floor" "mean, all layers"

Random weights, texts of random tokens, one batch. The ways are timed in turn; reported are medians
over the rounds, the ratios to the floor, and the CPU time of all processes.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import others
from benchmarks.ours import Ours
from benchmarks.shapes import SHAPES, make_model
from benchmarks.timing import Timing, describe, interleave
from probe.batches import Batch

logger = logging.getLogger("benchmarks")
RESULTS = Path(__file__).resolve().parent / "results"
FLOOR = "floor: bare trunk forward"


def main() -> None:
    """Time what was asked for and write the results."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s  %(message)s", datefmt="%H:%M:%S")
    asked = _arguments()
    torch.set_float32_matmul_precision("highest")
    device = torch.device(asked.device)
    with others.pool(asked.processes) as executor:
        ways = make_ways(asked, device, executor)
        chosen = {name: ways[name] for name in ways if _wanted(name, asked.only)}
        timings = interleave(chosen, asked.rounds, device)
    facts = describe(device) | {
        name: getattr(asked, name)
        for name in ("shape", "dtype", "examples", "tokens", "rounds", "processes")
    }
    write(timings, facts, f"{device.type}-{asked.shape}-{asked.dtype}")


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

    ours = {
        f"{scheme}, {name}": Ours(trunk, batch, layers, selection, scheme).run
        for scheme in ("mean", "fisher", "pooled")
        for name, layers, selection in (
            ("all layers", every, "all"), ("each layer", every, "each"),
            ("middle layer", middle, "all"),
        )
    }  # fmt: skip
    return {
        FLOOR: floor,
        **ours,
        "plain PyTorch, all layers": partial(plain, every),
        "plain PyTorch, middle layer": partial(plain, middle),
        "published way, all layers": partial(published, every),
        "published way, middle layer": partial(published, middle),
    }


def write(timings: dict[str, Timing], facts: dict[str, Any], name: str) -> None:
    """Write and show medians and ratios over the floor, beside the machine."""
    base = timings[FLOOR]
    lines = [f"# Topologies beside a bare forward pass: {name}", ""]
    lines += [", ".join(f"{key}: {value}" for key, value in facts.items() if value is not None)]
    lines += ["", "| | wall s | over the floor | CPU s | over the floor |", "|---|---|---|---|---|"]
    for way, timing in timings.items():
        wall, cpu = timing.over(base)
        medians = statistics.median(timing.wall), statistics.median(timing.cpu)
        lines.append(f"| {way} | {medians[0]:.4g} | {wall:.3f} | {medians[1]:.4g} | {cpu:.3f} |")
    for layers in ("all layers", "middle layer"):
        pair = [timings.get(f"{way}, {layers}") for way in ("published way", "mean")]
        if pair[0] is not None and pair[1] is not None:
            wall, cpu = pair[0].over(pair[1])
            ratios = f"{wall:.1f} times the wall and {cpu:.1f} times the CPU time"
            lines += ["", f"The published way takes {ratios} of mean, {layers}."]
    raw = {way: vars(timing) for way, timing in timings.items()}
    RESULTS.mkdir(exist_ok=True)
    content = json.dumps({"facts": facts, "timings": raw}, indent=1)
    (RESULTS / f"{name}.json").write_text(content + "\n")
    (RESULTS / f"{name}.md").write_text("\n".join(lines) + "\n")
    logger.info("\n".join(["", *lines]))


def _wanted(name: str, only: list[str] | None) -> bool:
    return only is None or name == FLOOR or any(word in name for word in only)


def _arguments() -> argparse.Namespace:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--shape", choices=sorted(SHAPES), default="0.5b")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--examples", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=256, help="tokens of each example")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="published way's")
    parser.add_argument("--only", nargs="+", metavar="WORDS", help="ways whose name has the words")
    return parser.parse_args()


if __name__ == "__main__":
    main()
