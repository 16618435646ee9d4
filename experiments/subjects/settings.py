"""Settings of the study, and the checks of them that need neither model nor texts."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from math import isfinite

from probe.api import Config, UserError, compose, key


class Sweep(StrEnum):
    """What is done to the swept neuron."""

    add = "add"
    set = "set"
    none = "none"


class Unit(StrEnum):
    """What the values are counted in."""

    sd = "sd"
    raw = "raw"


@dataclass
class Subjects:
    """What is compared, and how a neuron is swept."""

    subjects: list[str] = key(
        [], "Options of the group subject, taken together (default: its own)."
    )
    tokens: int = key(64, "Tokens of a prompt that count, the first ones; shorter ones stay out.")
    question_tokens: int = key(24, "Tokens of a question alone that count, likewise.")
    examples: int | None = key(None, "Texts of each subject (default: as many as the least has).")
    splits: int = key(20, "Random halves of each subject, for the ceiling.")
    test_share: float = key(0.3, "Share of a subject's texts whose subject is guessed.")
    permutations: int = key(200, "Permutations of labels, as a null.")
    repetitions: int = key(1000, "Draws of documents behind an interval.")
    seed: int = key(0, "Seed of halves, splits, permutations, draws and control neurons.")
    sweep: Sweep = key(
        Sweep.add, "add values to a neuron of the middle one of the layers, or set it."
    )
    neurons: list[int] = key([], "Neurons to sweep (default: that of the largest strength).")
    controls: int = key(4, "Further neurons to sweep, drawn at random.")
    values: list[float] = key(
        [-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0], "Values of the sweep (default: from -2 to 2)."
    )
    unit: Unit = key(Unit.sd, "Values are in standard deviations of the neuron (sd), or as read.")
    sweep_examples: int = key(100, "Texts of the sweep.")


@dataclass
class SubjectsConfig(Config):
    """The program's configuration with the settings of this study."""

    study: Subjects = field(default_factory=Subjects)


def check(config: SubjectsConfig) -> Config:
    """Tell a mistake before any work, and return the configuration of the texts.

    Raises
    ------
    UserError
        For the first value that cannot work.
    """
    settings, data = config.study, config.data
    least = {"tokens": 4, "question_tokens": 4, "splits": 1, "permutations": 1, "repetitions": 1}
    least |= {"seed": 0, "controls": 0, "sweep_examples": 1}
    for name, bound in least.items():
        if getattr(settings, name) < bound:
            raise UserError(
                f"study.{name}={getattr(settings, name)} is too small; give {bound} or more"
            )
    if settings.examples is not None and settings.examples < 4:
        raise UserError(f"study.examples={settings.examples} is too few; give 4 or more a subject")
    if not 0 < settings.test_share < 1:
        raise UserError(f"study.test_share={settings.test_share} is no share between 0 and 1")
    if not settings.values or not all(map(isfinite, settings.values)):
        raise UserError(
            f"study.values={settings.values} are no finite numbers; give e.g. study.values=[-1,0,1]"
        )
    if config.subject is None:
        raise UserError("this data has no subjects; take data=mmlu, mmlu_pro or sample")
    if data.cut.value != "whole" or config.model.chat:
        raise UserError(
            "subjects are compared over whole prompts, of which the question is found by its place;"
            " leave data.cut and model.chat out"
        )
    if config.layers.selection.value in ("cross", "full"):
        raise UserError(
            f"layers={config.layers.selection.value} joins neurons of several layers; take "
            "layers=each, middle or numbers"
        )
    if config.init.kind.value == "random" and settings.sweep is not Sweep.none:
        raise UserError(
            "init=random has no trained language-model head to sweep a neuron of; give "
            "study.sweep=none"
        )
    return _texts(config)


def sources(config: SubjectsConfig) -> list[Config]:
    """Check, and return the configurations whose model and texts are read."""
    return [check(config)]


def _texts(config: SubjectsConfig) -> Config:
    """Return the configuration with all subjects; first tokens come off later."""
    plain = deepcopy(
        Config(**{field.name: getattr(config, field.name) for field in fields(Config)})
    )
    plain.data = replace(plain.data, skip_first=0)
    chosen = [compose(f"subject={name}").subject for name in config.study.subjects]
    subjects = [subject for subject in chosen if subject is not None]
    if subjects and plain.subject is not None:
        named = {
            name: list(dict.fromkeys(part for s in subjects for part in getattr(s, name)))
            for name in ("mmlu", "mmlu_pro", "sample")
        }
        plain.subject = replace(plain.subject, name="+".join(config.study.subjects), **named)
    return plain
