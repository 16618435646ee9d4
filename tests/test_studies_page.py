"""The study that docs/studies.md builds is complete, and does what the page says."""

import csv
import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

import experiments
from probe import api
from probe.verify import verify

PAGE = Path(__file__).resolve().parents[1] / "docs" / "studies.md"
FILES = dict(
    re.findall(
        r"^`(experiments/\S+\.py)`\n\n```python\n(.*?)^```$",
        PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL,
    )
)  # fmt: skip
FEW = ["data.limit=3", "data.cut=tokens", "data.window=64", "layers=[2,3]", "study.repetitions=20"]


def test_the_frame_of_a_study_is_short() -> None:
    assert len(FILES) == 4
    frame = [code for name, code in FILES.items() if not name.endswith("task.py")]
    lines = [line for code in frame for line in code.splitlines() if line.strip()]
    assert len(lines) <= 45, len(lines)


def test_the_study_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, code in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(code)
    monkeypatch.setattr(
        experiments, "__path__", [*experiments.__path__, str(tmp_path / "experiments")]
    )
    monkeypatch.setattr("signal.signal", lambda *_: None)

    def run(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["togetherness", *words])
        with pytest.raises(SystemExit) as ended:
            runpy.run_module("experiments.togetherness", run_name="__main__", alter_sys=False)
        return int(str(ended.value.code))

    usual = [f"output={tmp_path / 'out'}", "tracking=none", "runtime.device=cpu"]
    assert run(*FEW, *usual) == 0
    said = capsys.readouterr().err
    assert re.search(r"layer +mean \|r\| \[95 %\] +more than random weights \[95 %\]\n", said)
    assert re.search(r"2 +0\.\d{3} \[0\.\d{3}, 0\.\d{3}\] n=\d!", said)
    assert "intervals marked ! are over" in said

    [folder] = (tmp_path / "out" / "togetherness" / "tiny").iterdir()
    assert re.fullmatch("sample-[0-9a-f]{8}", folder.name)
    with (folder / "togetherness.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    values = {2: list[float](), 3: list[float]()}
    for example in api.iterate(*FEW[:-1], "runtime.device=cpu"):
        for layer, activations in example.layers.items():
            r = np.corrcoef(activations.double().numpy().T)
            values[layer].append(float(np.abs(r[np.triu_indices(len(r), 1)]).mean()))
    for row, (layer, expected) in zip(rows, sorted(values.items()), strict=True):
        assert row["layer"] == str(layer)
        assert float(row["mean_abs_r"]) == pytest.approx(np.mean(expected), abs=1e-6)
        assert float(row["low"]) <= float(row["mean_abs_r"]) <= float(row["high"])
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["headline"]["layer 3"] == float(rows[1]["more_than_random"])
    assert verify(folder).faults == []

    assert run("init=random") == 1
    said = "init has no effect here, leave it out; random weights are the control\n"
    assert capsys.readouterr().err.endswith(f"probe: {said}")
    assert run("--help") == 0
    assert "Measure how much the neurons of a layer vary together" in capsys.readouterr().out
