"""Which checkpoints are measured, of which models, in the order of their steps."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from glob import iglob
from pathlib import Path

from experiments.controls import random_weights
from experiments.multifractal.scores import score_files
from experiments.multifractal.settings import MultifractalConfig, check
from experiments.words import split_words
from probe.api import ModelConfig, UserError, model_name, overlay

_DEFAULT = ("tiny", "bundled/tiny")
_VARIED = ("model", "init", "study.revisions", "study.checkpoints")


@dataclass(frozen=True)
class Checkpoint:
    """Weights at a step of training.

    Attributes
    ----------
    step : int or None
        The step; None if there is one checkpoint, whose step nothing says.
    config : MultifractalConfig
        Where the weights are.
    given : bool
        Whether the user named them, not the study as what E is counted from.
    """

    step: int | None
    config: MultifractalConfig
    given: bool = True

    @property
    def name(self) -> str:
        """Name for files and the log."""
        random = "" if self.given else "random-"
        return f"{random}step-{self.step}" if self.step is not None else "weights"


@dataclass(frozen=True)
class Run:
    """Checkpoints of one model; if there are several, E is counted from the first.

    Attributes
    ----------
    name : str
        The model's, for titles.
    checkpoints : tuple of Checkpoint
        In the order of their steps.
    """

    name: str
    checkpoints: tuple[Checkpoint, ...]

    @property
    def steps(self) -> list[int | None]:
        """The steps."""
        return [checkpoint.step for checkpoint in self.checkpoints]


def runs(config: MultifractalConfig) -> list[Run]:
    """Return the models with their checkpoints, the own one first.

    Raises
    ------
    UserError
        If checkpoints are not there, have no steps, or none of them is step 0.
    """
    also = config.study.also
    found = [_run(config), *(_run(_varied(config, words)) for words in also)]
    names = [run.name for run in found]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"study.also has {twice} twice; give each model once, or a model.name")
    return found


def timed(checkpoints: Sequence[Checkpoint]) -> dict[int, int]:
    """Return the steps of given checkpoints by their places, where they are known."""
    return {
        place: one.step
        for place, one in enumerate(checkpoints)
        if one.given and one.step is not None
    }


def _run(config: MultifractalConfig) -> Run:
    """Return the checkpoints of a configuration, sorted by their steps as numbers."""
    settings, model = config.study, config.model
    given = {
        "study.revisions": settings.revisions, "study.checkpoints": settings.checkpoints,
        "model.path": model.path, "model.revision": model.revision,
    }  # fmt: skip
    named = [name for name, value in given.items() if value]
    if len(named) > 1 and named != ["model.path", "model.revision"]:
        raise UserError(f"{named[0]} and {named[1]} both choose checkpoints; give one of the two")
    random = config.init.kind.value == "random"
    if random and (settings.revisions or settings.checkpoints):
        raise UserError(f"init=random has no checkpoints; leave {named[0]} out")
    if random and settings.origin == "random":
        raise UserError(
            "init=random is what study.origin=random counts from; leave one of them out"
        )
    name, models = model_name(model), [("", model)]
    if settings.revisions:
        models = [(one, replace(model, revision=one)) for one in settings.revisions]
    elif settings.checkpoints:
        # The default model is none of them.
        own = None if (model.name, model.id) == _DEFAULT else model.name
        model = replace(model, name=own, id=None)
        name = model.name or "/".join(Path(settings.checkpoints).parts[-2:])
        models = [
            (one.name, replace(model, path=str(one))) for one in _folders(settings.checkpoints)
        ]
    return Run(f"{name} (random weights)" if random else name, _ordered(config, models))


def _ordered(
    config: MultifractalConfig, models: Sequence[tuple[str, ModelConfig]]
) -> tuple[Checkpoint, ...]:
    """Sort checkpoints, behind random weights if E is counted from them; else want step 0."""
    origin, first = config.study.origin, replace(config, model=models[0][1])
    found = [Checkpoint(_step(name), replace(config, model=one)) for name, one in models if name]
    steps = sorted(one.step for one in found if one.step is not None)
    if len(set(steps)) < len(steps):
        twice = next(step for step in steps if steps.count(step) > 1)
        raise UserError(f"step {twice} has two checkpoints; give each step once")
    if origin == "random" and 0 in steps:
        raise UserError("study.origin=random stands in for step 0, which is given; leave it out")
    if origin != "random" and len(steps) > 1 and steps[0] != 0:
        raise UserError(
            f"E is counted from step 0, and the steps are {', '.join(map(str, steps))}; add the "
            "checkpoint of step 0, or count from random weights with study.origin=random"
        )
    found.sort(key=lambda one: one.step or 0)
    random = Checkpoint(0, random_weights(first, config.study.seed), given=False)
    return (*([random] if origin == "random" else []), *(found or [Checkpoint(None, first)]))


def _folders(pattern: str) -> list[Path]:
    """Return the folders of models that a pattern of the shell finds."""
    # Patterns may be without a name, `.` say, which those of a Path may not.
    found = sorted(Path(one) for one in iglob(pattern, recursive=True) if Path(one).is_dir())  # noqa: PTH207
    if not found:
        raise UserError(f"study.checkpoints={pattern} finds no folder; give e.g. RUN/step*")
    for folder in found:
        if not (folder / "config.json").is_file():
            raise UserError(f"study.checkpoints finds {folder}, which has no config.json")
    return found


def _step(name: str) -> int:
    """Return the last number in a name.

    Examples
    --------
    >>> _step("step-64"), _step("step512"), _step("v2-checkpoint-1000")
    (64, 512, 1000)
    """
    numbers = re.findall("[0-9]+", name)
    if not numbers:
        raise UserError(f"checkpoint {name} has no number in its name; name it e.g. step-64")
    return int(numbers[-1])


def _varied(config: MultifractalConfig, words: str) -> MultifractalConfig:
    """Lay the words of another model over the configuration."""
    listed = split_words(words, "study.also")
    for word in listed:
        name = word.partition("=")[0]
        if not any(name == varied or name.startswith(f"{varied}.") for varied in _VARIED):
            raise UserError(
                f"study.also has {word}, and chooses other models; give words of model, init, "
                "study.revisions or study.checkpoints"
            )
    if any(word.startswith("model") for word in listed):  # folders are one model's
        config = replace(config, study=replace(config.study, checkpoints=None))
    return overlay(config, listed)


def sources(config: MultifractalConfig) -> list[MultifractalConfig | Path]:
    """Check the settings, and return what is read: all checkpoints, and files of scores."""
    check(config.study)
    read = [one.config for run in runs(config) for one in run.checkpoints]
    return [*read, *(score_files(config.study.scores) if config.study.scores else [])]
