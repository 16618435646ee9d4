"""A run that was interrupted goes on in the batches that its first session has decided on."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probe import api
from probe.extraction.checkpoints import Keeper
from probe.extraction.checks import run as checks_run
from tests.tiny_models import save_tiny


def test_resuming_keeps_the_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "probe")
    model = save_tiny("fnet", tmp_path / "fnet", intermediate_size=40, pad_token_id=0)
    lines = [f"The ferry left harbour {n} before the fog had lifted{'!' * n}." for n in range(9)]
    file = tmp_path / "texts.jsonl"
    file.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
    words = [f"model.path={model}", "model=local", "data=text", f"data.path={file}"]
    words += ["layers=each", "tracking=none", "measures.rewired=0", "runtime.checkpoint_minutes=0"]
    expected = api.run(*words, f"output={tmp_path / 'whole'}")

    note, noted = Keeper.note, list[int]()

    def interrupted(keeper: Keeper, *given: Any) -> bool:
        go_on = note(keeper, *given)
        noted.append(1)
        if len(noted) == 3:
            raise InterruptedError
        return go_on

    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "note", interrupted)
        with pytest.raises(InterruptedError):
            api.run(*words, f"output={tmp_path / 'again'}")
    with monkeypatch.context() as patch:
        patch.setattr(checks_run, "check", lambda *_: pytest.fail("it is not checked again"))
        resumed = api.run(*words, f"output={tmp_path / 'again'}")
    assert any(line.startswith("resuming: ") for line in caplog.messages)
    first, second = (json.loads((run / "manifest.json").read_text()) for run in (expected, resumed))
    assert second["sessions"] == 2
    assert first["checks"] == second["checks"]
    for layer in range(3):
        one, other = (
            api.load_topology(run, f"layer_{layer}").matrix for run in (expected, resumed)
        )
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)
