"""What a rank does with its sums while it works: keep them now and then, and before it ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol

from torch import Tensor

from probe.distributed import Ranks
from probe.examples.batches import Batch
from probe.examples.request import Request
from probe.extraction.checkpoints.file import SUFFIX, Header, load, write
from probe.extraction.checkpoints.interruption import Interruption
from probe.system.device_memory import format_bytes

logger = logging.getLogger(__name__)
# A checkpoint may cost one part in this many of a rank's time.
_RARE = 100


class Sums(Protocol):
    """What can be kept: `totals.Accumulator`, and what else is added up batch by batch.

    Attributes
    ----------
    counts : Tensor of int64
        The last one counts the batches that were read in parts.
    """

    counts: Tensor

    def state(self) -> dict[str, Tensor]:
        """Return all sums by name."""

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the `state()` of others."""


class Keeper:
    """Keeps the sums of one rank, and lets rank 0 begin with those that are there.

    Every rank has one file a session, which it replaces. Sums are written between batches alone,
    every max(`runtime.checkpoint_minutes`, 100 × the seconds that the last time took), so that less
    than 1 % of the time goes there, and when a signal asks the process to end. Rank 0's file
    contains those of earlier sessions; only when it is on the disk are they removed, and a file all
    of whose batches are in others is not counted, so that a batch is neither lost nor counted twice
    whenever the process is killed. Without a folder nothing is kept.

    Parameters
    ----------
    request : Request
        The extraction.
    ranks : Ranks
        This process among the ranks.
    sums : Sums
        Its sums, empty so far.
    """

    def __init__(self, request: Request, ranks: Ranks, sums: Sums) -> None:
        self._request, self._ranks, self._sums = request, ranks, sums
        self._kept = request.checkpoints
        self._number = {batch.members[0]: n for n, batch in enumerate(request.batches)}
        self._done: list[int] = []
        self._unwritten = self._failed = self._told = False
        self._began = self._last = time.monotonic()
        self._took = 0.0
        self._interruption = Interruption()

    def __enter__(self) -> Keeper:
        if self._kept is not None:
            if self._ranks.main:
                for name, seal in self._kept.files.items():
                    self._sums.merge(load(Path(self._kept.folder) / name, seal))
                self._done += self._kept.batches
            self._interruption.__enter__()
            self._began = self._last = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._interruption.__exit__(kind, error, trace)

    def note(self, batch: Batch, parts: int) -> bool:
        """Note a batch that is in the sums, read in some parts; whether to go on with the next."""
        self._sums.counts[-1] += parts > 1
        self._done.append(self._number[batch.members[0]])
        self._unwritten = True
        return self._go_on()

    def wait(self) -> None:
        """Wait until all ranks are through with their batches, or the process is to end."""
        self._ranks.meet(self._request.run, self._go_on)

    def _go_on(self) -> bool:
        stop = self._interruption.received is not None
        if self._kept is not None and self._unwritten and (stop or self._due()):
            self._keep()
        return not stop

    def _due(self) -> bool:
        pause = max(60 * self._request.config.runtime.checkpoint_minutes, _RARE * self._took)
        return time.monotonic() - self._last >= pause

    def _keep(self) -> None:
        """Write the sums; where that fails the run goes on, and it is tried again later."""
        assert self._kept is not None
        session = self._kept.sessions + 1
        file = Path(self._kept.folder) / f"session{session}-rank{self._ranks.index}{SUFFIX}"
        started = time.monotonic()
        header = Header(
            of=self._kept.of,
            batches=self._done,
            seconds=round(self._kept.seconds + started - self._began, 3),
        )
        try:
            # On a machine of its own a rank may not see the disk that rank 0 writes to.
            if not file.parent.is_dir():
                raise FileNotFoundError(0, "the folder is not there")
            write(file, header, self._sums.state())
        except OSError as error:
            self._tell_failure(file, error)
        else:
            self._unwritten = False
            if self._ranks.main:
                self._remove_old(file)
            self._told = self._tell(file, time.monotonic() - started)
        self._last = time.monotonic()
        self._took = self._last - started

    def _tell(self, file: Path, seconds: float) -> bool:
        """Say what a checkpoint costs, once."""
        if self._ranks.main and not self._told:
            logger.info("checkpoint: %s in %.2f s", format_bytes(file.stat().st_size), seconds)
        return True

    def _tell_failure(self, file: Path, error: OSError) -> None:
        if not self._failed:
            logger.warning(
                "rank %d cannot keep its sums in %s (%s); the run goes on and tries again later",
                self._ranks.index, file, error.strerror or error,
            )  # fmt: skip
        self._failed = True

    def _remove_old(self, file: Path) -> None:
        assert self._kept is not None
        for name in self._kept.old:
            # One that stays is not counted: all its batches are in this file.
            with suppress(OSError):
                file.with_name(name).unlink()
