"""Settings of the study, and the checks of them that need neither models nor texts."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, isclose
from operator import attrgetter

from probe.api import Config, UserError, compose, key, overlay

# Keys of the main program that have no effect here.
_IDLE = ("average", "null")
# Parts of the configuration that the second model may have of its own.
_OTHER = ("model", "init", "layers")


@dataclass
class Matching:
    """What is matched and how."""

    other: list[str] = key(
        ["init=random"],
        "Words that make the second model of the first, e.g. ['model=gpt2'] (default: random "
        "weights).",
    )
    fractions: list[float] = key(
        [0.6, 0.2, 0.2], "Shares of the texts to train on, to stop by, and to test on."
    )
    width: int = key(32, "Width of the encoders and of their embeddings.")
    layers: int = key(2, "Convolutions of an encoder.")
    rate: float = key(1e-3, "Learning rate (Adam).")
    batch: int = key(64, "Texts that are told apart at a time.")
    epochs: int = key(100, "Passes over the texts to train on, at most.")
    patience: int = key(10, "Passes without gain after which training ends.")
    restarts: int = key(5, "Random starts of the search for an assignment of neurons.")
    repetitions: int = key(1000, "Draws of documents, and permutations of texts.")
    seed: int = key(0, "Seed of split, encoders, draws and starts.")


@dataclass
class MatchingConfig(Config):
    """The program's configuration with the settings of this study."""

    study: Matching = field(default_factory=Matching)


def check(config: MatchingConfig) -> None:
    """Tell a mistake before any work.

    Raises
    ------
    UserError
        For the first value that cannot work.
    """
    settings, usual = config.study, compose()
    _single_layer(config)
    for name in _IDLE:
        if attrgetter(name)(config) != attrgetter(name)(usual):
            raise UserError(f"{name} has no effect on this study of single texts; leave it out")
    if config.data.cut.value == "tokens":
        raise UserError(
            "data.cut=tokens cuts where the tokenizer says, and two models are to read the same "
            "texts; give data.cut=paragraphs and perhaps data.max_words=100"
        )
    if config.data.streaming:
        raise UserError("data.streaming=true reads texts once, and two models read them; leave out")
    parts = settings.fractions
    if len(parts) != 3 or min(parts) <= 0 or not isclose(sum(parts), 1):
        raise UserError(
            f"study.fractions={parts} are not three shares above 0 that make 1; give e.g. "
            "study.fractions=[0.6,0.2,0.2]"
        )
    least = {
        "width": 1, "layers": 1, "batch": 2, "epochs": 1, "patience": 1, "restarts": 0,
        "repetitions": 1, "seed": 0,
    }  # fmt: skip
    for name, bound in least.items():
        if getattr(settings, name) < bound:
            value = getattr(settings, name)
            raise UserError(f"study.{name}={value} is too small; give {bound} or more")
    if not 0 < settings.rate < inf:
        raise UserError(f"study.rate={settings.rate} is no learning rate; give e.g. 0.001")


def sources(config: MatchingConfig) -> list[MatchingConfig]:
    """Check, and return the configurations whose model and texts are read."""
    check(config)
    return list(both(config))


def both(config: MatchingConfig) -> tuple[MatchingConfig, MatchingConfig]:
    """Return the configurations of the two models, a single layer each.

    Raises
    ------
    UserError
        If the second model's words are mistyped or about something else, or there is more than one
        layer to a model.
    """
    words = config.study.other
    for word in words:
        if word.split("=")[0].split(".")[0] not in _OTHER:
            raise UserError(
                f"study.other has {word}, and the second model reads the same texts in the same "
                f"way; only {', '.join(_OTHER)} can be another one's"
            )
    return _single_layer(config), _single_layer(overlay(config, words))


def _single_layer(config: MatchingConfig) -> MatchingConfig:
    """Take the middle layer where the configuration would average over all."""
    selection, index = config.layers.selection.value, config.layers.index
    if selection == "all":
        return overlay(config, ["layers=middle"])
    if selection == "middle" or (selection == "single" and not isinstance(index, list)):
        return config
    if selection == "single" and len(index) == 1:
        return config
    raise UserError(
        f"layers={selection} is more than one layer, and one of each model is matched; give e.g. "
        "layers=middle or layers=3"
    )
