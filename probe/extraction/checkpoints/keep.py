"""Saving a rank's sums: from time to time, and before it ends."""

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
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


class _Sums(Protocol):
    counts: Tensor  # the last entry is of the batches that were read in parts

    def state(self) -> dict[str, Tensor]: ...

    def merge(self, state: Mapping[str, Tensor]) -> None: ...


class Keeper:
    """Saves the sums of one rank, and loads those of earlier sessions on rank 0.

    Every rank has one file per session, which it replaces. Sums are written between batches, every
    max(`runtime.checkpoint_minutes`, 100 × the duration of the last write), so that writing takes
    less than 1 % of the time, and when a signal ends the process. Rank 0's file contains those of
    earlier sessions, which are removed only once it is on the disk; a file all of whose batches are
    in others is not counted. So no batch is lost or counted twice, whenever the process is killed.
    Without a folder nothing is saved.

    Parameters
    ----------
    request : Request
        The extraction.
    ranks : Ranks
        This process among the ranks.
    sums
        Its sums, empty so far: an `Accumulator`, or `with_head.Rows`.
    """

    def __init__(self, request: Request, ranks: Ranks, sums: _Sums) -> None:
        self._request, self._ranks, self._sums = request, ranks, sums
        self._checkpoints = request.checkpoints
        self._number = {batch.members[0]: n for n, batch in enumerate(request.batches)}
        self._done: list[int] = []
        self._unwritten = self._failed = self._logged = False
        self._began = self._last = time.monotonic()
        self._took = 0.0
        self._interruption = Interruption()

    def __enter__(self) -> "Keeper":
        if self._checkpoints is not None:
            if self._ranks.main:
                for name, seal in self._checkpoints.files.items():
                    self._sums.merge(load(Path(self._checkpoints.folder) / name, seal))
                self._done += self._checkpoints.batches
            self._interruption.__enter__()
            self._began = self._last = time.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._interruption.__exit__(kind)

    def note(self, batch: Batch, parts: int) -> bool:
        """Note a finished batch and the number of its parts; return whether to go on."""
        self._sums.counts[-1] += parts > 1
        self._done.append(self._number[batch.members[0]])
        self._unwritten = True
        return self._go_on()

    def wait(self) -> None:
        """Wait until all ranks have finished their batches, or a signal ends this one."""
        self._ranks.meet(self._request.run, self._go_on)

    def _go_on(self) -> bool:
        stop = self._interruption.received is not None
        if self._checkpoints is not None and self._unwritten and (stop or self._due()):
            self._keep()
        return not stop

    def _due(self) -> bool:
        pause = max(60 * self._request.config.runtime.checkpoint_minutes, _RARE * self._took)
        return time.monotonic() - self._last >= pause

    def _keep(self) -> None:
        """Write the sums; if that fails, the run continues and it is retried later."""
        assert self._checkpoints is not None
        session = self._checkpoints.sessions + 1
        file = Path(self._checkpoints.folder) / f"session{session}-rank{self._ranks.index}{SUFFIX}"
        started = time.monotonic()
        header = Header(
            of=self._checkpoints.of,
            batches=self._done,
            seconds=round(self._checkpoints.seconds + started - self._began, 3),
        )
        try:
            # A rank on another machine may not see rank 0's disk.
            if not file.parent.is_dir():
                raise FileNotFoundError(0, "the folder is not there")
            write(file, header, self._sums.state())
        except OSError as error:
            self._warn_of_failure(file, error)
        else:
            self._unwritten = False
            if self._ranks.main:
                self._remove_old(file)
            self._log_cost(file, time.monotonic() - started)
        self._last = time.monotonic()
        self._took = self._last - started

    def _log_cost(self, file: Path, seconds: float) -> None:
        if self._ranks.main and not self._logged:
            logger.info("checkpoint: %s in %.2f s", format_bytes(file.stat().st_size), seconds)
        self._logged = True

    def _warn_of_failure(self, file: Path, error: OSError) -> None:
        if not self._failed:
            logger.warning(
                "rank %d cannot save its sums in %s (%s); the run continues and retries later",
                self._ranks.index, file, error.strerror or error,
            )  # fmt: skip
        self._failed = True

    def _remove_old(self, file: Path) -> None:
        assert self._checkpoints is not None
        for name in self._checkpoints.old:
            # One that stays is not counted, as all its batches are in this file.
            with suppress(OSError):
                file.with_name(name).unlink()
