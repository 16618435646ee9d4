"""Measure what topologies cost; results and a description of the machine go to benchmarks/results.

python -m benchmarks                                    # everything: half an hour on two cores
python -m benchmarks methods                            # against a bare forward pass and others
python -m benchmarks methods --only "mean, all" "published" --rounds 3
python -m benchmarks methods --shape 7b --dtype bfloat16 --matmul bf16x3 --device cuda
python -m benchmarks growth ranks start sweep           # memory and disk, ranks, start-up, sweeps
python -m benchmarks growth --only-texts --texts 400 800 --simulated 1000000    # its small form
python -m benchmarks gpu                                # two minutes of a CUDA device
python -m benchmarks measures                           # against the program of an earlier commit
python -m benchmarks factors                            # training on factors and on matrices
python -m benchmarks ica                                # networks, against scikit-learn's FastICA
python -m benchmarks glm                                # general linear models, against nilearn
python -m benchmarks neuron_graphs                      # graphs of neurons, as published and ours
python -m benchmarks neuron_graphs --weights FOLDER --neurons 6
python -m benchmarks multifractal                       # weights, against the published way
python -m benchmarks sinks                              # norms, share, topologies without sinks
"""

import argparse
import logging
import os
from importlib import import_module
from typing import Any

import torch

from benchmarks.shapes import SHAPES

PARTS = (
    "methods", "growth", "ranks", "start", "sweep", "measures", "factors", "ica", "glm",
    "neuron_graphs", "multifractal", "sinks", "gpu",
)  # fmt: skip


def main() -> None:
    """Run the selected parts."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s  %(message)s", datefmt="%H:%M:%S")
    options = _arguments()
    for name in options.parts or PARTS:
        import_part(name).run(options)


def import_part(name: str) -> Any:
    """Import a part's module, or say which package it lacks: few are on a machine with a GPU."""
    try:
        return import_module(f"benchmarks.{name}")
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package in ("benchmarks", "probe", "experiments"):
            raise
        raise SystemExit(
            f"benchmarks: {name} needs the package {package}, which is not installed; see "
            "pyproject.toml for its version and extra"
        ) from None


def _arguments() -> argparse.Namespace:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], metavar="PART",
                        help=f"{', '.join(PARTS)}; default: all")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=3)
    group = parser.add_argument_group("methods")
    group.add_argument("--shape", choices=sorted(SHAPES), default="0.5b")
    group.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    group.add_argument("--matmul", choices=["fp32", "tf32", "bf16x3"], default="fp32")
    group.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    group.add_argument("--examples", type=int, default=16)
    group.add_argument("--tokens", type=int, default=256, help="tokens of each example")
    group.add_argument("--processes", type=int, default=os.cpu_count(), help="published method's")
    group.add_argument("--only", nargs="+", metavar="WORDS", help="methods named with these words")
    group = parser.add_argument_group("growth")
    group.add_argument("--only-texts", action="store_true", help="only the memory by texts")
    group.add_argument(
        "--texts",
        type=int,
        nargs="+",
        default=[1600, 6400, 25600],
        metavar="NUMBER",
        help="two numbers of texts or more, rising",
    )
    group.add_argument("--simulated", type=int, default=10_000_000, help="tokens of a stream")
    group = parser.add_argument_group("neuron_graphs")
    group.add_argument("--weights", help="folder of a model; default: the bundled one")
    group.add_argument("--neurons", type=int, default=30, help="neurons of both procedures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
