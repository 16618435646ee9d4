"""The program in processes forked from one that has already imported the libraries.

This saves only the imports, seconds per process: each is a process of its own that does all of its
work and can be killed like any other.
"""

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

from benchmarks import fault_injection
from probe.__main__ import main
from probe.distributed import child

PROCESSES = "processes"  # in HERE, a file for each of them
OUTPUT = "output"
IMPORTED = "imported"


class Forked:
    """A process that waits for an order on its standard input, and then carries it out.

    `probe.distributed.launch` uses it like a `subprocess.Popen`.
    """

    def __init__(self, here: Path, others: "Sequence[Forked]") -> None:
        reader, self._writer = os.pipe()
        self._code: int | None = None
        self.pid = os.fork()
        if not self.pid:
            # Open in the driver alone, so that the end of the driver is seen as end of file.
            for writer in (self._writer, *(other._writer for other in others)):
                os.close(writer)
            os.dup2(reader, 0)
            _exit(_rank(here))
        os.close(reader)

    def send(self, place: str, environment: dict[str, str], log: str | None) -> None:
        """Make it a rank."""
        order = json.dumps({"place": place, "environment": environment, "log": log})
        try:
            os.write(self._writer, order.encode() + b"\n")
        except BrokenPipeError:
            return  # killed, as `poll` reports

    def poll(self) -> int | None:
        """Return its exit code (negative for a signal), or None while it runs."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def wait(self, timeout: float = float("inf")) -> None:
        """Wait until it ends."""
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("a rank", timeout)
            time.sleep(0.005)

    def terminate(self) -> None:
        """Send SIGTERM."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def start(words: Sequence[str], ranks: int, here: Path) -> int:
    """Start `python -m benchmarks.fault_injection WORDS…` in a folder; return its pid."""
    (here / PROCESSES).mkdir(parents=True, exist_ok=True)
    pid = os.fork()
    if not pid:
        _exit(_drive(list(words), ranks, here))
    return pid


def import_all(here: Path) -> None:
    """Import what the last process started in a folder had imported when it ended."""
    for name in (here / IMPORTED).read_text().split():
        with suppress(Exception):  # modules that a library imports conditionally
            import_module(name)


def _drive(words: list[str], ranks: int, here: Path) -> int:
    os.environ |= {"HERE": str(here), "FAULT": "-1:0:"}
    _register(here)
    forks: list[Forked] = []
    if ranks > 1:
        for _ in range(ranks):
            forks.append(Forked(here, forks))

    def popen(
        command: list[str], env: dict[str, str], stdout: IO[bytes] | None, **_: object
    ) -> Forked:
        rank = forks[int(env["RANK"])]
        rank.send(command[-1], env, None if stdout is None else stdout.name)
        return rank

    fault_injection.prepare()
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
    _register(here)
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            return 1
        line += byte
    order = json.loads(line)
    os.environ.update(order["environment"])
    if order["log"] is not None:
        _redirect_to(Path(order["log"]))
    return child.main(Path(order["place"]))


def _register(here: Path) -> None:
    (here / PROCESSES / str(os.getpid())).touch()
    _redirect_to(here / OUTPUT)
    torch.set_num_threads(1)


def _redirect_to(file: Path) -> None:
    log = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)


def _exit(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
