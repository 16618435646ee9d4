"""The dataclasses of every configuration: types, defaults, one sentence per key."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from probe.config.choices import (
    Coefficient,
    DensityRule,
    FigureFormat,
    Figures,
    InitKind,
    Matmul,
    Mode,
    Scheme,
    Selection,
    Site,
    Weight,
)
from probe.config.data import DataConfig, SubjectConfig
from probe.config.key import key
from probe.config.model import ModelConfig


@dataclass
class LayersConfig:
    """The layers, counted from 0 as decoder blocks."""

    selection: Selection = key(
        Selection.all,
        "Mean over all layers, one matrix per layer (each, middle, single), one per pair (cross), "
        "or all layers' neurons in one (full).",
    )
    index: Any = key(None, "Layer number or list of numbers (single; optional for cross, full).")


@dataclass
class AverageConfig:
    """How the examples' correlations are averaged."""

    scheme: Scheme = key(Scheme.mean, "mean, fisher (mean of arctanh r) or pooled (all tokens).")
    weight: Weight = key(Weight.example, "Weight every example, or every token, equally.")
    parts: int = key(
        1, "Split the examples into this many contiguous parts, one matrix each.", least=1
    )
    example: int | None = key(None, "Use this one example only, counted from 0.", least=0)
    std: bool = key(False, "Also write the standard error of every edge.")
    halves: bool = key(
        True, "Compute split-half r: of the topologies of two halves of the documents."
    )
    correlation: Coefficient = key(
        Coefficient.pearson,
        "pearson, or spearman: that of every neuron's ranks over the tokens of a text.",
        younger=True,
    )


@dataclass
class NullConfig:
    """The circular-shift null model: topologies of unrelated series, as a measure of noise."""

    shifts: int = key(0, "Circular-shift surrogates; each costs as much as another run.", least=0)
    seed: int = key(0, "Seed of the shifts.", least=0)


@dataclass
class MeasuresConfig:
    """Graph measures; they are recomputed from the matrices when these keys change."""

    density: Any = key(0.1, "Fraction of the strongest |r| kept as edges, or a list of fractions.")
    density_rule: DensityRule = key(
        DensityRule.pairs,
        "Fraction of all pairs of neurons, or, as in the paper, of all n² entries.",
    )
    rewired: int = key(5, "Rewired graphs to compare each graph with (0: none).", least=0)
    hubs: int | None = key(
        None,
        "Number of hubs, the strongest neurons (default: 5.6 %, 50 of 896).",
        least=1,
    )
    seed: int = key(0, "Seed of community detection and rewiring.", least=0)


@dataclass
class FiguresConfig:
    """Figures; when these keys change, a finished run draws what it lacks or has otherwise."""

    draw: Figures = key(
        Figures.auto,
        "all, summary (those over all matrices, and one sheet of all heat maps) or none; auto is "
        "all up to 8 matrices, and the summary beyond.",
    )
    format: FigureFormat = key(FigureFormat.png, "Also write figures as pdf or svg, beside PNG.")
    dpi: int = key(150, "Dots per inch of PNG.", least=50, most=600)
    max_r: float | None = key(
        None,
        "Colours of heat maps end at this |r| (default: at percentile 99 of |r| as drawn).",
        above=0,
        most=1,
    )


@dataclass
class InitConfig:
    """Trained or untrained weights."""

    kind: InitKind = key(InitKind.pretrained, "pretrained or random (same architecture).")
    seed: int = key(0, "Seed of the random weights.", least=0)


@dataclass
class TrackingConfig:
    """Weights & Biases."""

    enabled: bool = key(True, "Write a W&B run.")
    mode: Mode = key(Mode.auto, "auto is online if you are logged in, else offline.")
    project: str = key("probe", "W&B project.")
    entity: str | None = key(None, "W&B user or team.")
    tags: list[str] = key([], "Additional tags for the run.")
    upload: bool = key(False, "Also upload the matrices as an artifact.")


@dataclass
class LaunchConfig:
    """Processes on this machine."""

    num_processes: int | None = key(
        None, "Ranks to start (default: one per GPU, else one).", least=1
    )


@dataclass
class RuntimeConfig:
    """Device, batch size, precision and checkpoints."""

    device: str = key("auto", "auto, cpu, cuda, cuda:1, mps.")
    token_budget: int = key(4096, "Tokens per batch, padding included.", least=1)
    matmul: Matmul = key(
        Matmul.fp32,
        "Precision of the correlation matmul only; tf32 and bf16x3 are faster on a GPU.",
    )
    checkpoint_minutes: float = key(
        5.0,
        "Minutes between checkpoints; longer if writing one takes over 1 % of that.",
        least=0,
    )


@dataclass
class Config:
    """One run."""

    # Whether `layers=all` is the mean of all layers, which some checks are about.
    averages: ClassVar[bool] = True
    # Keys that a study reads only under a condition, see `needs` of `key`.
    needs: ClassVar[Mapping[str, str]] = {}

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    subject: SubjectConfig | None = None
    layers: LayersConfig = field(default_factory=LayersConfig)
    average: AverageConfig = field(default_factory=AverageConfig)
    init: InitConfig = field(default_factory=InitConfig)
    null: NullConfig = field(default_factory=NullConfig)
    measures: MeasuresConfig = field(default_factory=MeasuresConfig)
    figures: FiguresConfig = field(default_factory=FiguresConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    launch: LaunchConfig = field(default_factory=LaunchConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    site: Site = key(
        Site.residual,
        "Where neurons are read: residual (a block's output, the last one's after the final norm), "
        "residual_raw (that of every block as it is), mlp (input of its output projection), "
        "mlp_output or attention (what it adds to the residual stream), or embedding.",
    )
    output: str = key("outputs", "Folder under which runs are written.", path=True)
    overwrite: bool = key(False, "Repeat a finished run and replace it.")

    @property
    def places_model(self) -> bool:
        """Whether it says where the model is; a study may have a key of its own for that."""
        return self.model.path is not None or self.model.id is not None


@dataclass
class StudyConfig(Config):
    """What a study reads; one that has settings of its own adds them as a field `study`.

    It averages nothing: `layers=all` means every layer.
    """

    averages: ClassVar[bool] = False
