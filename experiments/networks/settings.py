"""Settings of the study and their checks."""

from dataclasses import dataclass, field, replace
from typing import Any

from experiments.words import split_words
from probe.api import StudyConfig, UserError, key, overlay

EFFECTS = ("lesion", "keep", "amplify")
MEASURES = ("perplexity", "kl", "accuracy", "margin")
RULES = ("two_sided", "one_sided", "percentile")
# Threshold of z, share of random neurons and other choices of Liu et al. 2025.
PAPER_THRESHOLD, PAPER_RANDOM = 1.96, 0.15
_PAPER: dict[str, Any] = {
    "components": [10],
    "method": "temporal",
    "standardise": "none",
    "rule": "one_sided",
    "threshold": PAPER_THRESHOLD,
    "starts": 1,
    "solver": "fastica",
    "treatment": "zero",
}


@dataclass
class Networks:
    """How networks are found, and what is done with them."""

    components: list[int] = key(
        [10], "Numbers of networks; the first is studied, all are a curve of effect keep.", least=1
    )
    method: str = key(
        "canica",
        "Independent over neurons (canica: each text reduced first; spatial), or over tokens.",
        choices=("canica", "spatial", "temporal"),
    )
    solver: str = key("fastica", "What maximises independence.", choices=("fastica", "picard"))
    standardise: str = key(
        "zscore",
        "Each neuron over the tokens: zscore, centre or none (then loud layers win).",
        choices=("zscore", "centre", "none"),
    )
    rule: str = key(
        "two_sided",
        "Neurons of a network: |z| or z above the threshold, or a share of all z maps.",
        choices=RULES,
    )
    threshold: float = key(
        PAPER_THRESHOLD, "Of z; with percentile, times as many as there are neurons.", above=0
    )
    starts: int = key(5, "Random starts; the sparsest is taken, the others are compared.", least=1)
    samples: int = key(50, "Texts of the other half whose own networks are found.", least=0)
    recurs: float = key(0.2, "Overlap (IoU) from which a network recurs.", least=0, below=1)
    permutations: int = key(100, "Draws of every null model.", least=1)
    also: list[str] = key([], 'Other texts to look for the networks in, e.g. ["data=mbpp"].')
    effects: list[str] = key([], "What is done with networks in the model.", choices=EFFECTS)
    networks: list[int] = key(
        [],
        "Networks of effect lesion, from 0 (default: all).",
        least=0,
        needs="study.effects=lesion",
    )
    treatment: str = key(
        "zero",
        "What lesion and keep do to neurons.",
        choices=("zero", "mean"),
        needs="study.effects=lesion or study.effects=keep",
    )
    add: list[float] = key([], "Amounts that effect amplify adds.", needs="study.effects=amplify")
    scale: list[float] = key(
        [1.5], "Factors by which effect amplify scales.", needs="study.effects=amplify"
    )
    measure: list[str] = key(
        ["perplexity", "kl"],
        "Effects on; accuracy and margin of questions.",
        choices=MEASURES,
        needs="study.effects",
    )
    on: str | None = key(
        None,
        "Texts to measure effects on, as words (default: the other half), e.g. data=mmlu.",
        needs="study.effects",
    )
    draws: int = key(5, "Draws of random neurons.", least=1, needs="study.effects")
    repetitions: int = key(1000, "Bootstrap draws of documents for intervals.", least=1)
    protocol: str = key(
        "controlled", "paper: as published, see README.", choices=("controlled", "paper")
    )
    seed: int = key(0, "Seed of halves, starts, permutations and draws.", least=0)


@dataclass
class NetworksConfig(StudyConfig):
    """The program's configuration with the settings of this study."""

    study: Networks = field(default_factory=Networks)


def check(config: NetworksConfig) -> dict[str, NetworksConfig]:
    """Check the settings, and return the configurations of other texts by their words.

    Raises
    ------
    UserError
        For the first value that cannot work.
    """
    settings = config.study
    if len(set(settings.components)) < len(settings.components):
        raise UserError(f"study.components={settings.components} names a number twice")
    wrong = [number for number in settings.networks if number >= settings.components[0]]
    if wrong:
        raise UserError(
            f"study.networks has {wrong[0]}, and the networks are 0 to "
            f"{settings.components[0] - 1}; give some of these, or more study.components"
        )
    if settings.rule == "percentile" and settings.threshold >= min(settings.components):
        raise UserError(
            f"study.threshold={settings.threshold:g} of rule percentile is times the number of "
            f"neurons, and must be below the number of networks, {min(settings.components)}"
        )
    if "amplify" in settings.effects and not (settings.add or settings.scale):
        raise UserError("study.effects=[amplify] needs amounts; give study.add= or study.scale=")
    others = {words: varied(config, words, "study.also") for words in settings.also}
    if len(others) < len(settings.also):
        raise UserError("study.also names texts twice; give each once")
    if settings.on:
        varied(config, settings.on, "study.on")
    return others


def sources(config: NetworksConfig) -> list[NetworksConfig]:
    """Check the settings, and return the configurations whose model and texts are read."""
    on = [varied(config, config.study.on, "study.on")] if config.study.on else []
    return [config, *check(published(config)).values(), *on]


def varied(config: NetworksConfig, words: str, name: str) -> NetworksConfig:
    """Lay words that choose other texts over the configuration.

    Raises
    ------
    UserError
        If a word is mistyped, or changes more than the texts.
    """
    listed = split_words(words, name)
    for word in listed:
        if word.partition("=")[0].split(".")[0] not in ("data", "subject"):
            raise UserError(
                f"{name} has {word}, and chooses other texts for the same model; give words of "
                'data and subject, e.g. "data=mmlu subject=stem data.limit=50"'
            )
    if not listed:
        raise UserError(f'{name} has no words; give e.g. "data=mbpp"')
    return overlay(config, listed)


def published(config: NetworksConfig) -> NetworksConfig:
    """Return the configuration with the choices of Liu et al. 2025 under `study.protocol=paper`.

    Raises
    ------
    UserError
        If one of these choices was made otherwise.
    """
    if config.study.protocol != "paper":
        return config
    usual = Networks()
    for name, value in _PAPER.items():
        own = getattr(config.study, name)
        if own not in (value, getattr(usual, name)):
            raise UserError(
                f"study.protocol=paper has study.{name}={value}, and {own} was given; leave "
                "one of the two out"
            )
    return replace(config, study=replace(config.study, **_PAPER))
