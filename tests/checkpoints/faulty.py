"""Runs the program with faults in its middle, in whichever of its processes they are to be.

`python -m tests.checkpoints.faulty WORDS…` is `python -m probe WORDS…`, but that every rank keeps
its sums after every batch, and that the variable FAULT, `rank:batches:what`, is a fault: after so
many batches the rank sends itself a signal (`SIGKILL`) or hangs (`hang`). In the folder HERE a file
of its number says that a rank reads.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from torch import Tensor

from probe import extract, pipeline
from probe.batches import Batch
from probe.checkpoints import Keeper, keep
from probe.distributed import Ranks, launch, run_ranks


def fetch(payload: bytes) -> None:
    """Fetch what `work` needs."""
    extract.fetch(payload)


def work(payload: bytes, ranks: Ranks) -> dict[str, Tensor]:
    """Extract, and fail where it is said to."""
    rank, _, rest = os.environ.get("FAULT", "-1:0:").partition(":")
    batches, _, what = rest.partition(":")
    keep._RARE = 0
    note, read = Keeper.note, []

    def noted(keeper: Keeper, batch: Batch, parts: int) -> bool:
        read.append(batch)
        (Path(os.environ["HERE"]) / str(ranks.index)).touch()
        if ranks.index == int(rank) and len(read) == int(batches) + 1:
            fail(what)
        return note(keeper, batch, parts)

    Keeper.note = noted  # type: ignore[method-assign]
    return extract.extract(payload, ranks)


def fail(what: str) -> None:
    """Fail in one of the ways."""
    if what == "hang":
        time.sleep(600)
    os.kill(os.getpid(), getattr(signal, what))


if __name__ == "__main__":
    from probe.__main__ import main

    launch.PATIENCE = 3.0

    def run(_: str, payload: bytes, processes: int | None, device: str) -> dict[str, Tensor]:
        return run_ranks("tests.checkpoints.faulty:work", payload, processes, device)

    pipeline.run_ranks = run  # type: ignore[attr-defined]
    main()
