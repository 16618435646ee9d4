"""The values of keys that have only a few."""

from enum import StrEnum


class DType(StrEnum):
    """Precision in which a model computes."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


class Side(StrEnum):
    """Side on which short examples of a batch are padded."""

    left = "left"
    right = "right"


class Site(StrEnum):
    """Place in a decoder block, or before the first one, where neurons are read."""

    residual = "residual"
    residual_raw = "residual_raw"
    mlp = "mlp"
    mlp_output = "mlp_output"
    attention = "attention"
    embedding = "embedding"


# Sites whose neurons are coordinates of the residual stream itself.
RESIDUALS = (Site.residual, Site.residual_raw)


class Selection(StrEnum):
    """Which layers are correlated, and how they are combined."""

    all = "all"
    each = "each"
    middle = "middle"
    single = "single"
    cross = "cross"
    full = "full"


class Scheme(StrEnum):
    """How the correlations of the examples become one matrix."""

    mean = "mean"
    fisher = "fisher"
    pooled = "pooled"


class Coefficient(StrEnum):
    """Which correlation an example's tokens give."""

    pearson = "pearson"
    spearman = "spearman"


class Weight(StrEnum):
    """What has equal weight in the average: every example or every token."""

    example = "example"
    token = "token"


class Cut(StrEnum):
    """How a document becomes examples."""

    whole = "whole"
    truncate = "truncate"
    paragraphs = "paragraphs"
    tokens = "tokens"


class Sinks(StrEnum):
    """What becomes of tokens whose norm is an outlier of their text."""

    auto = "auto"
    keep = "keep"
    drop = "drop"
    both = "both"


class Matmul(StrEnum):
    """Precision of the correlation matmul."""

    fp32 = "fp32"
    tf32 = "tf32"
    bf16x3 = "bf16x3"


class DensityRule(StrEnum):
    """Which entries of a matrix `measures.density` is a fraction of."""

    pairs = "pairs"
    paper = "paper"


class InitKind(StrEnum):
    """Where the weights come from."""

    pretrained = "pretrained"
    random = "random"


class Mode(StrEnum):
    """Whether W&B connects to its server."""

    auto = "auto"
    online = "online"
    offline = "offline"


class Figures(StrEnum):
    """Which figures of a run are drawn."""

    auto = "auto"
    all = "all"
    summary = "summary"
    none = "none"


class FigureFormat(StrEnum):
    """Format in which figures are written; PNG is always among them."""

    png = "png"
    pdf = "pdf"
    svg = "svg"
