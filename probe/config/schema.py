"""The one dataclass tree behind every configuration: types, defaults, a sentence for each key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from probe.config.choices import (
    Cut,
    DensityRule,
    DType,
    InitKind,
    Matmul,
    Mode,
    Scheme,
    Selection,
    Side,
    Site,
    Weight,
)


def key(default: Any, sentence: str) -> Any:
    """Declare a configuration key with its default and the sentence that explains it."""
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata={"doc": sentence})
    return field(default=default, metadata={"doc": sentence})


@dataclass
class ModelConfig:
    """A Hugging Face model."""

    name: str | None = key(None, "Short name in paths and tables (default: from the id or folder).")
    id: str | None = key(None, "Repository on the Hugging Face Hub, ORG/NAME.")
    path: str | None = key(None, "Local folder of the model; takes the place of the Hub.")
    revision: str | None = key(None, "Branch, tag or commit on the Hub, e.g. step1000 for Pythia.")
    dtype: DType = key(DType.float32, "Precision of weights and activations.")
    device_map: str | None = key(None, "auto spreads one model over all GPUs and the host.")
    padding_side: Side = key(Side.right, "Side on which short examples are padded.")
    blocks: str | None = key(None, "Dotted path of the list of blocks, where it is not found.")
    mlp_output: str | None = key(None, "Path in a block of the MLP's output projection (site=mlp).")
    attention: str | None = key(None, "Path in a block of the attention module (site=attention).")
    chat: bool = key(False, "Put questions into the model's chat template (instruct models).")
    trust_remote_code: bool = key(False, "Run Python code that comes with the model.")


@dataclass
class DataConfig:
    """A data set and the choice of examples from it."""

    source: str = key(MISSING, "Reader of the data set.")
    name: str | None = key(None, "Short name in paths and tables (default: the file's).")
    id: str | None = key(None, "Repository on the Hugging Face Hub.")
    revision: str | None = key(None, "Branch, tag or commit on the Hub.")
    config: str | None = key(None, "Configuration on the Hub, where the data set has several.")
    split: str = key("test", "Split of the data set.")
    column: str = key("text", "Column that holds the text.")
    template: str | None = key(None, "Text made of a row's columns, named in braces (data=table).")
    streaming: bool = key(False, "Read only as many rows from the Hub as are needed.")
    path: str | None = key(None, "Local file or folder; takes the place of the Hub.")
    cut: Cut = key(Cut.whole, "Make each document one example, paragraphs merged, or windows.")
    max_words: int = key(800, "Words up to which paragraphs are merged (cut=paragraphs).")
    window: int | None = key(None, "Tokens of a piece (cut=tokens; default: max_tokens).")
    min_tokens: int = key(16, "Examples with fewer tokens in the correlation are left out.")
    max_tokens: int | None = key(None, "Longer examples are left out (default: the context).")
    perplexity: list[float] | None = key(
        None, "Keep examples between two percentiles of the model's perplexity, e.g. [1,99]."
    )
    special_tokens: bool = key(True, "Let the tokenizer add its special tokens.")
    skip_first: int = key(0, "Leave out the first k tokens of each example (attention sinks).")
    shuffle: bool = key(False, "Shuffle the examples before offset and limit.")
    seed: int = key(0, "Seed of the shuffle.")
    offset: int = key(0, "Examples to pass over.")
    limit: int | None = key(None, "Examples to keep, counted after every other selection.")


@dataclass
class SubjectConfig:
    """A subject and what it means in each data set that has subjects."""

    name: str = key(MISSING, "Name of the subject.")
    mmlu: list[str] = key([], "Its subjects in MMLU.")
    mmlu_pro: list[str] = key([], "Its subjects in MMLU-Pro.")
    sample: list[str] = key([], "Its subjects in the bundled sample text.")


@dataclass
class LayersConfig:
    """The layers, counted from 0 as decoder blocks."""

    selection: Selection = key(Selection.all, "all, each, middle, single, cross or full.")
    index: Any = key(None, "Layer number or list of numbers (single, and perhaps cross, full).")


@dataclass
class AverageConfig:
    """How the examples' correlations are averaged."""

    scheme: Scheme = key(Scheme.mean, "mean, fisher (mean of arctanh r) or pooled (all tokens).")
    weight: Weight = key(Weight.example, "Let every example, or every token, count the same.")
    parts: int = key(1, "Cut the examples into this many contiguous parts, a matrix each.")
    example: int | None = key(None, "Use this one example only, counted from 0.")
    std: bool = key(False, "Also write the standard error of every edge.")
    halves: bool = key(True, "Correlate the topologies of two halves of the documents.")


@dataclass
class NullConfig:
    """Topologies of series that have nothing to do with each other, as a measure of noise."""

    shifts: int = key(0, "Times to shift every series circularly by itself; each costs a run more.")
    seed: int = key(0, "Seed of the shifts.")


@dataclass
class MeasuresConfig:
    """Graph measures; they are redone from the matrices when these keys change."""

    density: Any = key(0.1, "Share of the strongest |r| that become edges, or a list of shares.")
    density_rule: DensityRule = key(
        DensityRule.pairs, "Share of the pairs of neurons, or the paper's of all n² entries."
    )
    rewired: int = key(5, "Rewired graphs that a graph is compared with (0: none).")
    hubs: int | None = key(None, "Strongest neurons that are hubs (default: 5.6 %, 50 of 896).")
    seed: int = key(0, "Seed of communities and rewiring.")


@dataclass
class InitConfig:
    """Trained or untrained weights."""

    kind: InitKind = key(InitKind.pretrained, "pretrained or random (same architecture).")
    seed: int = key(0, "Seed of the random weights.")


@dataclass
class TrackingConfig:
    """Weights & Biases."""

    enabled: bool = key(True, "Write a W&B run.")
    mode: Mode = key(Mode.auto, "auto is online where there is a login, else offline.")
    project: str = key("probe", "W&B project.")
    entity: str | None = key(None, "W&B user or team.")
    tags: list[str] = key([], "More tags for the run.")
    upload: bool = key(False, "Also upload the matrices as an artifact.")


@dataclass
class LaunchConfig:
    """Processes on this machine."""

    num_processes: int | None = key(None, "Ranks to start (default: one a GPU, else one).")


@dataclass
class RuntimeConfig:
    """Where and in what portions the work is done."""

    device: str = key("auto", "auto, cpu, cuda, cuda:1, mps.")
    token_budget: int = key(4096, "Tokens of a batch, padding included.")
    matmul: Matmul = key(
        Matmul.fp32, "Precision of the correlations' products; the others are faster on a GPU."
    )


@dataclass
class Config:
    """One run."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    subject: SubjectConfig | None = None
    layers: LayersConfig = field(default_factory=LayersConfig)
    average: AverageConfig = field(default_factory=AverageConfig)
    init: InitConfig = field(default_factory=InitConfig)
    null: NullConfig = field(default_factory=NullConfig)
    measures: MeasuresConfig = field(default_factory=MeasuresConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    launch: LaunchConfig = field(default_factory=LaunchConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    site: Site = key(
        Site.residual, "residual (block output), mlp (before its output), attention or embedding."
    )
    output: str = key("outputs", "Folder under which runs are written.")
    overwrite: bool = key(False, "Do a finished run again.")
