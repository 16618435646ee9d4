"""The dataclasses of every configuration: types, defaults, one sentence per key."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from omegaconf import MISSING

from probe.config.choices import (
    Coefficient,
    Cut,
    DensityRule,
    FigureFormat,
    Figures,
    InitKind,
    Matmul,
    Mode,
    Scheme,
    Selection,
    Sinks,
    Site,
    Weight,
)
from probe.config.key import key
from probe.config.model import ModelConfig

# Parts of a text whose tokens may be the only ones that count.
PROMPT, GENERATED, ANSWER = "prompt", "generated", "answer"
ROLES = ("system", "user", "assistant")
PARTS = (GENERATED, PROMPT, "question", ANSWER, *ROLES)


@dataclass
class DataConfig:
    """A data set and the choice of examples from it."""

    source: str = key(MISSING, "Reader of the data set.")
    name: str | None = key(None, "Short name in paths and tables (default: the file's name).")
    id: str | None = key(None, "Repository on the Hugging Face Hub.")
    revision: str | None = key(None, "Branch, tag or commit on the Hub.")
    config: str | None = key(None, "Configuration on the Hub, if the data set has several.")
    split: str = key("test", "Split of the data set.")
    column: str = key("text", "Column that holds the text.")
    template: str | None = key(
        None, "Text to fill with a row's columns, named in braces (data=table)."
    )
    choices: list[str] | None = key(
        None,
        "Texts, or templates, of the choices that each row has (data=table), "
        "e.g. [negative,positive].",
        younger=True,
    )
    answer: str | None = key(
        None,
        "Column with the right choice, its text or its number from 0 (data=table).",
        younger=True,
    )
    streaming: bool = key(False, "Download only as many rows from the Hub as needed.")
    path: str | None = key(
        None, "Local file, folder or pattern of files, used instead of the Hub.", path=True
    )
    cut: Cut = key(
        Cut.whole,
        "A document is one example, whole or truncated to max_tokens, or several: merged "
        "paragraphs, or windows of tokens.",
    )
    max_words: int = key(800, "Merge paragraphs up to this many words (cut=paragraphs).", least=1)
    window: int | None = key(None, "Tokens per example (cut=tokens; default: max_tokens).", least=2)
    generate: int = key(0, "Tokens that the model writes behind every text.", least=0, younger=True)
    temperature: float = key(
        0.0, "Temperature of what it writes (0: the likeliest token).", least=0, younger=True
    )
    part: str | None = key(
        None,
        "Count only the tokens of this part of every text: generated (what the model wrote), "
        "prompt (what is before it, or before an answer), question, answer, or the turn of a role.",
        choices=PARTS,
        younger=True,
    )
    drop_tokens: Any = key(
        None,
        "Tokens that are read and not counted: special, punctuation (nothing else in them), the id "
        "of a token, or a list of these.",
        younger=True,
    )
    min_tokens: int = key(
        16,
        "Drop examples with fewer tokens that count (part=generated: at most as many as generate).",
        least=2,
    )
    max_tokens: int | None = key(
        None,
        "Drop longer examples (default: the model's context length).",
        least=2,
    )
    perplexity: list[float] | None = key(
        None, "Keep examples between two percentiles of the model's perplexity, e.g. [1,99]."
    )
    special_tokens: bool = key(True, "Let the tokenizer add its special tokens.")
    skip_first: int = key(
        0, "Leave the first k tokens of each example out (attention sinks).", least=0
    )
    sinks: Sinks = key(
        Sinks.auto,
        "Tokens with an outlying norm (attention sinks): keep, drop in every layer, both (a second "
        "topology without them), or auto: both if one token of a text makes most of a topology.",
        younger=True,
    )
    drop_norm: float = key(
        10.0,
        "Norm from which a token is an outlier, over the median of its text.",
        above=1,
        younger=True,
    )
    shuffle: bool = key(False, "Shuffle the examples before offset and limit.")
    seed: int = key(0, "Seed of the shuffle, and of what is written at a temperature.", least=0)
    offset: int = key(0, "Examples to skip.", least=0)
    limit: int | None = key(None, "Examples to keep, after all other selections.", least=1)

    @property
    def least_tokens(self) -> int:
        """Fewest tokens that count in an example that is kept."""
        return min(self.min_tokens, self.generate) if self.part == GENERATED else self.min_tokens

    @property
    def dropped(self) -> list[str | int]:
        """What `drop_tokens` names, each once, in one order however it was written."""
        given = self.drop_tokens if isinstance(self.drop_tokens, list) else [self.drop_tokens]
        named = {one for one in given if one is not None}
        return sorted(named, key=lambda one: (isinstance(one, str), one))


@dataclass
class SubjectConfig:
    """A subject and what it means in each data set that has subjects."""

    name: str = key(MISSING, "Name of the subject.")
    mmlu: list[str] = key([], "The matching subjects of MMLU.")
    mmlu_pro: list[str] = key([], "The matching subjects of MMLU-Pro.")
    sample: list[str] = key([], "The matching subjects of the bundled sample.")


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
    """Figures; those that a finished run lacks are drawn when these keys change."""

    draw: Figures = key(
        Figures.auto,
        "all, summary (those over all matrices, and one sheet of all heat maps) or none; auto is "
        "all up to 8 matrices, and the summary beyond.",
    )
    format: FigureFormat = key(FigureFormat.png, "Also write figures as pdf or svg, beside PNG.")


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
