"""Memory, disk and time of whole runs as the examples grow, against the predictions of `cost`.

The time of the largest run is predicted from the smaller one, minus the time of a run of two
examples. Memory by texts is measured apart, over texts of 184 tokens: whole runs of the bundled
model, all that comes before the model, and a simulated stream of ten million tokens.
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import cost
from benchmarks.commands import measured, probe, save_model, save_texts, size_of
from benchmarks.report import Report, save
from benchmarks.shapes import SHAPES
from benchmarks.timing import describe

SHAPE, SIZES, WORDS = "small", (2, 100, 1000), 110
# Words of a text of 184 tokens under the bundled tokenizer.
SHORT = 55


def run(options: argparse.Namespace) -> None:
    """Measure the runs one after the other."""
    if not options.only_texts:
        _runs()
    _by_texts(options.texts, options.simulated)


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


def _by_texts(sizes: Sequence[int], simulated: int) -> None:
    """Measure memory in bytes a token, between a smaller and a larger number of texts."""
    raw: dict[str, Any] = {"planned": [], "runs": []}
    with tempfile.TemporaryDirectory() as place:
        for size in sizes:
            file = Path(place, f"{size}.jsonl")
            save_texts(size, SHORT, file)
            words = [
                "data=text", f"data.path={file}", "runtime.device=cpu", "measures.rewired=0",
                f"output={place}/out",
            ]  # fmt: skip
            raw["planned"].append(measured("benchmarks.layout", *words))
            usage, _, manifest = probe(*words)
            raw["runs"].append({"memory": usage.peak, "tokens": manifest["tokens"]})
    raw["simulated"] = layout = measured("benchmarks.layout", str(simulated))
    rows = [
        [
            what,
            *(str(one["tokens"]) for one in ends),
            *(f"{one['memory'] / 1e6:.0f}" for one in ends),
            f"{_per_token(*ends):.1f}",
        ]
        for what, ends in (("all before the model", raw["planned"]), ("whole runs", raw["runs"]))
    ]  # fmt: skip
    per_token = layout["memory"] / layout["tokens"]
    save(
        Report(
            name="texts-cpu",
            title="Memory by texts",
            facts=describe(torch.device("cpu")) | {"texts": " and ".join(map(str, sizes))},
            columns=["what", "tokens", "then", "peak MB", "then", "bytes a token"],
            rows=rows,
            notes=[
                f"A simulated stream of {layout['tokens']} tokens in {layout['texts']} texts took "
                f"{layout['memory'] / 1e6:.0f} MB of memory ({per_token:.1f} bytes a token), "
                f"{layout['file'] / 1e6:.0f} MB of disk and {layout['request'] / 1e6:.1f} MB for "
                f"the request to the ranks, until a share of {layout['tokens of a share']} tokens "
                f"was read; so a billion tokens take {per_token:.1f} GB of memory and "
                f"{layout['file'] / layout['tokens']:.1f} GB of disk.",
            ],
            raw=raw,
        )
    )  # fmt: skip


def _per_token(few: Mapping[str, float], many: Mapping[str, float]) -> float:
    return (many["memory"] - few["memory"]) / (many["tokens"] - few["tokens"])
