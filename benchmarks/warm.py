"""The program in processes that are forked from one that has imported all it needs.

Only the imports are saved, seconds a process: each is a process of the operating system that does
all of its work itself, and can be killed as any other.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import IO, NoReturn

import torch

from benchmarks import faulty
from probe.__main__ import main
from probe.distributed import child

PROCESSES = "processes"  # in HERE, a file for each of them
SAID = "said"
IMPORTED = "imported"


class Forked:
    """A process that waits for a line on its standard input, and does then what that says.

    To `probe.distributed.launch` it is what `subprocess.Popen` gives.
    """

    def __init__(self, here: Path, others: Sequence[Forked]) -> None:
        reader, self._writer = os.pipe()
        self._code: int | None = None
        self.pid = os.fork()
        if not self.pid:
            # Held open by the driver alone, or its end would not be heard.
            for writer in (self._writer, *(other._writer for other in others)):
                os.close(writer)
            os.dup2(reader, 0)
            _leave(_rank(here))
        os.close(reader)

    def tell(self, place: str, environment: dict[str, str], log: str | None) -> None:
        """Let it be a rank."""
        order = json.dumps({"place": place, "environment": environment, "log": log})
        try:
            os.write(self._writer, order.encode() + b"\n")
        except BrokenPipeError:
            return  # killed; `poll` says so

    def poll(self) -> int | None:
        """Return its exit code, the negative number of a signal, or nothing while it runs."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def wait(self, timeout: float = float("inf")) -> None:
        """Wait for its end."""
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("a rank", timeout)
            time.sleep(0.005)

    def terminate(self) -> None:
        """Ask it to end."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Make it end."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def start(words: Sequence[str], ranks: int, here: Path) -> int:
    """Start `python -m benchmarks.faulty WORDS…` in a folder; return the process's number."""
    (here / PROCESSES).mkdir(parents=True, exist_ok=True)
    pid = os.fork()
    if not pid:
        _leave(_drive(list(words), ranks, here))
    return pid


def import_all(here: Path) -> None:
    """Import what the last process that was started in a folder had imported when it ended."""
    for name in (here / IMPORTED).read_text().split():
        with suppress(Exception):  # a library's own trials
            import_module(name)


def _drive(words: list[str], ranks: int, here: Path) -> int:
    os.environ |= {"HERE": str(here), "FAULT": "-1:0:"}
    _note(here)
    waiting: list[Forked] = []
    if ranks > 1:
        for _ in range(ranks):
            waiting.append(Forked(here, waiting))

    def popen(
        given: list[str], env: dict[str, str], stdout: IO[bytes] | None, **_: object
    ) -> Forked:
        rank = waiting[int(env["RANK"])]
        rank.tell(given[-1], env, None if stdout is None else stdout.name)
        return rank

    faulty.prepare()
    import_module("probe.distributed.launch").subprocess = SimpleNamespace(  # type: ignore[attr-defined]
        Popen=popen, PIPE=subprocess.PIPE, TimeoutExpired=subprocess.TimeoutExpired
    )
    sys.argv = ["probe", *words, f"launch.num_processes={ranks}"]
    try:
        main()
    except SystemExit as end:
        (here / IMPORTED).write_text("\n".join(list(sys.modules)))
        return end.code if isinstance(end.code, int) else 1
    return 0


def _rank(here: Path) -> int:
    _note(here)
    line = bytearray()
    while not line.endswith(b"\n"):
        letter = os.read(0, 1)
        if not letter:
            return 1
        line += letter
    order = json.loads(line)
    os.environ.update(order["environment"])
    if order["log"] is not None:
        _write_to(Path(order["log"]))
    return child.main(Path(order["place"]))


def _note(here: Path) -> None:
    (here / PROCESSES / str(os.getpid())).touch()
    _write_to(here / SAID)
    torch.set_num_threads(1)


def _write_to(file: Path) -> None:
    log = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)


def _leave(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
