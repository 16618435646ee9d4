"""Settings of the study, and checks that need neither model nor texts."""

from copy import deepcopy
from dataclasses import dataclass, field, replace
from enum import StrEnum

from experiments.splits import check_split
from probe.api import StudyConfig, UserError, compose, key


class Sweep(StrEnum):
    """What is done to the swept neuron."""

    add = "add"
    set = "set"
    none = "none"


class Unit(StrEnum):
    """Unit of the values."""

    sd = "sd"
    raw = "raw"


@dataclass
class Subjects:
    """The subjects to compare, and the sweep of a neuron."""

    subjects: list[str] = key(
        [], "Options of the group subject to combine (default: that of subject=)."
    )
    tokens: int = key(
        64, "First tokens of a prompt that are correlated; shorter prompts are dropped.", least=4
    )
    question_tokens: int = key(
        24, "First tokens of the question alone that are correlated, likewise.", least=4
    )
    examples: int | None = key(
        None, "Texts per subject (default: as many as the smallest has).", least=4
    )
    splits: int = key(20, "Random splits of each subject, for the noise ceiling.", least=1)
    split: list[float] = key(
        [0.7, 0.3],
        "Fractions of each subject's documents in training and test set.",
        above=0,
        below=1,
        was="test_share",
    )
    permutations: int = key(200, "Permutations of labels, a null model.", least=1)
    repetitions: int = key(1000, "Bootstrap draws of documents for intervals.", least=1)
    seed: int = key(0, "Seed of halves, splits, permutations, draws and control neurons.", least=0)
    sweep: Sweep = key(Sweep.add, "Add values to a neuron of the middle layer, or set it to them.")
    neurons: list[int] = key(
        [],
        "Neurons to sweep (default: the one of largest strength).",
        least=0,
        needs="study.sweep!=none",
    )
    controls: int = key(4, "Random control neurons to sweep.", least=0, needs="study.sweep!=none")
    values: list[float] = key(
        [-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0],
        "Values of the sweep (default: from -2 to 2).",
        needs="study.sweep!=none",
    )
    unit: Unit = key(
        Unit.sd,
        "Unit of the values: the neuron's standard deviation (sd), or raw activation.",
        needs="study.sweep!=none",
    )
    sweep_examples: int = key(100, "Texts in the sweep.", least=1, needs="study.sweep!=none")


@dataclass
class SubjectsConfig(StudyConfig):
    """The program's configuration with the settings of this study."""

    study: Subjects = field(default_factory=Subjects)


def check(config: SubjectsConfig) -> SubjectsConfig:
    """Check the settings, and return the configuration of the texts.

    Raises
    ------
    UserError
        For the first value that cannot work.
    """
    settings, data = config.study, config.data
    if not settings.values:
        raise UserError("study.values=[] must be numbers, e.g. study.values=[-1,0,1]")
    if config.subject is None:
        raise UserError("this data set has no subjects; use data=mmlu, mmlu_pro or sample")
    if data.cut.value != "whole" or config.model.chat:
        raise UserError(
            "subjects are compared by whole prompts, in which the question has a fixed position; "
            "leave data.cut and model.chat out"
        )
    check_split(settings.split, ("training", "test"))
    if config.init.kind.value == "random" and settings.sweep is not Sweep.none:
        raise UserError(
            "init=random has no trained language-model head, which the sweep needs; give "
            "study.sweep=none"
        )
    return _texts(config)


def sources(config: SubjectsConfig) -> list[SubjectsConfig]:
    """Check the settings, and return the configurations whose model and texts are read."""
    return [check(config)]


def _texts(config: SubjectsConfig) -> SubjectsConfig:
    """Return the configuration with all subjects; `skip_first` is applied later."""
    plain = deepcopy(config)
    plain.data = replace(plain.data, skip_first=0)
    options = [compose(f"subject={name}").subject for name in config.study.subjects]
    subjects = [subject for subject in options if subject is not None]
    if subjects and plain.subject is not None:
        members = {
            name: list(dict.fromkeys(part for s in subjects for part in getattr(s, name)))
            for name in ("mmlu", "mmlu_pro", "sample")
        }
        plain.subject = replace(plain.subject, name="+".join(config.study.subjects), **members)
    return plain
