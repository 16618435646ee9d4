"""Settings of the study, and checks that need neither model nor texts."""

from dataclasses import dataclass, field
from pathlib import Path

from probe.api import StudyConfig, UserError, key

SCHEMES = ("mean", "fisher")
# Number of parts of the published `partitioned_N`.
PARTS = 3
# Fixed by the published files; setting these would have no effect.
IDLE = (
    "data",
    "subject",
    "layers",
    "average",
    "init=",
    "init.kind",
    "null",
    "site",
    "measures",
    "experiment",
)


@dataclass
class PublishedTopologies:
    """What to build."""

    schemes: list[str] = key(
        list(SCHEMES), "Averages to build, one tree each (default: both).", choices=SCHEMES
    )
    layer: int = key(12, "The single layer, from 0.", least=0)
    texts: int = key(100, "Pieces of OpenWebText in average_N and partitioned_N.", least=PARTS)
    many: int = key(10000, "Pieces of OpenWebText in the large partitioned_N.")
    perplexity: list[float] | None = key(
        [1.0, 99.0], "Percentiles of perplexity between which pieces are kept (default: [1,99])."
    )
    mmlu_path: str | None = key(None, "Local copy of MMLU, used instead of the Hub.", path=True)
    openwebtext_path: str | None = key(
        None, "Local copy of OpenWebText, used instead of the Hub.", path=True
    )


@dataclass
class PublishedTopologiesConfig(StudyConfig):
    """The program's configuration with the settings of this study."""

    study: PublishedTopologies = field(default_factory=PublishedTopologies)
    reference: str | None = key(None, "Folder of the published files to compare with.", path=True)


def check(config: PublishedTopologiesConfig) -> None:
    """Check the settings before hours of work.

    Raises
    ------
    UserError
        For the first value that cannot work.
    """
    settings = config.study
    if settings.many <= settings.texts:
        raise UserError(
            f"study.many={settings.many} must be more than study.texts={settings.texts}"
        )
    between = settings.perplexity
    if between is not None and (len(between) != 2 or not 0 <= between[0] < between[1] <= 100):
        raise UserError(
            f"study.perplexity={between} must be two percentiles from 0 to 100, the lower first, "
            "e.g. study.perplexity=[1,99]"
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
        If it is not a folder.
    """
    if not Path(reference).is_dir():
        raise UserError(f"reference={reference} is not a folder; give that of the published files")
    return Path(reference)
