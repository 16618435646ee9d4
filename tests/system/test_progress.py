"""Progress is a bar on a terminal, now and then a line in a log, and silence on other ranks."""

import io
import logging
import sys
from types import SimpleNamespace

import pytest

from probe.system import progress
from probe.system.progress import Progress


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    ticking = Clock()
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=ticking))
    return ticking


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="probe")


def test_without_a_terminal_a_line_says_how_far_it_is(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr(Progress, "EVERY", 0.0)
    with Progress(8, shown=True) as bar:
        clock.now += 2
        bar.update(2, 3000)
        clock.now += 2
        bar.update(6, 4000)
    assert caplog.messages == [
        "2 of 8 examples, 1,500 tokens/s, 6 s left",
        "6 of 8 examples, 1,000 tokens/s, 1 s left",
    ]
    assert {record.name for record in caplog.records} == {"probe.system.progress"}
    assert sys.stderr.getvalue() == ""


def test_lines_are_at_least_half_a_minute_apart(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    said = []
    with Progress(100, shown=True) as bar:
        for second in range(1, 91):
            clock.now += 1
            caplog.clear()
            bar.update(second, 10)
            said += [second] if caplog.messages else []
    assert said == [31, 62]


def test_a_terminal_gets_a_bar_and_no_lines(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(Progress, "EVERY", 0.0)
    with Progress(8, shown=True) as bar:
        clock.now += 2
        bar.update(8, 3000)
    drawn = sys.stderr.getvalue()
    assert "0/8" in drawn
    assert caplog.messages == []


def test_the_bar_counts_what_all_ranks_have_done(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Progress(8, shown=True) as bar:
        for done in (3, 7):
            clock.now += 2
            bar.update(done, 1000 * done)
            bar._bar.refresh()
    drawn = sys.stderr.getvalue()
    assert "3/8" in drawn
    assert "7/8" in drawn
    assert "1,500 tokens/s" in drawn  # 3 000 in two seconds
    assert "1,750 tokens/s" in drawn  # 7 000 in four


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_ranks_that_are_not_shown_are_silent(
    stream: type[io.StringIO],
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(sys, "stderr", stream())
    monkeypatch.setattr(Progress, "EVERY", 0.0)
    with Progress(8, shown=False) as bar:
        clock.now += 100
        bar.update(2, 3000)
    assert sys.stderr.getvalue() == ""
    assert caplog.messages == []


def test_a_failure_closes_the_bar_and_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    bar = Progress(8, shown=True)

    def fail() -> None:
        with bar:
            bar.update(1, 10)
            raise RuntimeError("model")

    with pytest.raises(RuntimeError, match="model"):
        fail()
    # Closed, a bar that does not stay is wiped out: the line ends empty.
    assert sys.stderr.getvalue().endswith("\r")


def test_what_earlier_sessions_did_counts_for_the_way_but_not_for_the_speed(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr(Progress, "EVERY", 0.0)
    with Progress(10, shown=True, before=6) as bar:
        clock.now += 2
        bar.update(1, 3000)
    assert caplog.messages == ["7 of 10 examples, 1,500 tokens/s, 6 s left"]
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Progress(10, shown=True, before=6) as bar:
        bar.update(1, 3000)
        bar._bar.refresh()
    drawn = sys.stderr.getvalue()
    assert "6/10" in drawn
    assert "7/10" in drawn
