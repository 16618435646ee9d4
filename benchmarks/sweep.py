"""A sweep over six layers against one run with all of them, which reads the texts once."""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import torch

from benchmarks.commands import Usage, call, save_model, save_texts
from benchmarks.report import Report, save
from benchmarks.timing import describe

LAYERS, TEXTS, WORDS = 6, 16, 110
ONE, SWEEP = "one run", "a sweep"


def run(options: argparse.Namespace) -> None:
    """Time run and sweep in turn: of the bundled model, and of a larger one with random weights."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model = save_model("small", folder / "model")
        save_texts(TEXTS, WORDS, folder / "texts.jsonl")
        large = ["model=local", f"model.path={model}", "init=random"]
        rest = ["data=text", f"data.path={folder}/texts.jsonl", "runtime.device=cpu"]
        usages = {
            "tiny, 6 × 128": _measure(rest, folder / "out", options.rounds),
            "small, 6 × 512": _measure([*large, *rest], folder / "out", options.rounds),
        }
    save(report(usages, describe(torch.device("cpu")) | {"rounds": options.rounds}))


def report(usages: dict[str, dict[str, list[Usage]]], facts: dict[str, object]) -> Report:
    """Return the report: medians, and ratios within a round."""
    rows = []
    for model, usage in usages.items():
        pairs = list(zip(usage[SWEEP], usage[ONE], strict=True))
        cells = [
            f"{statistics.median(one.cpu for one in usage[kind]):.1f}" for kind in (ONE, SWEEP)
        ]
        wall = statistics.median(sweep.seconds / one.seconds for sweep, one in pairs)
        cpu = statistics.median(sweep.cpu / one.cpu for sweep, one in pairs)
        rows.append([model, *cells, f"{cpu:.2f}", f"{wall:.2f}"])
    return Report(
        name="sweep-cpu",
        title=f"A sweep of {LAYERS} layers against one run with all of them",
        facts=facts | {"texts": TEXTS, "words of a text": WORDS},
        columns=["model", "one run, CPU s", "the sweep, CPU s", "ratio", "ratio of wall times"],
        rows=rows,
        raw={
            model: {kind: [vars(one) for one in found] for kind, found in usage.items()}
            for model, usage in usages.items()
        },
    )


def _measure(words: list[str], output: Path, rounds: int) -> dict[str, list[Usage]]:
    layers = ",".join(map(str, range(LAYERS)))
    kinds = {ONE: [f"layers=[{layers}]"], SWEEP: ["-m", f"layers={layers}"]}
    usages: dict[str, list[Usage]] = {kind: [] for kind in kinds}
    rest = ["tracking=none", f"output={output}", "overwrite=true", *words]
    for number in range(rounds + 1):
        for kind, own in kinds.items():
            usage = call([sys.executable, "-m", "probe", *own, *rest])
            if number:  # the first fills the disk's cache
                usages[kind].append(usage)
    return usages
