"""Settings of the study and their checks, and the checkpoints that it reads."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from experiments.controls import random_weights
from experiments.multifractal.scores import score_files
from probe.api import StudyConfig, UserError, key, model_name, overlay

_WEIGHTS = "weights are measured, and no texts are read"
IDLE = {
    "data": _WEIGHTS,
    "subject": _WEIGHTS,
    "layers": "the network has all layers",
    "average": "study.samples is the number of networks to average over",
    "null": "every matrix is also shuffled",
    "measures": "",
    "site": "the network has the neurons of all sites",
    "launch": "",
    "runtime": "",
    "experiment": "",
}  # fmt: skip
# Distances, nodes and layout that the published code fixes.
_PUBLISHED = {"reach": "direct", "radii": None, "relative": None}
_VARIED = ("model", "init", "study.revisions", "study.checkpoints")


@dataclass
class Multifractal:
    """Checkpoints, the networks that are sampled of them, and how these are judged."""

    revisions: list[str] = key([], "Training checkpoints on the Hub, e.g. [step0,step512].")
    checkpoints: str | None = key(
        None, "Pattern of checkpoints' folders, e.g. 'RUN/checkpoints/step*'; for model.path."
    )
    also: list[str] = key(
        [], 'Other models, sizes say, with the same checkpoints, e.g. ["model=pythia70m"].'
    )
    mode: str = key(
        "robust", "robust, or public: layout and rules of the published code.",
        choices=("robust", "public"),
    )  # fmt: skip
    sample: int = key(64, "Neurons drawn of a layer, and twice as many hidden units.", least=2)
    samples: int = key(10, "Networks that are sampled.", least=1)
    reach: str = key(
        "direct", "Distances along direct edges, at most so many (a number), or all paths."
    )
    threshold: float = key(150.0, "Largest distance 1/|w| that counts.", above=1)
    relative: float | None = key(
        None, "Instead: in units of 1/σ of the first checkpoint's weights, e.g. 3.", above=0
    )
    radii: int | None = key(
        None, "Radii in equal ratios (default: distances are rounded to integers).", least=3
    )
    origin: str = key(
        "step0", "E is counted from step 0, or from random weights.", choices=("step0", "random")
    )
    scores: str | None = key(
        None, "Scores of the checkpoints: a .csv (step, task, value) or a folder of *_stepN.json."
    )
    repetitions: int = key(1000, "Bootstrap draws for intervals.", least=1)
    permutations: int = key(1000, "Draws of permutations where all are too many.", least=1)
    seed: int = key(0, "Seed of the first network; of shuffles and draws.", least=0)


@dataclass
class MultifractalConfig(StudyConfig):
    """The program's configuration with the settings of this study."""

    study: Multifractal = field(default_factory=Multifractal)

    @property
    def places_model(self) -> bool:
        """Whether it says where the model is; checkpoints stand in for `model.path`."""
        return self.study.checkpoints is not None or super().places_model


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
        Whether the user named them, not the study as a control.
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
    """Checkpoints of one model by step, the first of which is the origin of E where there is one.

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
    def has_origin(self) -> bool:
        """Whether E is defined: there is a step 0 and another."""
        return len(self.checkpoints) > 1

    @property
    def steps(self) -> list[int | None]:
        """The steps."""
        return [checkpoint.step for checkpoint in self.checkpoints]


def check(config: MultifractalConfig) -> list[Run]:
    """Check the settings, and return the models with their checkpoints, the own one first.

    Raises
    ------
    UserError
        For the first value that cannot work.
    """
    settings = config.study
    reach(settings)
    if settings.mode == "public":
        for name, value in _PUBLISHED.items():
            if getattr(settings, name) != value:
                raise UserError(
                    f"study.mode=public leaves study.{name} as the published code has it, and "
                    f"{getattr(settings, name)} was given; leave one of the two out"
                )
    runs = [_run(config, ""), *(_run(_varied(config, words), words) for words in settings.also)]
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"study.also has {twice} twice; give each model once, or a model.name")
    if settings.scores:
        score_files(settings.scores)
    return runs


def sources(config: MultifractalConfig) -> list[MultifractalConfig | Path]:
    """Check the settings, and return what is read: all checkpoints, and files of scores."""
    read = [one.config for run in check(config) for one in run.checkpoints]
    return [*read, *(score_files(config.study.scores) if config.study.scores else [])]


def reach(settings: Multifractal) -> int | None:
    """Return the most links of a path, None for all.

    Raises
    ------
    UserError
        If it is neither a number nor one of the words.
    """
    words = {"direct": 1, "all": None}
    if settings.reach in words:
        return words[settings.reach]
    if not re.fullmatch("[1-9][0-9]{0,3}", settings.reach):
        raise UserError(
            f"study.reach={settings.reach} is not direct, all, or a number of edges from 1 up"
        )
    return int(settings.reach)


def _run(config: MultifractalConfig, words: str) -> Run:
    """Return the checkpoints of a configuration, sorted by their steps as numbers."""
    settings, model = config.study, config.model
    random = config.init.kind.value == "random"
    if settings.revisions and (settings.checkpoints or model.path or model.revision):
        other = "study.checkpoints" if settings.checkpoints else "model.path"
        other = "model.revision" if model.revision else other
        raise UserError(f"study.revisions are on the Hub, and {other} was given; give one of them")
    if settings.checkpoints and model.path:
        raise UserError("study.checkpoints stands in for model.path; give one of the two")
    name = (
        settings.checkpoints and not model.name and "/".join(Path(settings.checkpoints).parts[-2:])
    )
    name = f"{name or model_name(model)}{' (random weights)' if random else ''}"
    models = {revision: replace(model, revision=revision) for revision in settings.revisions}
    if settings.checkpoints:
        models = {
            folder.name: replace(model, path=str(folder), name=model_name(model), revision=None)
            for folder in _folders(settings.checkpoints)
        }
    if random and models:
        raise UserError(f"init=random has no checkpoints; leave {next(iter(models))} out")
    found = [
        Checkpoint(_step(name), replace(config, model=one)) for name, one in models.items()
    ] or [Checkpoint(None, config)]
    ordered = sorted(found, key=lambda one: -1 if one.step is None else one.step)
    return Run(name, _from_origin(ordered, settings.seed))


def _from_origin(ordered: Sequence[Checkpoint], seed: int) -> tuple[Checkpoint, ...]:
    """Put random weights before the checkpoints if E is counted from them; else want step 0."""
    steps = [one.step for one in ordered]
    if len(set(steps)) < len(steps):
        twice = next(step for step in steps if steps.count(step) > 1)
        raise UserError(f"step {twice} has two checkpoints; give each step once")
    if ordered[0].config.study.origin == "random":
        if 0 in steps:
            raise UserError(
                "study.origin=random stands in for step 0, which is given; leave it out"
            )
        return Checkpoint(0, random_weights(ordered[0].config, seed), given=False), *ordered
    if len(ordered) > 1 and steps[0] != 0:
        raise UserError(
            f"E is counted from step 0, and the steps are {', '.join(map(str, steps))}; add the "
            "checkpoint of step 0, or count from random weights with study.origin=random"
        )
    return tuple(ordered)


def _folders(pattern: str) -> list[Path]:
    """Return the folders of models that a pattern of the shell finds."""
    whole = Path(pattern).expanduser()
    start = Path(whole.anchor) if whole.is_absolute() else Path()
    found = [one for one in start.glob(str(whole.relative_to(start))) if one.is_dir()]
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
    listed = shlex.split(words)
    for word in listed:
        name = word.partition("=")[0]
        if not any(name == varied or name.startswith(f"{varied}.") for varied in _VARIED):
            raise UserError(
                f"study.also has {word}, and chooses other models; give words of model, init, "
                "study.revisions or study.checkpoints"
            )
    if not listed:
        raise UserError('study.also has no words; give e.g. ["model=pythia70m"]')
    if any(word.startswith("model") for word in listed):  # checkpoints are one model's
        config = replace(config, study=replace(config.study, checkpoints=None))
    return overlay(config, listed)
