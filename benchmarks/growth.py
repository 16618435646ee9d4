"""Memory, disk and time of whole runs as the examples grow, against the predictions of `cost`.

The time of the largest run is predicted from the smaller one, minus the time of a run of two
examples. Memory by texts is measured apart, see `benchmarks.texts`.
"""

import argparse
import tempfile
from pathlib import Path

import torch

from benchmarks import cost, texts
from benchmarks.commands import probe, save_model, save_texts, size_of
from benchmarks.report import Report, save
from benchmarks.shapes import SHAPES
from benchmarks.timing import describe

SHAPE, SIZES, WORDS = "small", (2, 100, 1000), 110


def run(options: argparse.Namespace) -> None:
    """Measure the runs one after the other."""
    if not options.only_texts:
        _runs()
    texts.run(options.texts, options.rounds, options.simulated)


def _runs() -> None:
    device = torch.device("cpu")
    layers = SHAPES[SHAPE]["num_hidden_layers"]
    rows, raw = [], {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model = save_model(SHAPE, folder / "model")
        save_texts(SIZES[-1], WORDS, folder / "texts.jsonl")
        for size in SIZES:
            usage, run_folder, manifest = probe(
                "model=local", f"model.path={model}", "init=random", "data=text",
                f"data.path={folder}/texts.jsonl", f"data.limit={size}", "layers=each",
                "runtime.device=cpu", f"output={folder}/out", "measures.rewired=0",
            )  # fmt: skip
            matrices = size_of(run_folder / "topology")
            raw[size] = {
                "seconds": usage.seconds, "cpu": usage.cpu, "peak": usage.peak,
                "extraction": manifest["seconds"], "tokens": manifest["tokens"],
                "matrices": matrices, "folder": size_of(run_folder),
            }  # fmt: skip
            rows.append(
                [str(size), str(manifest["tokens"]), f"{manifest['seconds']:.1f}",
                 f"{usage.peak / 1e6:.0f}", f"{matrices / 1e6:.2f}",
                 f"{cost.matrix_bytes(SHAPES[SHAPE], layers) / 1e6:.2f}",
                 f"{size_of(run_folder) / 1e6:.1f}"]
            )  # fmt: skip
    save(
        Report(
            name="growth-cpu",
            title="Whole runs as the examples grow",
            facts=describe(device) | {"shape": SHAPE, "layers": "each"},
            columns=["examples", "tokens", "extraction s", "peak MB", "matrices MB",
                     "predicted MB", "run folder MB"],
            rows=rows,
            notes=_notes(raw),
            raw=raw,
        )
    )  # fmt: skip


def _notes(raw: dict[int, dict[str, float]]) -> list[str]:
    least, few, many = (raw[size] for size in SIZES)
    tokens = many["tokens"] - few["tokens"]
    grown = many["peak"] - few["peak"]
    speed = (few["extraction"] - least["extraction"]) / (few["tokens"] - least["tokens"])
    predicted = few["extraction"] + speed * tokens
    return [
        f"From {SIZES[1]} to {SIZES[2]} examples peak memory grew by {grown / 1e6:.1f} MB.",
        f"The predicted time for {SIZES[2]} examples was {predicted:.1f} s; it took "
        f"{many['extraction']:.1f} s.",
    ]
