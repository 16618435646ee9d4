"""What is said of the tokens' norms: a line on the first token, and one on all outliers."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from probe.config import JOINT, Coefficient, Config, ModelConfig, Sinks
from probe.extraction.token_norms import LARGE
from probe.models import load_tokenizer

logger = logging.getLogger(__name__)
# Tokens and positions named on the console.
_NAMED = 3


def with_words(norms: Mapping[str, Any], model: ModelConfig) -> dict[str, Any]:
    """Return a `TokenNorms.record` with the text of every token behind its id."""
    if not any(layer["tokens"] for layer in norms["layers"]):
        return dict(norms)
    decode = load_tokenizer(model).decode
    layers = [
        layer | {"tokens": [[token, decode([token]), *rest] for token, *rest in layer["tokens"]]}
        for layer in norms["layers"]
    ]
    return {**norms, "layers": layers}


def tell_first(
    config: Config, layers: Sequence[int], ratios: Sequence[float], decided: Sinks
) -> None:
    """Say how large the first token is, and warn where it dominates; outliers may be dropped."""
    most = config.data.drop_norm if decided is Sinks.drop else inf
    if config.average.correlation is Coefficient.spearman:
        most = 0  # of ranks it is one among many
    large = [layer for layer, ratio in zip(layers, ratios, strict=True) if LARGE < ratio <= most]
    if config.data.part is not None:  # the first token of the text is not among these
        return
    skip = config.data.skip_first
    joint = config.layers.selection in JOINT  # these refuse to drop
    others = "" if joint or decided is Sinks.drop else ", data.sinks=drop every such token"
    span = " to ".join(f"{ratio:.2f}" for ratio in sorted({min(ratios), max(ratios)}))
    logger.info("the first token counted has %s times the median norm", span)
    if large:
        logger.warning(
            "the norm of the first token counted is up to %.0f times the median (layer%s %s), so "
            "it dominates those correlations; data.skip_first=%d leaves it out%s",
            max(ratios), "s" * (len(large) > 1), ", ".join(map(str, large)), skip + 1, others,
        )  # fmt: skip


def tell_outliers(norms: Mapping[str, Any]) -> None:
    """Say how many tokens stand out, in which layers, which they are and where."""
    found = [layer for layer in norms["layers"] if layer["tokens_above"]]
    if not found:
        return
    tokens, positions = Counter[str](), Counter[str]()
    for layer in found:
        tokens.update({repr(text): count for _, text, count, _ in layer["tokens"]})
        positions.update(layer["positions"])
    counts = sorted({layer["tokens_above"] for layer in found})
    logger.info(
        "in %d of %d layers (%s) %s tokens have more than %g times the median norm, up to "
        "%.0f times; most often %s, at position %s",
        len(found), len(norms["layers"]),
        " to ".join(dict.fromkeys(str(found[end]["layer"]) for end in (0, -1))),
        " to ".join(map(str, dict.fromkeys([counts[0], counts[-1]]))), norms["above"],
        max(layer["most"] for layer in found), _shares(tokens), _shares(positions),
    )  # fmt: skip


def _shares(counts: Counter[str]) -> str:
    total = counts.total()
    return ", ".join(f"{name} ({n / total:.0%})" for name, n in counts.most_common(_NAMED))
