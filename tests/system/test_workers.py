"""Workers do the same as this process would, and end with it."""

import io
import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from probe.system import workers
from probe.system.workers import Workers

HERE = "tests.system.worker_functions"


@pytest.mark.parametrize("processes", [0, 1, 4])
def test_few_items_and_few_processes_are_done_here(processes: int) -> None:
    items = [{"x": 1}] * (1 if processes > 1 else 3)
    with Workers(processes) as pool:
        found = list(pool.map(f"{HERE}:describe", items))
    assert [each["pid"] for each in found] == [os.getpid()] * len(items)


@pytest.mark.processes
def test_items_are_dealt_to_processes_and_answered_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "cores", lambda: 7)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    items = [{"x": number, "seconds": 0.3 if number == 0 else 0} for number in range(6)]
    with Workers(2) as pool:
        found = [*pool.map(f"{HERE}:describe", items), *pool.map(f"{HERE}:describe", items[:2])]
    assert [each["x"] for each in found] == [0, 1, 2, 3, 4, 5, 0, 1]
    pids = {each["pid"] for each in found}
    assert len(pids) == 2
    assert os.getpid() not in pids
    assert {each["threads"] for each in found} == {"3"}, "7 cores for 2 processes"
    assert {each["main"] for each in found} == {"probe.system.worker"}
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.processes
def test_what_a_worker_cannot_do_is_done_here(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    items = [{"number": number, "caller": os.getpid()} for number in range(5)]
    with Workers(2) as pool:
        assert list(pool.map(f"{HERE}:end_elsewhere", items)) == [f"done {n}" for n in range(5)]
        assert "a worker process failed (exit 9); this process did its work" in caplog.messages
        assert list(pool.map(f"{HERE}:fail_elsewhere", items)) == ["done"] * 5
    assert any("(MemoryError: no room)" in message for message in caplog.messages)


@pytest.mark.processes
def test_an_error_is_that_of_this_process() -> None:
    with pytest.raises(LookupError, match="three"), Workers(2) as pool:
        list(pool.map(f"{HERE}:fail", [{"word": "three"}] * 2))


def test_where_no_more_processes_are_allowed_this_one_does_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with Workers(3) as pool:
        found = list(pool.map(f"{HERE}:describe", [{}, {}]))
    assert [each["pid"] for each in found] == [os.getpid()] * 2
    assert "only 0 worker processes run" in caplog.text


class Ending:
    """A process that ends in the middle of its answer."""

    def __init__(self, *_: object, **__: object) -> None:
        self.stdin, self.stdout = io.StringIO(), io.StringIO('{"value": [1, 2')

    def kill(self) -> None: ...

    def wait(self) -> int:
        return -9


def test_half_an_answer_is_none(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(subprocess, "Popen", Ending)
    with Workers(2) as pool:
        found = list(pool.map(f"{HERE}:describe", [{}] * 3))
    assert [each["pid"] for each in found] == [os.getpid()] * 3
    assert "a worker process failed (exit -9); this process did its work" in caplog.messages


# Without `if __name__ == "__main__"`, as in a notebook.
SCRIPT = f"""
import json, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it in the background
from probe.system.workers import Workers
with Workers(2) as pool:
    items = [dict(seconds=seconds) for seconds in (0, 0, 60, 60)]
    for found in pool.map("{HERE}:describe", items):
        print(json.dumps(found["pid"]), flush=True)
"""


@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_its_driver(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    driver = subprocess.Popen(
        [sys.executable, str(tmp_path / "script.py")],
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert driver.stdout is not None
    pids = [json.loads(driver.stdout.readline()) for _ in range(2)]
    driver.send_signal(number)
    driver.wait(timeout=20)
    deadline = time.monotonic() + 20
    while any(_runs(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
