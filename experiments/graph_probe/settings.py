"""Settings of the study, and checks that need neither model nor texts."""

from dataclasses import dataclass, field

from probe.api import StudyConfig, UserError, key

PROBES = ("ridge", "linear", "mlp", "gcn")
PROTOCOLS = ("validation", "paper")


@dataclass
class GraphProbe:
    """Targets, layers, probes and protocol."""

    targets: list[str] = key(
        ["perplexity"],
        "What to predict: perplexity, loss, subject, or a label of the data, such as a column of a "
        "table (default: perplexity).",
    )
    probes: list[str] = key(
        list(PROBES), "Probes (default: all); gcn reads topologies only.", choices=PROBES
    )
    densities: list[float] = key(
        [1.0],
        "Fractions of the strongest entries kept in a topology, by the paper's rule.",
        above=0,
        most=1,
    )
    protocol: str = key(
        "validation",
        "Or paper: rows are split, and selection is on the test set, which is optimistic.",
        choices=PROTOCOLS,
    )
    seeds: int = key(3, "Repetitions, each with its own split and training.", least=1)
    inits: int = key(
        3,
        "Randomly initialised models, used by the repetitions in turn.",
        least=1,
        was="random_inits",
    )
    epochs: int = key(100, "Maximum number of epochs of linear, mlp and gcn.", least=1)
    gcn_layers: int = key(2, "Layers of the graph network.", least=1)
    repetitions: int = key(
        1000, "Bootstrap draws of test documents for intervals.", least=100, was="bootstrap"
    )


@dataclass
class GraphProbeConfig(StudyConfig):
    """The program's configuration with the settings of this study."""

    study: GraphProbe = field(default_factory=GraphProbe)


def check(config: GraphProbeConfig) -> None:
    """Check the settings before any work.

    Raises
    ------
    UserError
        For the first value that cannot work.
    """
    settings = config.study
    if not settings.targets or len(set(settings.targets)) < len(settings.targets):
        raise UserError(
            f"study.targets={settings.targets} must name at least one target, each once"
        )
    densities = settings.densities
    if 1.0 not in densities:
        raise UserError(
            f"study.densities={densities} must include 1 for comparison, e.g. "
            "study.densities=[1,0.1,0.01]"
        )


def sources(config: GraphProbeConfig) -> list[GraphProbeConfig]:
    """Check the settings, and return the configurations whose model and texts are read."""
    check(config)
    return [config]
