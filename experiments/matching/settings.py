"""Settings of the study, and checks that need neither models nor texts."""

from dataclasses import dataclass, field

from experiments.splits import check_split
from probe.api import StudyConfig, UserError, key, overlay

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
    split: list[float] = key(
        [0.6, 0.2, 0.2],
        "Fractions of the texts for training, validation (early stopping) and test.",
        above=0,
        was="fractions",
    )
    width: int = key(32, "Width of the encoders and of their embeddings.", least=1)
    gcn_layers: int = key(2, "Graph convolutions per encoder.", least=1, was="layers")
    rate: float = key(1e-3, "Learning rate (Adam).", above=0)
    batch: int = key(64, "Texts per batch, which are contrasted with each other.", least=2)
    epochs: int = key(100, "Most passes over the training set.", least=1)
    patience: int = key(10, "Passes without gain after which training stops.", least=1)
    restarts: int = key(5, "Random starts of the search for an assignment of neurons.", least=0)
    repetitions: int = key(
        1000, "Bootstrap draws of documents, and permutations of texts.", least=1
    )
    seed: int = key(0, "Seed of split, encoders, draws and starts.", least=0)


@dataclass
class MatchingConfig(StudyConfig):
    """The program's configuration with the settings of this study."""

    study: Matching = field(default_factory=Matching)


def check(config: MatchingConfig) -> None:
    """Check the settings before any work.

    Raises
    ------
    UserError
        For the first value that cannot work.
    """
    _single_layer(config)
    if config.data.cut.value == "tokens":
        raise UserError(
            "data.cut=tokens depends on the tokenizer, and two models must read the same texts; "
            "give data.cut=paragraphs and e.g. data.max_words=100"
        )
    if config.data.streaming:
        raise UserError(
            "data.streaming=true reads texts once, and two models need them; leave it out"
        )
    check_split(config.study.split, ("training", "validation", "test"))


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
    """Return a configuration, if it reads a single layer."""
    selection, index = config.layers.selection.value, config.layers.index
    one = not isinstance(index, list) or len(index) == 1
    if selection == "middle" or (selection == "single" and one):
        return config
    raise UserError(
        f"layers={selection} is more than one layer, and one layer per model is matched; give e.g. "
        "layers=middle or layers=3"
    )
