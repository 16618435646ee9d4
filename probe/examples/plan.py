"""From a configuration and texts to a request: examples, layers, matrices, batches."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, combinations, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probe.config import (
    Coefficient,
    Config,
    Cut,
    ModelConfig,
    Scheme,
    Selection,
    data_name,
    model_name,
)
from probe.data import Document
from probe.errors import UserError
from probe.examples.batches import form_batches
from probe.examples.choose import Example, Examples, choose_examples
from probe.examples.counting import n_counted
from probe.examples.cut import Special
from probe.examples.layers import layers_of, resolve_layers, text_part
from probe.examples.partition import MatrixSpec, View, partition, partition_by_views
from probe.examples.request import Request
from probe.models import begins_behind_padding, length_limit, load_tokenizer
from probe.system.logs import plural

logger = logging.getLogger(__name__)
# Correlations over fewer tokens than this are mostly noise.
_FEW_TOKENS = 64
# Texts of which the ids of two tokenizers are compared.
_COMPARED = 8
_MOST = 1 << 62  # tokens of a model without a limit
# Called with the numbers of examples and of the model's layers.
Views = Callable[[int, int], Sequence[View]]
# Called with token ids and the run; returns perplexities.
Score = Callable[[list[Example], Config], NDArray[np.float64]]
# Called with token ids and the run; returns the ids of what the model writes behind each.
Generate = Callable[[list[Example], Config], list[list[int]]]


def plan_extraction(
    config: Config,
    documents: Iterable[Document],
    views: Views | None = None,
    *,
    score: Score,
    generate: Generate | None = None,
    told: bool = False,
) -> tuple[Request, Examples]:
    """Choose examples, layers and matrices, and form the batches.

    Parameters
    ----------
    config : Config
        The run.
    documents : iterable of Document
        Its raw texts.
    views : callable, optional
        Returns the matrices to compute, instead of `layers` and `average` of the configuration.
    score : callable
        Returns the perplexity of every example, see `probe.extraction.perplexity`; called if
        `data.perplexity` is set.
    generate : callable, optional
        Returns what the model writes behind every example, see `probe.extraction.generation`;
        called if `data.generate` is set.
    told : bool
        Whether the user knows the texts already: only what is left out is said.

    Raises
    ------
    UserError
        If no example is left, a layer is not in the model, or a view is invalid.
    """
    text = text_part(config.model)
    if views is None:
        layers_of(config)  # report a mistake before any work
    first = list(islice(documents, _COMPARED))
    if isinstance(documents, Iterator):
        documents = chain(first, documents)
    tokenizer = load_tokenizer(config.model, [document.text for document in first])
    context = context_length(config.model, tokenizer)

    def checked_score(examples: list[Example]) -> NDArray[np.float64]:
        _refuse_unknown_ids(examples, text.vocab_size, config)
        return score(examples, config)

    def checked_generate(examples: list[Example]) -> list[list[int]]:
        assert generate is not None, "data.generate needs a model"
        _refuse_unknown_ids(examples, text.vocab_size, config)
        return generate(examples, config)

    examples = choose_examples(
        documents, tokenizer, config, context, checked_score, checked_generate
    )
    _refuse_unknown_ids(examples.chosen, text.vocab_size, config)
    if not told or examples.skipped:
        _log(config, examples, tokenizer, told)
    if views is None:
        cells, matrices = _matrices(config, text.num_hidden_layers, examples.chosen)
    else:
        counts = len(examples.chosen), text.num_hidden_layers
        cells, matrices = partition_by_views(views(*counts), *counts)
        spearman = config.average.correlation is Coefficient.spearman
        if spearman and any(matrix.scheme == Scheme.pooled for matrix in matrices):
            raise UserError(
                "average.correlation=spearman ranks the tokens of each text, and a view's scheme "
                "is pooled; use mean or fisher"
            )
    request = Request(
        config=config,
        layers=sorted({layer for matrix in matrices for layer in matrix.layers}),
        batches=form_batches(
            examples.chosen,
            config.runtime.token_budget,
            cells,
            config.data.part,
            length_limit(text),
            examples.dropped,
        ),
        names=[example.document for example in examples.chosen],
        run=str(time.monotonic_ns()),
        matrices=matrices,
    )
    return request, examples


def context_length(model: ModelConfig, tokenizer: Any) -> int:
    """Return the most tokens that the model reads at once."""
    text = text_part(model)
    positions = getattr(text, "max_position_embeddings", None) or _MOST
    if begins_behind_padding(text):
        positions -= text.pad_token_id + 1
    return int(min(positions, tokenizer.model_max_length))


def _refuse_unknown_ids(examples: Sequence[Example], vocabulary: int, config: Config) -> None:
    """Refuse token ids beyond the model's embedding."""
    for number, example in enumerate(examples):
        largest = max(example.ids, default=0)
        if largest >= vocabulary:
            raise UserError(
                f"example {number} ({example.document}) has the token {largest}, but "
                f"{model_name(config.model)} has {vocabulary} tokens; use the tokenizer that "
                "belongs to the model"
            )


def _matrices(
    config: Config, n_layers: int, examples: Sequence[Example]
) -> tuple[list[list[int]], list[MatrixSpec]]:
    layers, average = resolve_layers(config, n_layers), config.average
    selection, kind = config.layers.selection, "layer"
    groups = {f"layer_{layer}": [layer] for layer in layers}
    if selection is Selection.all:
        groups = {"all_layers": layers}
    elif selection is Selection.cross:
        groups = {f"cross_layer_{i}_{j}": [i, j] for i, j in combinations(layers, 2)}
        kind = "cross"
    elif selection is Selection.full:
        groups, kind = {"full": layers}, "full"
    return partition(groups, examples, average.scheme.value, average.parts, average.halves, kind)


def _log(config: Config, examples: Examples, tokenizer: Any, told: bool) -> None:
    """Report the chosen examples; unless that was told before, warn of short ones, too."""
    part = config.data.part
    spans = [(example.ids, example.span(part)) for example in examples.chosen]
    tokens = [n_counted(*text, examples.dropped) for text in spans]
    logger.info(
        "%s on %s: %s of %s %stokens (%d in all)%s",
        model_name(config.model), data_name(config.data), plural(len(tokens), "example"),
        " to ".join(dict.fromkeys(map(str, (min(tokens), max(tokens))))),
        "" if part is None else f"{part} ", sum(tokens),
        "".join(f", {n} left out: {why}" for why, n in examples.skipped.items()),
    )  # fmt: skip
    if examples.dropped is not None:
        logger.info(
            "%d tokens are read and not counted: data.drop_tokens=%s",
            sum(stop - start for _, (start, stop) in spans) - sum(tokens), config.data.drop_tokens,
        )  # fmt: skip
    if told:
        return
    if config.data.cut in (Cut.tokens, Cut.paragraphs) and config.data.special_tokens:
        added = Special.of(tokenizer).named(tokenizer)
        logger.info("every piece of a text %s", added or "is without special tokens")
    if np.median(tokens) < _FEW_TOKENS:
        logger.warning(
            "half of the examples have fewer than %d tokens: over 60 tokens unrelated neurons "
            "have a mean |r| of 0.10", _FEW_TOKENS,
        )  # fmt: skip
