"""A signal is put off until the sums are kept; a second one is not."""

import signal
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from probe.extraction.checkpoints import interruption
from probe.extraction.checkpoints.interruption import Interruption


class TerminatedError(Exception):
    pass


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    def end(*_: object) -> None:
        raise TerminatedError

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, end)
    yield
    for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
        signal.signal(number, handler)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    ticking = Clock()
    monkeypatch.setattr(interruption, "time", SimpleNamespace(monotonic=ticking))
    return ticking


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, TerminatedError)]
)
def test_a_signal_is_heard_and_means_later_what_it_meant_before(
    number: int, error: type[BaseException]
) -> None:
    done = []

    def work() -> None:
        with Interruption() as heard:
            assert heard.received is None
            signal.raise_signal(number)
            assert heard.received == number
            done.append("the sums are kept")

    with pytest.raises(error):
        work()
    assert done
    with pytest.raises(error):
        signal.raise_signal(number)  # as before


def test_a_second_signal_ends_at_once_but_not_the_same_twice(clock: Clock) -> None:
    done = []

    def work() -> None:
        with Interruption():
            signal.raise_signal(signal.SIGINT)
            clock.now += 0.5
            signal.raise_signal(signal.SIGINT)  # passed on by a launcher
            done.append("still here")
            clock.now += 1
            signal.raise_signal(signal.SIGINT)
            done.append("never")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["still here"]


def test_an_error_meanwhile_is_not_replaced() -> None:
    def work() -> None:
        with Interruption():
            signal.raise_signal(signal.SIGTERM)
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        work()


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interruption() as heard:
        signal.raise_signal(signal.SIGINT)
        assert heard.received is None
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_a_handler_that_ends_nothing_still_ends_the_work() -> None:
    signal.signal(signal.SIGTERM, lambda *_: None)
    with pytest.raises(KeyboardInterrupt), Interruption():
        signal.raise_signal(signal.SIGTERM)


def test_other_threads_hear_nothing() -> None:
    handler = signal.getsignal(signal.SIGTERM)
    seen = []

    def look() -> None:
        with Interruption():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [handler]
