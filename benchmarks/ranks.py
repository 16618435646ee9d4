"""Two ranks of one thread each against one rank of one thread.

Time is the slope between two numbers of examples: starting a rank is not part of the work that
ranks share, and is reported separately.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import torch

from benchmarks.commands import probe, save_model, save_texts
from benchmarks.report import Report, save
from benchmarks.timing import describe

SHAPE, SIZES, WORDS, RANKS = "small", (32, 160), 110, (1, 2)


def run(options: argparse.Namespace) -> None:
    """Measure each number of ranks in turn."""
    slopes: dict[int, list[float]] = {ranks: [] for ranks in RANKS}
    starts: dict[int, list[float]] = {ranks: [] for ranks in RANKS}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model = save_model(SHAPE, folder / "model")
        save_texts(SIZES[1], WORDS, folder / "texts.jsonl")
        words = [
            "model=local", f"model.path={model}", "init=random", "data=text",
            f"data.path={folder}/texts.jsonl", "runtime.device=cpu", f"output={folder}/out",
            "measures.rewired=0",
        ]  # fmt: skip
        for _ in range(options.rounds):
            for ranks in RANKS:
                few, many = (
                    probe(*words, f"data.limit={size}", f"launch.num_processes={ranks}", threads=1)[
                        2
                    ]["seconds"]
                    for size in SIZES
                )
                slope = (many - few) / (SIZES[1] - SIZES[0])
                slopes[ranks].append(slope)
                starts[ranks].append(few - slope * SIZES[0])
    ratio = statistics.median(a / b for a, b in zip(slopes[1], slopes[2], strict=True))
    save(
        Report(
            name="ranks-cpu",
            title="Ranks of one thread each",
            facts=describe(torch.device("cpu")) | {"shape": SHAPE, "rounds": options.rounds},
            columns=["ranks", "examples per second", "s before and after"],
            rows=[
                [str(ranks), f"{1 / statistics.median(slopes[ranks]):.3f}",
                 f"{statistics.median(starts[ranks]):.1f}"]
                for ranks in RANKS
            ],
            notes=[f"Two ranks do {ratio:.2f} times the work of one in the same time."],
            raw={"seconds an example": slopes, "other seconds": starts},
        )
    )  # fmt: skip
