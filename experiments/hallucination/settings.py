"""Settings of the study, and checks that need neither model nor texts."""

from dataclasses import dataclass, field
from math import isclose
from operator import attrgetter

from probe.api import Config, UserError, compose, key

# Parts of the main program's configuration without effect here.
_IDLE = ("average", "null")


@dataclass
class Hallucination:
    """The probes and their controls."""

    fractions: list[float] = key(
        [0.6, 0.2, 0.2], "Fractions of the answers for training, validation (penalty) and test."
    )
    random_inits: int = key(3, "Randomly initialised models as controls.")
    permutations: int = key(200, "Shuffles of the labels within each question.")
    repetitions: int = key(1000, "Bootstrap draws of questions for intervals.")
    seed: int = key(0, "Seed of split, draws and shuffles.")


@dataclass
class HallucinationConfig(Config):
    """The program's configuration with the settings of this study."""

    study: Hallucination = field(default_factory=Hallucination)


def check(config: HallucinationConfig) -> None:
    """Check the settings before any work.

    Raises
    ------
    UserError
        For the first value that cannot work.
    """
    settings, usual = config.study, compose()
    if config.layers.selection.value in ("cross", "full"):
        raise UserError(
            f"layers={config.layers.selection} joins layers, and this study reads them separately; "
            "give e.g. layers=middle, layers=each or layers=[3,7]"
        )
    for name in _IDLE:
        if attrgetter(name)(config) != attrgetter(name)(usual):
            raise UserError(f"{name} has no effect on this study of single texts; leave it out")
    parts = settings.fractions
    if len(parts) != 3 or min(parts) <= 0 or not isclose(sum(parts), 1):
        raise UserError(
            f"study.fractions={parts} must be three fractions above 0 that sum to 1, e.g. "
            "study.fractions=[0.6,0.2,0.2]"
        )
    least = {"random_inits": 0, "permutations": 1, "repetitions": 1, "seed": 0}
    for name, bound in least.items():
        value = getattr(settings, name)
        if value < bound:
            raise UserError(f"study.{name}={value} is too small; give {bound} or more")


def sources(config: HallucinationConfig) -> list[HallucinationConfig]:
    """Check the settings, and return the configurations whose model and texts are read."""
    check(config)
    return [config]
