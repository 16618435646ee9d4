"""Runs the program with faults in its middle, in whichever of its processes they are to be.

`python -m tests.checkpoints.faulty WORDS…` is `python -m probe WORDS…`, but that every rank keeps
its sums after every batch, and that the variable FAULT, `rank:batches:what`, is a fault: after so
many batches the rank sends itself a signal (`SIGKILL`), or the driver (`driver:SIGINT`), raises
(`raise`) or hangs (`hang`), which is told by a file named in the variable HUNG.
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
        if ranks.index == int(rank) and len(read) == int(batches) + 1:
            fail(what)
        return note(keeper, batch, parts)

    Keeper.note = noted  # type: ignore[method-assign]
    return extract.extract(payload, ranks)


def fail(what: str) -> None:
    """Fail in one of the ways."""
    if what == "raise":
        raise ArithmeticError("a bug")
    if what == "hang":
        Path(os.environ["HUNG"]).touch()
        time.sleep(600)
    to, _, name = what.rpartition(":")
    os.kill(os.getppid() if to == "driver" else os.getpid(), getattr(signal, name))
    if name != "SIGKILL":
        time.sleep(0.5)  # the driver passes it on meanwhile


if __name__ == "__main__":
    from probe.__main__ import main

    launch.PATIENCE = 5.0

    def run(_: str, payload: bytes, processes: int | None, device: str) -> dict[str, Tensor]:
        return run_ranks("tests.checkpoints.faulty:work", payload, processes, device)

    pipeline.run_ranks = run  # type: ignore[attr-defined]
    main()
