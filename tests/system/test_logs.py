"""What runs outside of Hydra logs to the console as what runs inside does."""

import logging
import re

import pytest

from probe.system.logs import log_to_console


def test_lines_have_a_time_and_are_shown_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.WARNING)
    log_to_console()
    log_to_console()
    logging.root.info("an %s", "event")
    logging.root.debug("a detail")
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(r"\d\d:\d\d:\d\d  an event\n", said.err)


def test_a_log_that_is_set_up_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = logging.NullHandler()
    monkeypatch.setattr(logging.root, "handlers", [handler])
    log_to_console()
    assert logging.root.handlers == [handler]
