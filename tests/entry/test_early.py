"""Ctrl-C before a program has begun is a line, whichever program it is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from probe.early import begun, until_begun

ROOT = Path(__file__).resolve().parents[2]


def test_other_errors_and_later_interruptions_are_told_as_ever(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = sys.__excepthook__
    monkeypatch.setattr(sys, "excepthook", usual)  # a library may have set its own
    until_begun()
    until_begun()
    with pytest.raises(SystemExit) as end:
        sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert end.value.code == 130
    assert capsys.readouterr().err == "probe: interrupted before it began\n"
    sys.excepthook(ValueError, ValueError("seven"), None)
    assert capsys.readouterr().err == "ValueError: seven\n"
    begun()
    assert sys.excepthook is usual


def test_a_hook_that_a_library_has_set_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    until_begun()
    sys.excepthook = other = lambda *_: None
    begun()
    assert sys.excepthook is other


@pytest.mark.processes
@pytest.mark.parametrize("module", ["probe", "experiments.hubs", "experiments.dashboard"])
def test_ctrl_c_while_modules_are_imported_is_told_in_a_line(module: str, tmp_path: Path) -> None:
    (tmp_path / "hydra.py").write_text("raise KeyboardInterrupt\n")
    ended = subprocess.run(
        [sys.executable, "-m", module], cwd=ROOT, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert ended.returncode == 130
    assert ended.stderr == "probe: interrupted before it began\n"


@pytest.mark.processes
def test_whoever_imports_a_study_keeps_their_own_traceback(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import experiments.hubs\nraise KeyboardInterrupt\n")
    ended = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert "Traceback" in ended.stderr
