"""The program with faults in its middle, in whichever of its processes they are to be.

`python -m benchmarks.faulty WORDS…` is `python -m probe WORDS…`, but that every rank keeps its sums
after every batch, and that the variable FAULT, `rank:batches:what`, is a fault: after so many
batches the rank sends itself a signal (`SIGKILL`) or hangs (`hang`). In the folder HERE a file of
its number says that a rank reads, and `last` are the last checkpoints of a run that is put in its
place.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from importlib import import_module
from pathlib import Path

from torch import Tensor

from probe import pipeline
from probe.distributed import Ranks, run_ranks
from probe.examples.batches import Batch
from probe.extraction import loop
from probe.extraction.checkpoints import Keeper, keep
from probe.runs.folder import CHECKPOINTS, RunFolder

PATIENCE = 3.0  # seconds


def fetch(payload: bytes) -> None:
    """Fetch what `work` needs."""
    loop.fetch(payload)


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

    Keeper.note = noted  # type: ignore[method-assign, assignment]
    return loop.extract(payload, ranks)


def fail(what: str) -> None:
    """Fail in one of the ways."""
    if what == "hang":
        time.sleep(600)
    os.kill(os.getpid(), getattr(signal, what))


def prepare() -> None:
    """Change the program in this process."""
    # The package has a function of this name.
    import_module("probe.distributed.launch").PATIENCE = PATIENCE  # type: ignore[attr-defined]

    def run(_: str, payload: bytes, processes: int | None, device: str) -> dict[str, Tensor]:
        return run_ranks("benchmarks.faulty:work", payload, processes, device)

    pipeline.run_ranks = run  # type: ignore[attr-defined, assignment]
    put_in_place = RunFolder._put_in_place

    def put(folder: RunFolder) -> None:
        last, copied = (Path(os.environ["HERE"]) / name for name in ("last", "copied"))
        if not last.exists():  # it may be the second try, after a kill in the middle of the first
            shutil.copytree(folder.work / CHECKPOINTS, copied, dirs_exist_ok=True)
            copied.rename(last)
        put_in_place(folder)

    RunFolder._put_in_place = put  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    from probe.__main__ import main

    prepare()
    main()
