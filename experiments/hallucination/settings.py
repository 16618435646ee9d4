"""Settings of the study, and checks that need neither model nor texts."""

from dataclasses import dataclass, field

from experiments.splits import check_split
from probe.api import StudyConfig, key


@dataclass
class Hallucination:
    """The probes and their controls."""

    split: list[float] = key(
        [0.6, 0.2, 0.2],
        "Fractions of the answers for training, validation (penalty) and test.",
        above=0,
        was="fractions",
    )
    inits: int = key(3, "Randomly initialised models as controls.", least=0, was="random_inits")
    permutations: int = key(200, "Shuffles of the labels within each question.", least=1)
    repetitions: int = key(1000, "Bootstrap draws of questions for intervals.", least=1)
    seed: int = key(0, "Seed of split, draws and shuffles.", least=0)


@dataclass
class HallucinationConfig(StudyConfig):
    """The program's configuration with the settings of this study."""

    study: Hallucination = field(default_factory=Hallucination)


def check(config: HallucinationConfig) -> None:
    """Check the settings before any work.

    Raises
    ------
    UserError
        For the first value that cannot work.
    """
    check_split(config.study.split, ("training", "validation", "test"))


def sources(config: HallucinationConfig) -> list[HallucinationConfig]:
    """Check the settings, and return the configurations whose model and texts are read."""
    check(config)
    return [config]
