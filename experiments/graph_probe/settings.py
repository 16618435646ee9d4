"""Settings of the study, and checks that need neither model nor texts."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from probe.api import Config, UserError, compose, key

PROBES = ("ridge", "linear", "mlp", "gcn")
PROTOCOLS = ("validation", "paper")
# The study chooses layers and averages nothing.
_FIXED = ("layers", "average", "null")


@dataclass
class GraphProbe:
    """What is predicted, from where, and how."""

    targets: list[str] = key(
        ["perplexity"],
        "What to predict: perplexity, loss, subject, or a label of the data, as a table's column "
        "(default: perplexity).",
    )
    layers: Any = key("middle", "middle, each, a layer's number from 0, or a list of numbers.")
    probes: list[str] = key(
        list(PROBES), "ridge, linear, mlp, gcn (default: all); gcn reads topologies only."
    )
    densities: list[float] = key(
        [1.0], "Shares of the strongest entries that stay in a topology, by the paper's rule."
    )
    protocol: str = key(
        "validation", "validation, or paper: rows are split and the test part chooses; optimistic."
    )
    seeds: int = key(3, "Repetitions, each with a split and a training of its own.")
    random_inits: int = key(3, "Randomly initialised models; the repetitions take turns.")
    epochs: int = key(100, "Most epochs of linear, mlp and gcn.")
    gcn_layers: int = key(2, "Layers of the graph network.")
    bootstrap: int = key(1000, "Draws of test documents behind every interval.")


@dataclass
class GraphProbeConfig(Config):
    """The program's configuration with the settings of this study."""

    study: GraphProbe = field(default_factory=GraphProbe)


def check(config: GraphProbeConfig) -> None:
    """Tell a mistake before the work.

    Raises
    ------
    UserError
        For the first value that cannot work.
    """
    settings, usual = config.study, compose()
    for name in _FIXED:
        if attrgetter(name)(config) != attrgetter(name)(usual):
            raise UserError(
                f"{name} has no meaning for this study; leave it out, and choose layers with "
                "study.layers"
            )
    if not settings.targets or len(set(settings.targets)) < len(settings.targets):
        raise UserError(
            f"study.targets={settings.targets} is to name one target or more, each once"
        )
    unknown = [probe for probe in settings.probes if probe not in PROBES]
    if unknown or not settings.probes or len(set(settings.probes)) < len(settings.probes):
        raise UserError(
            f"study.probes={settings.probes} is to name some of {', '.join(PROBES)}, each once"
        )
    if settings.protocol not in PROTOCOLS:
        raise UserError(
            f"study.protocol={settings.protocol} is not known; give validation or paper"
        )
    densities = settings.densities
    if 1.0 not in densities or not all(0 < density <= 1 for density in densities):
        raise UserError(
            f"study.densities={densities} are to be shares above 0 and up to 1, 1 among them, with "
            "which the others are compared; give e.g. study.densities=[1,0.1,0.01]"
        )
    layer_words(settings.layers)
    for name in ("seeds", "random_inits", "epochs", "gcn_layers"):
        if getattr(settings, name) < 1:
            raise UserError(f"study.{name}={getattr(settings, name)} is too small; give 1 or more")
    if settings.bootstrap < 100:
        raise UserError(f"study.bootstrap={settings.bootstrap} is too small; give 100 or more")


def sources(config: GraphProbeConfig) -> list[GraphProbeConfig]:
    """Check, and return the configurations whose model and texts are read."""
    check(config)
    return [config]


def layer_words(layers: Any) -> str | list[int]:
    """Return `middle`, `each`, or layer numbers.

    Raises
    ------
    UserError
        If it is none of them.
    """
    if layers in ("middle", "each"):
        return str(layers)
    numbers = list(layers) if isinstance(layers, list | tuple) else [layers]
    if not numbers or not all(type(number) is int and number >= 0 for number in numbers):
        raise UserError(
            f"study.layers={layers} is not known; give middle, each, a number from 0 or a list "
            "of them"
        )
    if len(set(numbers)) < len(numbers):
        raise UserError(f"study.layers={layers} names a layer twice; name each once")
    return numbers
