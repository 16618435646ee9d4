"""What a study writes: tables, figures and results, whole; without rows nothing."""

import json
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from probe.config import FigureFormat, FiguresConfig, StudyConfig
from probe.api import Results, show


def test_tables_have_all_columns_and_empty_ones_are_not_written(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.table("some", [{"layer": 1, "r": 0.5}, {"layer": 2, "p": None}])
    results.table("none", [])
    assert (tmp_path / "some.csv").read_text() == "layer,r,p\n1,0.5,\n2,,\n"
    assert [file.name for file in tmp_path.iterdir()] == ["some.csv"]


def test_results_are_json_in_any_script(tmp_path: Path) -> None:
    Results(tmp_path).save({"words": ["Größe"], "r": {"layer": 0.25}})
    text = (tmp_path / "results.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"words": ["Größe"], "r": {"layer": 0.25}}
    assert text.endswith("}\n")


def test_figures_go_to_their_folder(tmp_path: Path) -> None:
    Results(tmp_path).figures({"one": Figure(), "layer_2": Figure()})
    files = sorted((tmp_path / "figures").iterdir())
    assert [file.name for file in files] == ["layer_2.png", "one.png"]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)


def test_a_figure_that_fails_leaves_nothing(tmp_path: Path) -> None:
    class Broken(Figure):
        def savefig(self, *_: object, **__: object) -> None:
            raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        Results(tmp_path).figure("one", Broken())
    assert list((tmp_path / "figures").iterdir()) == []


def test_a_table_is_logged_in_columns(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    show(["layer", "r"], [["1", "0.25"], ["12", "0.5"]])
    assert caplog.messages == ["layer     r", "1      0.25", "12      0.5"]


def test_a_study_writes_figures_in_the_format_that_is_asked_for(tmp_path: Path) -> None:
    config = StudyConfig(figures=FiguresConfig(format=FigureFormat.pdf))
    Results(tmp_path, config).figure("curve_0.1", Figure())
    assert sorted(file.name for file in (tmp_path / "figures").iterdir()) == [
        "curve_0.1.pdf",
        "curve_0.1.png",
    ]
