"""Bounds and words stand with the keys, and are checked in one place with one wording."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from probe.config import Config, LayersConfig, StudyConfig, check, key
from probe.config.choices import Selection, Site
from probe.errors import UserError
from tests.config.compositions import composed


@dataclass
class Settings:
    """One key of every kind that has bounds or words."""

    shifts: int = key(0, "Shifts.", least=0)
    batch: int | None = key(None, "Batch.", least=2, most=8)
    rate: float = key(0.5, "Rate.", above=0)
    share: float = key(0.5, "Share.", above=0, below=1)
    free: float = key(0.0, "Any number.")
    neurons: list[int] = key([], "Neurons.", least=0)
    parts: list[float] | None = key(None, "Parts.", above=0, most=1)
    scope: str = key("one", "Scope.", choices=("one", "every"))
    probes: list[str] = key(["ridge"], "Probes.", choices=("ridge", "linear"))
    effects: list[str] = key([], "None by default.", choices=("lesion", "keep"))


@dataclass
class Study(StudyConfig):
    """A configuration with them."""

    study: Settings = field(default_factory=Settings)


NAN, INF = float("nan"), float("inf")
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"shifts": -1}, "study.shifts=-1 is too small; give 0 or more"),
    ({"shifts": True}, "study.shifts=True must be an integer"),
    ({"shifts": 1.5}, "study.shifts=1.5 must be an integer"),
    ({"shifts": 10**17}, "study.shifts=100000000000000000 is too large; give 9007199254740992 or"),
    ({"batch": 1}, "study.batch=1 is too small; give 2 or more and 8 or less"),
    ({"batch": 9}, "study.batch=9 is too large; give 2 or more and 8 or less"),
    ({"rate": 0.0}, "study.rate=0.0 is too small; give more than 0"),
    ({"rate": NAN}, "study.rate=nan is not a number; give more than 0"),
    ({"rate": INF}, "study.rate=inf is too large; give 9007199254740992 or less"),
    ({"rate": "fast"}, "study.rate=fast must be a number"),
    ({"rate": False}, "study.rate=False must be a number"),
    ({"share": 1.0}, "study.share=1.0 is too large; give more than 0 and less than 1"),
    ({"free": NAN}, "study.free=nan is not a number; give a finite one"),
    ({"free": -INF}, "study.free=-inf is not finite; give a finite one"),
    ({"neurons": [3, -1]}, "-1 in study.neurons=[3, -1] is too small; give 0 or more"),
    ({"neurons": [True]}, "True in study.neurons=[True] must be an integer"),
    ({"parts": [0.5, NAN]}, "nan in study.parts=[0.5, nan] is not a number; give more than 0"),
    ({"parts": [0.0]}, "0.0 in study.parts=[0.0] is too small; give more than 0 and 1 or less"),
    ({"scope": "evry"}, "study.scope=evry must be one of one, every; did you mean 'every'?"),
    (
        {"probes": ["rigde"]},
        "study.probes=[rigde] must be a list, each once, of ridge, linear; did you mean 'ridge'?",
    ),
    ({"probes": ["ridge", "ridge"]}, "study.probes=[ridge,ridge] must be a list, each once, of"),
    ({"effects": ["kep"]}, "study.effects=[kep] must be a list, each once, of lesion, keep; did"),
    ({"probes": []}, "study.probes=[] must be a list, each once, of ridge, linear"),
]


def configured(base: type[Config] = Study, **values: Any) -> Any:
    return base(**(vars(composed()) | values))


@pytest.mark.parametrize(("settings", "said"), REFUSED, ids=lambda one: str(one)[:40])
def test_what_is_out_of_bounds_is_told_in_one_line(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as refused:
        check(configured(study=Settings(**settings)))
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"shifts": 0, "batch": 2, "rate": 1e-9, "share": 0.999, "free": -3.5},
        {"batch": 8, "rate": 3, "neurons": [0, 5], "parts": [1.0], "probes": ["linear", "ridge"]},
    ],
)
def test_what_is_within_passes(settings: dict[str, Any]) -> None:
    check(configured(study=Settings(**settings)))


def test_checks_about_averages_are_those_of_runs_that_average() -> None:
    words: dict[str, Any] = {"site": Site.mlp, "layers": LayersConfig(Selection.all)}
    with pytest.raises(UserError, match="layers=all with site=mlp would average"):
        check(configured(Config, **words))
    check(configured(StudyConfig, **words))
    average = replace(composed().average, std=True, example=2, parts=3)
    with pytest.raises(UserError, match=r"average\.example=2 selects one example"):
        check(configured(Config, average=average))
    check(configured(StudyConfig, average=average))


@pytest.mark.parametrize("selection", [Selection.cross, Selection.full])
def test_what_averages_nothing_joins_no_layers(selection: Selection) -> None:
    with pytest.raises(UserError, match=f"layers={selection} joins the neurons of several layers"):
        check(configured(StudyConfig, layers=LayersConfig(selection)))
