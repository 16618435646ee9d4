"""Settings of the study and their checks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.neuron_graphs.presets import PRESETS
from experiments.neuron_graphs.unit import Unit
from probe.api import Site, StudyConfig, UserError, key

SUBSTITUTES = ("model", "masked", "embeddings", "none")
NORMALISE = ("preset", "none", "title_strip", "casefold_strip")


@dataclass
class NeuronGraphs:
    """Which neurons, and how their graphs are made and tested."""

    units: Any = key(
        "all",
        "Neurons: all, 3:17 (layer:neuron), 3:17- (negative activations), 4 (a layer), hubs:RUN, "
        "or a list.",
    )
    signs: list[str] = key(["+"], "Signs of those that name none.", choices=("+", "-"))
    per_layer: int | None = key(
        None, "Neurons of each layer, drawn among study.units (default: all of them).", least=1
    )
    preset: str = key(
        "consistent",
        "One threshold and start anchors, or as published, in the text or in the code.",
        choices=tuple(PRESETS),
    )
    normalise: str = key(
        "preset",
        "Tokens that are the same: none, also in title case and behind a space (title_strip), in "
        "any case, or as the preset has it.",
        choices=NORMALISE,
    )

    texts: int = key(20, "Texts of every neuron, the strongest; half are held out.", least=2)
    random: int = key(32, "Random texts in which false positives are counted.", least=1)
    context: int = key(30, "Tokens of context that a graph looks at.", least=2)
    substitutes: str = key(
        "model",
        "Where other tokens come from: the model itself, a masked language model, neighbouring "
        "embeddings, or none.",
        choices=SUBSTITUTES,
    )
    masked_model: str = key(
        "distilbert-base-uncased",
        "Folder or repository of the masked language model.",
        needs="study.substitutes=masked",
    )
    proposals: int = key(
        5, "Substitutes of every important token.", least=1, needs="study.substitutes!=none"
    )
    mask: str | None = key(
        None,
        "Token that replaces others, as text (default: the mask token, else ' _', else padding).",
    )
    wildcard_pivot: bool = key(False, "Whether the activating token, too, can be any token.")
    control: int = key(60, "Neurons of the untrained model, at most as many as given.", least=1)
    rows: int = key(1024, "Most rows of a batch.", least=1)
    row_tokens: int = key(16384, "Most tokens of a batch of rows, padding included.", least=64)
    repetitions: int = key(1000, "Bootstrap draws of neurons for intervals.", least=1)
    seed: int = key(
        0, "Seed of random texts, drawn neurons, halves, untrained weights and draws.", least=0
    )

    @property
    def rule(self) -> str:
        """Return which tokens are the same."""
        usual: str = PRESETS[self.preset].normalise
        return usual if self.normalise == "preset" else self.normalise


@dataclass
class NeuronGraphsConfig(StudyConfig):
    """The program's configuration with the settings of this study."""

    study: NeuronGraphs = field(default_factory=NeuronGraphs)


def check(config: NeuronGraphsConfig) -> list[Unit]:
    """Check the settings, and return the units in order.

    Raises
    ------
    UserError
        For the first value that cannot work.
    """
    from experiments.neuron_graphs.choosing import choose

    settings = config.study
    if config.site is Site.embedding:
        raise UserError(
            "site=embedding reads the tokens themselves, on which every neuron fires as the table "
            "of embeddings says; give site=mlp, residual or attention"
        )
    if not settings.signs:
        raise UserError("study.signs is empty; give [+], [-] or [+,-]")
    return choose(config)


def sources(config: NeuronGraphsConfig) -> list[NeuronGraphsConfig | Path]:
    """Check the settings, and return what is read: model and texts, matrices of runs of hubs."""
    from experiments.neuron_graphs.choosing import runs

    check(config)
    matrices = [file for run in runs(config.study.units) for file in matrices_of(run)]
    return [config, *matrices]


def matrices_of(run: str) -> Sequence[Path]:
    """Return the matrices of a finished run."""
    return sorted(Path(run, "topology").glob("*.npy"))
