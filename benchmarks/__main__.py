"""What topologies cost, measured: every result lies beside the machine in benchmarks/results.

python -m benchmarks                                    # everything: half an hour on two cores
python -m benchmarks ways                               # beside a bare forward pass and other ways
python -m benchmarks ways --only "mean, all" "published" --rounds 3
python -m benchmarks ways --shape 7b --dtype bfloat16 --matmul bf16x3 --device cuda
python -m benchmarks growth ranks start                 # memory and disk, ranks, start-up
python -m benchmarks factors                            # training on factors and on matrices
"""

from __future__ import annotations

import argparse
import logging
import os

import torch

from benchmarks import factors, growth, ranks, start, ways
from benchmarks.shapes import SHAPES

PARTS = {
    "ways": ways.run, "growth": growth.run, "ranks": ranks.run, "start": start.run,
    "factors": factors.run,
}  # fmt: skip


def main() -> None:
    """Measure what was asked for."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s  %(message)s", datefmt="%H:%M:%S")
    asked = _arguments()
    for name in asked.parts or PARTS:
        PARTS[name](asked)


def _arguments() -> argparse.Namespace:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], metavar="PART",
                        help=f"{', '.join(PARTS)}; without any, all")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=3)
    more = parser.add_argument_group("ways")
    more.add_argument("--shape", choices=sorted(SHAPES), default="0.5b")
    more.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    more.add_argument("--matmul", choices=["fp32", "tf32", "bf16x3"], default="fp32")
    more.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    more.add_argument("--examples", type=int, default=16)
    more.add_argument("--tokens", type=int, default=256, help="tokens of each example")
    more.add_argument("--processes", type=int, default=os.cpu_count(), help="published way's")
    more.add_argument("--only", nargs="+", metavar="WORDS", help="ways whose name has the words")
    return parser.parse_args()


if __name__ == "__main__":
    main()
