"""Settings of the study, and checks that need neither model nor texts."""

from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from probe.api import Config, UserError, compose, key

PROBES = ("ridge", "linear", "mlp", "gcn")
PROTOCOLS = ("validation", "paper")
# The study has its own selection of layers, and averages nothing.
_FIXED = ("layers", "average", "null")


@dataclass
class GraphProbe:
    """Targets, layers, probes and protocol."""

    targets: list[str] = key(
        ["perplexity"],
        "What to predict: perplexity, loss, subject, or a label of the data, such as a column of a "
        "table (default: perplexity).",
    )
    layers: Any = key("middle", "middle, each, a layer number from 0, or a list of numbers.")
    probes: list[str] = key(
        list(PROBES), "ridge, linear, mlp, gcn (default: all); gcn reads topologies only."
    )
    densities: list[float] = key(
        [1.0], "Fractions of the strongest entries kept in a topology, by the paper's rule."
    )
    protocol: str = key(
        "validation", "validation, or paper: rows are split, selection on the test set; optimistic."
    )
    seeds: int = key(3, "Repetitions, each with its own split and training.")
    random_inits: int = key(3, "Randomly initialised models, used by the repetitions in turn.")
    epochs: int = key(100, "Maximum number of epochs of linear, mlp and gcn.")
    gcn_layers: int = key(2, "Layers of the graph network.")
    bootstrap: int = key(1000, "Bootstrap draws of test documents for intervals.")


@dataclass
class GraphProbeConfig(Config):
    """The program's configuration with the settings of this study."""

    study: GraphProbe = field(default_factory=GraphProbe)


def check(config: GraphProbeConfig) -> None:
    """Check the settings before any work.

    Raises
    ------
    UserError
        For the first value that cannot work.
    """
    settings, usual = config.study, compose()
    for name in _FIXED:
        if attrgetter(name)(config) != attrgetter(name)(usual):
            raise UserError(
                f"{name} has no effect on this study; leave it out, and select layers with "
                "study.layers"
            )
    if not settings.targets or len(set(settings.targets)) < len(settings.targets):
        raise UserError(
            f"study.targets={settings.targets} must name at least one target, each once"
        )
    unknown = [probe for probe in settings.probes if probe not in PROBES]
    if unknown or not settings.probes or len(set(settings.probes)) < len(settings.probes):
        raise UserError(
            f"study.probes={settings.probes} must name some of {', '.join(PROBES)}, each once"
        )
    if settings.protocol not in PROTOCOLS:
        raise UserError(f"study.protocol={settings.protocol} must be validation or paper")
    densities = settings.densities
    if 1.0 not in densities or not all(0 < density <= 1 for density in densities):
        raise UserError(
            f"study.densities={densities} must be fractions above 0 and up to 1, including 1 for "
            "comparison, e.g. study.densities=[1,0.1,0.01]"
        )
    layer_words(settings.layers)
    for name in ("seeds", "random_inits", "epochs", "gcn_layers"):
        if getattr(settings, name) < 1:
            raise UserError(f"study.{name}={getattr(settings, name)} is too small; give 1 or more")
    if settings.bootstrap < 100:
        raise UserError(f"study.bootstrap={settings.bootstrap} is too small; give 100 or more")


def sources(config: GraphProbeConfig) -> list[GraphProbeConfig]:
    """Check the settings, and return the configurations whose model and texts are read."""
    check(config)
    return [config]


def layer_words(layers: Any) -> str | list[int]:
    """Return `middle`, `each`, or layer numbers.

    Raises
    ------
    UserError
        If it is anything else.
    """
    if layers in ("middle", "each"):
        return str(layers)
    numbers = list(layers) if isinstance(layers, list | tuple) else [layers]
    if not numbers or not all(type(number) is int and number >= 0 for number in numbers):
        raise UserError(
            f"study.layers={layers} must be middle, each, a number from 0 up or a list of them"
        )
    if len(set(numbers)) < len(numbers):
        raise UserError(f"study.layers={layers} names a layer twice; name each once")
    return numbers
