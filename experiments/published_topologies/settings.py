"""Settings of the study, and the checks of them that need neither model nor texts."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

from probe.api import Config, UserError, compose, key

SCHEMES = ("mean", "fisher")
# Parts that the published `partitioned_N` are cut into.
PARTS = 3
# What the published files fix; given by the user, it would have no effect.
_FIXED = ("data", "subject", "layers", "average", "init.kind", "null", "site")


@dataclass
class PublishedTopologies:
    """What is built."""

    schemes: list[str] = key(
        list(SCHEMES), "Averages to build, a tree each (default: mean and fisher)."
    )
    layer: int = key(12, "The single layer, from 0.")
    texts: int = key(100, "Pieces of OpenWebText behind average_N and partitioned_N.")
    many: int = key(10000, "Pieces of OpenWebText behind the large partitioned_N.")
    perplexity: list[float] | None = key(
        [1.0, 99.0], "Percentiles of the perplexity between which pieces stay (default: [1,99])."
    )
    mmlu_path: str | None = key(None, "Local copy of MMLU; takes the place of the Hub.")
    openwebtext_path: str | None = key(
        None, "Local copy of OpenWebText; takes the place of the Hub."
    )


@dataclass
class PublishedTopologiesConfig(Config):
    """The program's configuration with the settings of this study."""

    study: PublishedTopologies = field(default_factory=PublishedTopologies)
    reference: str | None = key(None, "Folder of the published files, to compare with.")


def check(config: PublishedTopologiesConfig) -> None:
    """Tell a mistake before hours of work, not after them.

    Raises
    ------
    UserError
        For the first value that cannot work.
    """
    settings, usual = config.study, compose()
    for name in _FIXED:
        if attrgetter(name)(config) != attrgetter(name)(usual):
            raise UserError(
                f"{name} is fixed by the published files; leave it out, and see --help for what "
                "study.… can change"
            )
    schemes = settings.schemes
    if not schemes or len(set(schemes)) < len(schemes) or not set(schemes) <= set(SCHEMES):
        raise UserError(f"study.schemes={schemes} is none of [mean], [fisher] and [mean,fisher]")
    if settings.texts < PARTS:
        raise UserError(
            f"study.texts={settings.texts} cannot be cut into {PARTS} parts; give {PARTS} or more"
        )
    if settings.many <= settings.texts:
        raise UserError(
            f"study.many={settings.many} is to be more than study.texts={settings.texts}"
        )
    between = settings.perplexity
    if between is not None and (len(between) != 2 or not 0 <= between[0] < between[1] <= 100):
        raise UserError(
            f"study.perplexity={between} is no pair of percentiles from 0 to 100, the lower first; "
            "give e.g. study.perplexity=[1,99]"
        )
    for name in ("mmlu_path", "openwebtext_path"):
        path = getattr(settings, name)
        if path is not None and not Path(path).exists():
            raise UserError(f"study.{name}={path} does not exist")
    if config.reference is not None:
        check_reference(config.reference)


def check_reference(reference: str) -> Path:
    """Return the folder of the published files.

    Raises
    ------
    UserError
        If it is none.
    """
    if not Path(reference).is_dir():
        raise UserError(f"reference={reference} is no folder; give that of the published files")
    return Path(reference)
