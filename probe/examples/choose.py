"""From documents to examples: cut, tokenize, filter, shuffle, limit."""

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probe.config import AverageConfig, Config, Cut, DataConfig, data_name
from probe.data import Document
from probe.errors import UserError
from probe.examples.counting import Dropped
from probe.examples.cut import bundled_is_too_long
from probe.examples.example import GENERATED, Example, continued, too_little, unknown
from probe.examples.pieces import tokenized
from probe.examples.token_ids import TokenStore

logger = logging.getLogger(__name__)
# Most texts tokenized at a time, in parallel: each takes some hundred bytes a token meanwhile.
_TOGETHER = 256


@dataclass(frozen=True)
class Examples:
    """The chosen examples, how many were left out, by reason, and tokens that do not count."""

    chosen: list[Example]
    skipped: dict[str, int]
    dropped: Dropped | None = None

    def fingerprint(self) -> str:
        """Return a hash of all token ids, in the order of the examples."""
        digest = hashlib.sha256()
        for example in self.chosen:
            digest.update(np.array([len(example.ids), *example.ids], dtype="<i8").tobytes())
        return f"sha256 {digest.hexdigest()}"


def choose_examples(
    documents: Iterable[Document],
    tokenizer: Any,
    config: Config,
    context: int,
    score: Callable[[list[Example]], NDArray[np.float64]] | None = None,
    generate: Callable[[list[Example]], list[list[int]]] | None = None,
) -> Examples:
    """Cut documents into pieces, filter by length and perplexity, shuffle, offset, limit, continue.

    Parameters
    ----------
    documents : iterable of Document
        Raw texts, read only as far as needed; of what is chosen only token ids are held.
    tokenizer : transformers tokenizer
        Turns texts into token ids.
    config : Config
        `data` says what to choose, `average.example` whether to use a single example.
    context : int
        Context length of the model in tokens.
    score : callable, optional
        Returns the perplexity of every example, for `data.perplexity`.
    generate : callable, optional
        Returns the tokens that the model writes behind every example, for `data.generate`.

    Raises
    ------
    UserError
        If no example is left.
    """
    data = config.data
    most = context if data.max_tokens is None else min(data.max_tokens, context)
    if data.generate >= most:
        raise UserError(
            f"data.generate={data.generate} leaves no room for a prompt: a text has at most {most} "
            "tokens, by the model's context or data.max_tokens; generate fewer"
        )
    skipped: Counter[str] = Counter()
    end = None if data.limit is None else data.offset + data.limit
    # Unless the choice depends on all of them, texts after the last chosen one are not tokenized.
    needed = None if data.shuffle or data.perplexity else end
    together = _TOGETHER if needed is None else min(needed, _TOGETHER)
    pieces = tokenized(documents, tokenizer, config, most - data.generate, together)
    dropped = Dropped.of(tokenizer, data.dropped)
    within = _within(pieces, data, most, skipped, dropped)
    store = TokenStore(config.output)
    chosen = list(_held(islice(within, needed), store))
    if data.perplexity is not None and chosen:
        assert score is not None, "data.perplexity needs a model"
        chosen = _between(chosen, score(chosen), data.perplexity, skipped)
    if data.shuffle:
        order = np.random.default_rng(data.seed).permutation(len(chosen))
        chosen = [chosen[i] for i in order]
    chosen = chosen[data.offset : end]
    if data.generate and chosen:
        assert generate is not None, "data.generate needs a model"
        chosen = list(_held(continued(chosen, generate, data, skipped, dropped), store))
    if not chosen and bundled_is_too_long(data, skipped):
        logger.info("the bundled texts are longer than %d tokens: they are truncated", most)
        cut = replace(config, data=replace(data, cut=Cut.truncate))
        return choose_examples(documents, tokenizer, cut, context, score, generate)
    skipped.update(getattr(documents, "skipped", {}))
    if not chosen and skipped.keys() == {unknown(data)}:
        raise UserError(
            f"data.part={data.part} is not known of the texts of data={data_name(data)}; leave it "
            "out, or use data whose texts have it"
        )
    if not chosen:
        why = ", ".join(f"{count} had {reason}" for reason, count in skipped.items())
        raise UserError(
            f"no example is left of data={data_name(data)} ({why or 'offset too large'}); "
            "change data.min_tokens, data.max_tokens, data.perplexity or data.offset, or cut long "
            "texts with data.cut=tokens or data.cut=truncate"
        )
    return Examples(_averaged(chosen, config.average), dict(skipped), dropped)


def _held(examples: Iterable[Example], store: TokenStore) -> Iterator[Example]:
    """Keep token ids in a store."""
    for example in examples:
        yield replace(example, ids=store.add(example.ids))


def _within(
    examples: Iterable[Example],
    data: DataConfig,
    most: int,
    skipped: Counter[str],
    dropped: Dropped | None,
) -> Iterator[Example]:
    """Pass examples of enough and of at most `most` tokens, and count the others."""
    for example in examples:
        # What the model will write counts as if it were there.
        more = 0 if GENERATED in example.spans else data.generate
        low, high = data.skip_first + data.least_tokens - more, most - more
        if not example.ids and more:
            skipped["no tokens"] += 1
        elif len(example.ids) < low:
            skipped[f"fewer than {low} tokens"] += 1
        elif len(example.ids) > high:
            skipped[f"more than {high} tokens"] += 1
        elif not more and (reason := too_little(example, data, dropped)):
            skipped[reason] += 1
        else:
            yield example


def _between(
    examples: list[Example],
    perplexity: NDArray[np.float64],
    percentiles: list[float],
    skipped: Counter[str],
) -> list[Example]:
    """Keep the examples between two percentiles of the perplexity, both included."""
    low, high = np.percentile(perplexity, percentiles)
    between = [
        example for example, value in zip(examples, perplexity, strict=True) if low <= value <= high
    ]
    logger.info("perplexity of %d examples: keeping %.3g to %.3g", len(examples), low, high)
    if len(between) < len(examples):
        span = " to ".join(f"{percentile:g}" for percentile in percentiles)
        skipped[f"perplexity outside percentiles {span}"] += len(examples) - len(between)
    return between


def _averaged(chosen: list[Example], average: AverageConfig) -> list[Example]:
    """Return the examples to average, all or `average.example`, after checking the parts' sizes."""
    if average.std and (average.example is not None or len(chosen) < 2 * average.parts):
        raise UserError(
            "average.std=true needs two examples or more in every part; use more examples, or "
            "leave it out"
        )
    if average.example is not None:
        if average.example >= len(chosen):
            raise UserError(
                f"average.example={average.example} does not exist: the examples are 0 to "
                f"{len(chosen) - 1}"
            )
        return [chosen[average.example]]
    if average.parts > len(chosen):
        raise UserError(
            f"average.parts={average.parts} is more than the {len(chosen)} examples; "
            "use fewer parts or more examples"
        )
    return chosen
