"""Settings of the study and their checks, and the variants that it compares."""

import shlex
from copy import deepcopy
from dataclasses import dataclass, field, fields

from probe.api import Config, UserError, key, load_topologies, overlay

# Keys of the study itself, or common to all variants.
_NOT_VARIED = ("study", "output", "overwrite", "tracking", "launch", "experiment")
LEAST_TOKENS = 4


@dataclass
class Hubs:
    """Hubs, variants and null models."""

    hubs: int | None = key(
        None, "Number of hubs, the strongest neurons (default: 5.6 %, 50 of 896)."
    )
    over: list[str] = key(
        [], 'Variants, each as words, e.g. ["layers=3","data=mmlu data.limit=9"].'
    )
    runs: list[str] = key([], "Folders of finished runs whose hubs are also compared.")
    rotations: int = key(3, "Random rotations of the basis, a null model (0: none).")
    shifts: int = key(1, "Circular shifts of the series, a null model (0: none).")
    inits: int = key(3, "Random initialisations, a null model (0: none).")
    permutations: int = key(1000, "Relabellings of the neurons, the null model of overlaps.")
    repetitions: int = key(1000, "Bootstrap draws of documents for intervals.")
    seed: int = key(0, "Seed of rotations, shifts, relabellings and draws.")


@dataclass
class HubsConfig(Config):
    """The program's configuration with the settings of this study."""

    study: Hubs = field(default_factory=Hubs)


def check(config: HubsConfig) -> dict[str, Config]:
    """Check the settings, and return the variants by name, `base` first.

    Raises
    ------
    UserError
        For the first value that cannot work.
    """
    settings = config.study
    least = {"rotations": 0, "shifts": 0, "inits": 0, "permutations": 1, "repetitions": 1}
    for name, bound in {**least, "seed": 0}.items():
        if getattr(settings, name) < bound:
            raise UserError(
                f"study.{name}={getattr(settings, name)} is too small; give {bound} or more"
            )
    if settings.hubs is not None and settings.hubs < 1:
        raise UserError(f"study.hubs={settings.hubs} is too small; give 1 or more")
    for run in settings.runs:
        load_topologies(run)
    variants = {"base": _plain(config)}
    for variant_words in settings.over:
        name, words = _named(variant_words)
        if name in variants:
            raise UserError(f"study.over has two variants '{name}'; give each its own name")
        variants[name] = varied(config, words)
    for name, variant in variants.items():
        _check_variant(name, variant)
    return variants


def sources(config: HubsConfig) -> list[Config]:
    """Check the settings, and return the configurations whose model and texts are read."""
    return list(check(config).values())


def varied(config: Config, words: str) -> Config:
    """Lay the words of a variant over the configuration.

    Raises
    ------
    UserError
        If a word is mistyped, or cannot differ between variants.
    """
    listed = shlex.split(words)
    for word in listed:
        name = word.partition("=")[0]
        if name.split(".")[0] in _NOT_VARIED:
            raise UserError(
                f"study.over has {name}, which is common to all variants; leave it out there"
            )
    if not listed:
        raise UserError('study.over has a variant without words; give e.g. ["layers=3"]')
    return overlay(_plain(config), listed)


def _named(variant: str) -> tuple[str, str]:
    """Split `name: words`; without a name, the words are the name."""
    name, colon, words = variant.partition(": ")
    return (name, words) if colon and "=" not in name else (variant, variant)


def _plain(config: Config) -> Config:
    return deepcopy(Config(**{field.name: getattr(config, field.name) for field in fields(Config)}))


def _check_variant(name: str, variant: Config) -> None:
    from probe.api import JOINT, check

    check(variant)
    if variant.layers.selection in JOINT:
        raise UserError(
            f"layers={variant.layers.selection} ({name}) joins neurons of several layers, and hubs "
            "are those of one layer; use layers=each, middle or numbers"
        )
    if variant.data.min_tokens < LEAST_TOKENS:
        raise UserError(
            f"data.min_tokens={variant.data.min_tokens} ({name}) leaves too few tokens without the "
            f"first; give {LEAST_TOKENS} or more"
        )
