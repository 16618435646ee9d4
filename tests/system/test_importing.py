"""The garbage collector leaves out what is imported, and works before and after."""

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from weakref import ref

import pytest

from probe.entry.program import Program, enter
from probe.system.commands import exit_code
from probe.system.importing import importing


class Circle:
    """An object that only the collector frees."""

    def __init__(self) -> None:
        self.own = self


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    gc.enable()


def test_what_is_there_when_the_import_ends_is_left_out() -> None:
    frozen = gc.get_freeze_count()
    garbage, found = ref(Circle()), []
    with importing("a_library"):
        found.append(gc.isenabled())
        library = [[number] for number in range(1000)]
    assert found == [False]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= frozen + len(library)
    assert garbage() is None, "what was garbage before would stay for good"
    later = ref(Circle())
    gc.collect()
    assert later() is None


def test_an_import_that_fails_leaves_the_collector_on() -> None:
    with pytest.raises(ImportError), importing("a_library"):
        raise ImportError
    assert gc.isenabled()


def test_what_is_imported_already_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "a_library", gc)
    frozen = gc.get_freeze_count()
    with importing("a_library"):
        assert gc.isenabled()
    assert gc.get_freeze_count() <= frozen, "what is frozen may go, and nothing is added"


def test_who_has_turned_the_collector_off_keeps_it_off() -> None:
    gc.disable()
    frozen = gc.get_freeze_count()
    with importing("a_library"):
        pass
    assert not gc.isenabled()
    assert gc.get_freeze_count() <= frozen, "what is frozen may go, and nothing is added"


def test_commands_draw_into_files_whatever_screen_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    named = []

    def draw() -> int:
        named.append(os.environ["MPLBACKEND"])
        return 0

    monkeypatch.setenv("MPLBACKEND", "nonsense")
    exit_code(draw)
    monkeypatch.setenv("MPLBACKEND", "nonsense")
    monkeypatch.setattr(sys, "argv", ["probe", "--version"])
    with pytest.raises(SystemExit):
        enter(Program(lambda *_: None))
    assert [*named, os.environ["MPLBACKEND"]] == ["agg", "agg"]


@pytest.mark.processes
@pytest.mark.parametrize("module", ["probe.compare", "probe.report", "experiments.hubs"])
def test_no_command_imports_matplotlib_before_that(module: str) -> None:
    program = f"import sys, {module}.__main__; print('matplotlib' in sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert told == "False\n"
