"""Settings of the study, and checks that need neither models nor texts."""

from dataclasses import dataclass, field
from math import inf, isclose
from operator import attrgetter

from probe.api import Config, UserError, compose, key, overlay

# Parts of the main program's configuration without effect here.
_IDLE = ("average", "null")
# Parts of the configuration in which the second model may differ.
_OTHER = ("model", "init", "layers")


@dataclass
class Matching:
    """The second model, the encoders and their training."""

    other: list[str] = key(
        ["init=random"],
        "Words that turn the first model into the second, e.g. ['model=gpt2'] (default: random "
        "weights).",
    )
    fractions: list[float] = key(
        [0.6, 0.2, 0.2],
        "Fractions of the texts for training, validation (early stopping) and test.",
    )
    width: int = key(32, "Width of the encoders and of their embeddings.")
    layers: int = key(2, "Graph convolutions per encoder.")
    rate: float = key(1e-3, "Learning rate (Adam).")
    batch: int = key(64, "Texts per batch, which are contrasted with each other.")
    epochs: int = key(100, "Most passes over the training set.")
    patience: int = key(10, "Passes without gain after which training stops.")
    restarts: int = key(5, "Random starts of the search for an assignment of neurons.")
    repetitions: int = key(1000, "Bootstrap draws of documents, and permutations of texts.")
    seed: int = key(0, "Seed of split, encoders, draws and starts.")


@dataclass
class MatchingConfig(Config):
    """The program's configuration with the settings of this study."""

    study: Matching = field(default_factory=Matching)


def check(config: MatchingConfig) -> None:
    """Check the settings before any work.

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
            "data.cut=tokens depends on the tokenizer, and two models must read the same texts; "
            "give data.cut=paragraphs and e.g. data.max_words=100"
        )
    if config.data.streaming:
        raise UserError(
            "data.streaming=true reads texts once, and two models need them; leave it out"
        )
    parts = settings.fractions
    if len(parts) != 3 or min(parts) <= 0 or not isclose(sum(parts), 1):
        raise UserError(
            f"study.fractions={parts} must be three fractions above 0 that sum to 1, e.g. "
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
        raise UserError(f"study.rate={settings.rate} must be a learning rate above 0, e.g. 0.001")


def sources(config: MatchingConfig) -> list[MatchingConfig]:
    """Check the settings, and return the configurations whose model and texts are read."""
    check(config)
    return list(both(config))


def both(config: MatchingConfig) -> tuple[MatchingConfig, MatchingConfig]:
    """Return the configurations of the two models, a single layer each.

    Raises
    ------
    UserError
        If the second model's words are mistyped or set anything else, or a model has more than one
        layer.
    """
    words = config.study.other
    for word in words:
        if word.split("=")[0].split(".")[0] not in _OTHER:
            raise UserError(
                f"study.other has {word}, but the second model must read the same texts in the "
                f"same way; only {', '.join(_OTHER)} can differ"
            )
    return _single_layer(config), _single_layer(overlay(config, words))


def _single_layer(config: MatchingConfig) -> MatchingConfig:
    """Replace the mean over all layers by the middle layer."""
    selection, index = config.layers.selection.value, config.layers.index
    if selection == "all":
        return overlay(config, ["layers=middle"])
    if selection == "middle" or (selection == "single" and not isinstance(index, list)):
        return config
    if selection == "single" and len(index) == 1:
        return config
    raise UserError(
        f"layers={selection} is more than one layer, and one layer per model is matched; give e.g. "
        "layers=middle or layers=3"
    )
