"""Start-up time, against importing the libraries alone."""

import argparse
import statistics
import sys
import tempfile
from operator import attrgetter

import torch

from benchmarks.commands import Usage, call
from benchmarks.report import Report, save
from benchmarks.timing import describe

LIBRARIES = (
    "import accelerate, torch, transformers; transformers.AutoModel, transformers.Qwen2Model"
)


def run(options: argparse.Namespace) -> None:
    """Time each command once per round, after a round that fills the disk cache."""
    with tempfile.TemporaryDirectory() as output:
        tracked = ["data.limit=4", f"output={output}", "overwrite=true", "tracking.mode=offline"]
        words = [*tracked[:-1], "tracking=none"]
        commands = {
            "python, importing the libraries": ["-c", LIBRARIES],
            "--help": ["-m", "probe", "--help"],
            "reading a topology (probe.api)": ["-c", "import probe.api"],
            "a run of 4 examples": ["-m", "probe", *words],
            "the same with W&B": ["-m", "probe", *tracked],
            "a run on 2 ranks": ["-m", "probe", *words, "launch.num_processes=2"],
        }
        usages: dict[str, list[Usage]] = {name: [] for name in commands}
        for number in range(options.rounds + 1):
            for name, command in commands.items():
                usage = call([sys.executable, *command])
                if number:
                    usages[name].append(usage)
    save(report(usages, describe(torch.device("cpu")) | {"rounds": options.rounds}))


def report(usages: dict[str, list[Usage]], facts: dict[str, object]) -> Report:
    """Return the report: medians of wall and CPU time, and ratios to the first within a round."""
    floor, *_ = usages.values()
    rows = []
    for name, found in usages.items():
        cells = [name]
        for kind in (attrgetter("seconds"), attrgetter("cpu")):
            ratios = [kind(one) / kind(base) for one, base in zip(found, floor, strict=True)]
            cells += [f"{statistics.median(map(kind, found)):.2f}"]
            cells += [f"{statistics.median(ratios):.2f}"]
        rows.append(cells)
    return Report(
        name="start-cpu",
        title="Start-up time",
        facts=facts,
        columns=["", "s", "over the libraries", "CPU s", "over the libraries"],
        rows=rows,
        raw={name: [vars(one) for one in found] for name, found in usages.items()},
    )
