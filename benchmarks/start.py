"""Start-up time, against importing the libraries alone."""

import argparse
import statistics
import sys
import tempfile

import torch

from benchmarks.commands import call
from benchmarks.report import Report, save
from benchmarks.timing import describe

LIBRARIES = (
    "import accelerate, torch, transformers; transformers.AutoModel, transformers.Qwen2Model"
)


def run(options: argparse.Namespace) -> None:
    """Time each command once per round, after a round that fills the disk cache."""
    with tempfile.TemporaryDirectory() as output:
        run_words = ["data.limit=4", "tracking=none", f"output={output}", "overwrite=true"]
        commands = {
            "python, importing the libraries": ["-c", LIBRARIES],
            "--help": ["-m", "probe", "--help"],
            "reading a topology (probe.api)": ["-c", "import probe.api"],
            "a run of 4 examples": ["-m", "probe", *run_words],
            "the same on 2 ranks": ["-m", "probe", *run_words, "launch.num_processes=2"],
        }
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(options.rounds + 1):
            for name, words in commands.items():
                usage = call([sys.executable, *words])
                if number:
                    seconds[name].append(usage.seconds)
    floor = seconds["python, importing the libraries"]
    save(
        Report(
            name="start-cpu",
            title="Start-up time",
            facts=describe(torch.device("cpu")) | {"rounds": options.rounds},
            columns=["", "s", "over the libraries"],
            rows=[
                [name, f"{statistics.median(times):.2f}",
                 f"{statistics.median(a / b for a, b in zip(times, floor, strict=True)):.2f}"]
                for name, times in seconds.items()
            ],
            raw=seconds,
        )
    )  # fmt: skip
