"""Processes that do the same work for many items, such as the matrices of a run.

They are plain processes that read and write lines of JSON, as local ranks are, and not those of
multiprocessing: nothing is pickled, the caller's `__main__` is not imported again, so that scripts
and notebooks need no guard, and a worker ends when its driver does, however that ends.
"""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeAlias

from probe.system.machine import cores

logger = logging.getLogger(__name__)
# Threads of the libraries that multiply matrices.
_THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
)  # fmt: skip
Item: TypeAlias = dict[str, Any]
_Worker: TypeAlias = "subprocess.Popen[str]"


class _FailedError(Exception):
    """What a worker could not do."""


class Workers:
    """Worker processes, which start with the first work and end with the context.

    Parameters
    ----------
    processes : int
        Their number; with fewer than two, the work is done in this process.
    """

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self._workers: list[_Worker] = []
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        self._ended = count(1)
        self._threads = ThreadPoolExecutor(max(1, processes))

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.kill()  # whoever waits for an answer gets none
        self._threads.shutdown(cancel_futures=True)
        for worker in self._workers:
            worker.wait()
            for stream in (worker.stdin, worker.stdout):
                assert stream is not None
                with suppress(OSError):  # of a question that it did not read
                    stream.close()

    def map(self, function: str, items: Sequence[Item]) -> Iterator[Any]:
        """Yield what `module:function` returns for every item, in order.

        What fails in a worker is done again in this process: an error is raised as if there were no
        workers, and one that only a worker has, such as too little memory, stops nothing.

        Parameters
        ----------
        function : str
            Called with an item; it returns what JSON can hold, the same in every process.
        items : sequence of dict
            What JSON can hold.
        """
        if min(self.processes, len(items)) < 2 or not self._started():
            yield from map(find(function), items)
            return
        futures = [self._threads.submit(self._ask, function, item) for item in items]
        for future, item in zip(futures, items, strict=True):
            try:
                yield future.result()
            except _FailedError as error:
                answer = find(function)(item)
                logger.warning("a worker process failed (%s); this process did its work", error)
                yield answer

    def _ask(self, function: str, item: Item) -> Any:
        worker = self._idle.get()
        try:
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdin.write(json.dumps([function, item]) + "\n")
            worker.stdin.flush()
            line = worker.stdout.readline()
        except OSError:  # it has ended
            line = ""
        if not line.endswith("\n"):  # or it ended, e.g. for lack of memory, while it answered
            line = ""
        if line or next(self._ended) >= len(self._workers):
            self._idle.put(worker)  # even if it has ended, when no other is left to wait for
        if not line:
            raise _FailedError(f"exit {worker.wait()}")
        answer = json.loads(line)
        if "failure" in answer:
            raise _FailedError(answer["failure"])
        return answer["value"]

    def _started(self) -> int:
        """Start the workers, once, and return how many there are."""
        try:
            while len(self._workers) < self.processes:
                self._workers.append(_start(self.processes))
                self._idle.put(self._workers[-1])
        except OSError as error:  # no more processes are allowed, or no memory is left
            self.processes = len(self._workers)
            logger.warning("only %d worker processes run (%s)", self.processes, error)
        return len(self._workers)


def find(name: str) -> Any:
    """Import `module:function`."""
    module, function = name.split(":")
    return getattr(import_module(module), function)


def _start(processes: int) -> _Worker:
    share = max(1, cores() // processes)
    set_ = {name: os.environ.get(name, "") for name in _THREADS}
    threads = {
        name: str(min(share, int(value)) if value.isdecimal() else share)
        for name, value in set_.items()
    }
    return subprocess.Popen(
        [sys.executable, "-m", "probe.system.worker"],
        env={
            **os.environ,
            **threads,
            "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        process_group=0,  # Ctrl-C is for the driver
    )
