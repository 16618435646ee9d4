"""Settings of the study and their checks, and the variants that it compares."""

from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from experiments.words import split_words
from probe.api import StudyConfig, UserError, key, load_topologies, overlay
from probe.api import check as check_config

# Keys of the study itself, or common to all variants.
_NOT_VARIED = ("study", "output", "overwrite", "tracking", "launch", "experiment")
LEAST_TOKENS = 4


@dataclass
class Hubs:
    """Hubs, variants and null models."""

    hubs: int | None = key(
        None, "Number of hubs, the strongest neurons (default: 5.6 %, 50 of 896).", least=1
    )
    over: list[str] = key(
        [], 'Variants, each as words, e.g. ["layers=3","data=mmlu data.limit=9"].'
    )
    runs: list[str] = key([], "Folders of finished runs whose hubs are also compared.", path=True)
    rotations: int = key(3, "Random rotations of the basis, a null model (0: none).", least=0)
    shifts: int = key(1, "Circular shifts of the series, a null model (0: none).", least=0)
    inits: int = key(3, "Random initialisations, a null model (0: none).", least=0)
    permutations: int = key(
        1000,
        "Relabellings of the neurons, the null model of overlaps.",
        least=1,
        needs="study.over or study.runs",
    )
    repetitions: int = key(1000, "Bootstrap draws of documents for intervals.", least=1)
    ruling: float = key(
        10.0,
        "Tokens rule whose norm is above so many times their text's median; they are left out to "
        "see which hubs remain.",
        least=1,
        younger=True,
    )
    seed: int = key(0, "Seed of rotations, shifts, relabellings and draws.", least=0)


@dataclass
class HubsConfig(StudyConfig):
    """The program's configuration with the settings of this study."""

    study: Hubs = field(default_factory=Hubs)


def check(config: HubsConfig) -> dict[str, HubsConfig]:
    """Check the settings, and return the variants by name, `base` first.

    Raises
    ------
    UserError
        For the first value that cannot work.
    """
    settings = config.study
    for run in settings.runs:
        load_topologies(run)
    variants = {"base": config}
    for variant_words in settings.over:
        name, words = _named(variant_words)
        if name in variants:
            raise UserError(f"study.over has two variants '{name}'; give each its own name")
        variants[name] = varied(config, words)
    for name, variant in variants.items():
        _check_variant(name, variant)
    return variants


def sources(config: HubsConfig) -> list[HubsConfig | Path]:
    """Check the settings, and return what is read: models and texts, matrices of finished runs."""
    variants = check(config).values()
    matrices = [sorted(Path(run, "topology").glob("*.npy")) for run in config.study.runs]
    return [*variants, *chain.from_iterable(matrices)]


def varied(config: HubsConfig, words: str) -> HubsConfig:
    """Lay the words of a variant over the configuration.

    Raises
    ------
    UserError
        If a word is mistyped, or cannot differ between variants.
    """
    listed = split_words(words, "study.over")
    for word in listed:
        name = word.partition("=")[0]
        if name.split(".")[0] in _NOT_VARIED:
            raise UserError(
                f"study.over has {name}, which is common to all variants; leave it out there"
            )
    if not listed:
        raise UserError('study.over has a variant without words; give e.g. ["layers=3"]')
    return overlay(config, listed)


def _named(variant: str) -> tuple[str, str]:
    """Split `name: words`; without a name, the words are the name."""
    name, colon, words = variant.partition(": ")
    return (name, words) if colon and "=" not in name else (variant, variant)


def _check_variant(name: str, variant: HubsConfig) -> None:
    check_config(variant)
    if variant.data.least_tokens < LEAST_TOKENS:
        raise UserError(
            f"data.min_tokens={variant.data.min_tokens} ({name}) leaves too few tokens without the "
            f"first; give {LEAST_TOKENS} or more"
        )
