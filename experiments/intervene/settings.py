"""Settings of the study, and checks that need neither model nor texts."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from probe.api import Site, StudyConfig, UserError, key

# Criteria of selection, and their names in figures.
SELECTIONS = {
    "degree": "degree",
    "degree_no_first": "degree without first token",
    "activation": "|last token|",
    "weighted": "weighted activation",
    "rms": "RMS",
    "sd": "SD",
    "random": "random",
    "random_norm": "random, norm of degree's",
}
# Random selections, of which every draw is another one.
DRAWN = ("random", "random_norm")
TREATMENTS = ("mean", "zero", "noise", "add", "scale")
# Those with an amount.
AMOUNTS = ("add", "scale")
ORDERS = ("highest", "lowest")
MEASURES = ("perplexity", "kl", "accuracy", "margin")
SCOPES = ("input", "average")
# Sites whose neurons the next block reads.
_STREAM = (Site.residual, Site.residual_raw)
# Selections, of which masks have no need.
_SELECTING = ("select", "order", "fractions", "scope")


@dataclass
class Intervene:
    """Selections, treatments and measures."""

    select: list[str] = key(
        list(SELECTIONS), "Criteria of selection (default: all).", choices=tuple(SELECTIONS)
    )
    treatment: list[str] = key(["mean"], "Treatments of the neurons.", choices=TREATMENTS)
    order: list[str] = key(
        ["highest"], "Select the highest, or the lowest, scores.", choices=ORDERS
    )
    fractions: list[float] = key(
        [0.01, 0.05, 0.1, 0.25, 0.5],
        "Fractions of neurons to treat, at least one neuron (default: [0.01,0.05,0.1,0.25,0.5]).",
        above=0,
        most=1,
    )
    measure: list[str] = key(
        ["perplexity", "kl"],
        "Effects to measure (accuracy and margin: on questions).",
        choices=MEASURES,
    )
    scope: str = key(
        "input", "Select for every text (input), or once for all (average).", choices=SCOPES
    )
    masks: str | None = key(
        None,
        "File of masks (.npz) to treat beside their controls, instead of selections.",
        younger=True,
    )
    amount: float | None = key(None, "What is added (add), or the factor (scale).", younger=True)
    seeds: int = key(
        3,
        "Draws of random neurons and of noise.",
        least=1,
        needs="study.masks or study.select=random or study.select=random_norm "
        "or study.treatment=noise",
    )
    seed: int = key(0, "Seed of the halves of the texts, the draws and the intervals.", least=0)


@dataclass
class InterveneConfig(StudyConfig):
    """The program's configuration with the settings of this study."""

    study: Intervene = field(default_factory=Intervene)


def check(config: InterveneConfig) -> None:
    """Check the settings before any work.

    Raises
    ------
    UserError
        For the first value that cannot work.
    """
    for mistake in _mistakes(config):
        raise UserError(mistake)


def sources(config: InterveneConfig) -> list[InterveneConfig | Path]:
    """Check the settings, and return the configuration whose model and texts are read, and masks.

    Raises
    ------
    UserError
        If a setting cannot work, or the masks cannot be read.
    """
    check(config)
    if config.study.masks is None:
        return [config]
    from probe.api.interventions import Masks  # imports torch

    file = Path(config.study.masks)
    Masks.load(file)
    return [config, file]


def _mistakes(config: InterveneConfig) -> Iterator[str]:
    settings, usual = config.study, InterveneConfig()
    shares = settings.fractions
    if not shares or len(set(shares)) < len(shares):
        yield (
            f"study.fractions={shares} must be different fractions, e.g. study.fractions=[0.01,0.1]"
        )
    if "random_norm" in settings.select and max(shares) > 0.5:
        yield (
            f"study.select=random_norm selects neurons other than the {settings.order[0]} degrees, "
            f"so study.fractions={shares} cannot exceed 0.5; leave one of the two out"
        )
    if settings.masks is not None:
        for name in _SELECTING:
            if getattr(settings, name) != getattr(usual.study, name):
                yield (
                    f"study.{name} has no effect with study.masks, which say what is treated; "
                    "leave one of the two out"
                )
        if config.layers.selection not in ("middle", "all"):
            yield (
                "layers= has no effect with study.masks, which say what is treated; leave one of "
                "the two out"
            )
    treated = [name for name in settings.treatment if name in AMOUNTS]
    if bool(treated) != (settings.amount is not None):
        yield (
            f"study.treatment={treated[0]} needs study.amount=, e.g. 2"
            if treated
            else f"study.amount={settings.amount:g} has no effect without study.treatment=[add] or "
            "[scale]; leave it out"
        )
    if "weighted" in settings.select and settings.masks is None and config.site not in _STREAM:
        yield (
            f"study.select=weighted scores what the next block reads of the residual stream, not "
            f"site={config.site}; leave weighted out of study.select"
        )
