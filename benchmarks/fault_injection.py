"""The program with a fault injected into one of its processes.

`python -m benchmarks.fault_injection WORDS…` is `python -m probe WORDS…`, except that every rank
writes a checkpoint after every batch, and that the variable FAULT, `rank:batches:what`, injects a
fault: after so many batches the rank sends itself a signal (`SIGKILL`) or hangs (`hang`). In the
folder HERE, a file named by its index shows that a rank is reading, and `last` holds the last
checkpoints of a run before its results were moved into place.
"""

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
    """Extract, and fail as FAULT says."""
    rank, _, rest = os.environ.get("FAULT", "-1:0:").partition(":")
    batches, _, what = rest.partition(":")
    keep._RARE = 0
    note, batches_read = Keeper.note, []

    def note_and_fail(keeper: Keeper, batch: Batch, parts: int) -> bool:
        batches_read.append(batch)
        (Path(os.environ["HERE"]) / str(ranks.index)).touch()
        if ranks.index == int(rank) and len(batches_read) == int(batches) + 1:
            fail(what)
        return note(keeper, batch, parts)

    Keeper.note = note_and_fail  # type: ignore[method-assign, assignment]
    return loop.extract(payload, ranks)


def fail(what: str) -> None:
    """Hang, or send this process a signal."""
    if what == "hang":
        time.sleep(600)
    os.kill(os.getpid(), getattr(signal, what))


def prepare() -> None:
    """Patch the program in this process."""
    # The package has a function of the same name.
    import_module("probe.distributed.launch").PATIENCE = PATIENCE  # type: ignore[attr-defined]

    def run(_: str, payload: bytes, processes: int | None, device: str) -> dict[str, Tensor]:
        return run_ranks("benchmarks.fault_injection:work", payload, processes, device)

    pipeline.run_ranks = run  # type: ignore[assignment]
    put_in_place = RunFolder._put_in_place

    def put(folder: RunFolder) -> None:
        last, copied = (Path(os.environ["HERE"]) / name for name in ("last", "copied"))
        if not last.exists():  # a kill may have interrupted an earlier attempt
            shutil.copytree(folder.work / CHECKPOINTS, copied, dirs_exist_ok=True)
            copied.rename(last)
        put_in_place(folder)

    RunFolder._put_in_place = put  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    from probe.__main__ import main

    prepare()
    main()
