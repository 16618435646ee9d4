"""From documents to examples: cut, tokenize, filter, shuffle, limit."""

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby, islice, repeat
from typing import Any

import numpy as np
from jinja2 import TemplateError
from numpy.typing import NDArray
from tqdm import tqdm

from probe.config import AverageConfig, Config, Cut, DataConfig, data_name, model_name
from probe.data import Document
from probe.errors import UserError
from probe.examples.cut import Cutter, bundled_is_too_long, merge_paragraphs
from probe.examples.example import GENERATED, Example, continued
from probe.examples.explicit import with_given_ids
from probe.examples.spans import token_spans
from probe.system.logs import plural

logger = logging.getLogger(__name__)
# What a chat template calls to ask for the clock.
_CLOCK = "strftime_now"
# Most texts tokenized at a time, in parallel.
_TOGETHER = 1000


@dataclass(frozen=True)
class Examples:
    """The chosen examples, and how many were left out, by reason."""

    chosen: list[Example]
    skipped: dict[str, int]

    def fingerprint(self) -> str:
        """Return a hash of all token ids, in the order of the examples."""
        digest = hashlib.sha256()
        for example in self.chosen:
            ids = example.ids
            digest.update(np.array([len(ids), *ids], dtype="<i8").tobytes())
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
        Raw texts, read only as far as needed.
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
    pieces = _pieces(documents, tokenizer, config, most - data.generate, together)
    within = _within(pieces, data, most, skipped)
    chosen = list(islice(within, needed))
    if data.perplexity is not None and chosen:
        assert score is not None, "data.perplexity needs a model"
        chosen = _between(chosen, score(chosen), data.perplexity, skipped)
    if data.shuffle:
        order = np.random.default_rng(data.seed).permutation(len(chosen))
        chosen = [chosen[i] for i in order]
    chosen = chosen[data.offset : end]
    if data.generate and chosen:
        assert generate is not None, "data.generate needs a model"
        chosen = continued(chosen, generate, data, skipped)
    if not chosen and bundled_is_too_long(data, skipped):
        logger.info("the bundled texts are longer than %d tokens: they are truncated", most)
        cut = replace(config, data=replace(data, cut=Cut.truncate))
        return choose_examples(documents, tokenizer, cut, context, score, generate)
    skipped.update(getattr(documents, "skipped", {}))
    if not chosen:
        why = ", ".join(f"{count} had {reason}" for reason, count in skipped.items())
        raise UserError(
            f"no example is left of data={data_name(data)} ({why or 'offset too large'}); "
            "change data.min_tokens, data.max_tokens, data.perplexity or data.offset, or cut long "
            "texts with data.cut=tokens or data.cut=truncate"
        )
    return Examples(_averaged(chosen, config.average), dict(skipped))


def _within(
    examples: Iterable[Example], data: DataConfig, most: int, skipped: Counter[str]
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
        else:
            yield example


def _pieces(
    documents: Iterable[Document], tokenizer: Any, config: Config, most: int, together: int
) -> Iterator[Example]:
    """Tokenize documents or their pieces, several at a time."""
    data = config.data
    cutter = Cutter.of(tokenizer, data, most)
    texts = _texts(
        tqdm(documents, "tokenize", disable=None, leave=False, delay=2), tokenizer, config
    )
    while portion := list(islice(texts, together)):
        for special, group in groupby(portion, key=lambda text: text[2]):
            sources, pieces, _ = zip(*group, strict=True)
            if special is None:
                yield from (with_given_ids(source, tokenizer) for source in sources)
                continue
            # Only fast tokenizers know where their tokens are.
            parts = data.cut is Cut.whole and any(source.parts for source in sources)
            more = {"return_offsets_mapping": True} if parts and tokenizer.is_fast else {}
            encoded = tokenizer(
                list(pieces), add_special_tokens=special, return_attention_mask=False,
                verbose=False, **more,
            )  # fmt: skip
            offsets = encoded["offset_mapping"] if more else repeat(())
            rows = zip(sources, pieces, encoded["input_ids"], offsets, strict=False)
            for source, text, ids, at in rows:
                spans = token_spans(text, source.parts, at)
                for piece in cutter.cut(ids, special):
                    yield Example(source.name, piece, source.group or "", spans)
    if cutter.truncated:
        logger.info("%s truncated to %d tokens", plural(cutter.truncated, "text"), most)


def _texts(
    documents: Iterable[Document], tokenizer: Any, config: Config
) -> Iterator[tuple[Document, str, bool | None]]:
    """Yield every text with its document and whether to add special tokens.

    None in place of the latter says that the document has token ids.
    """
    data = config.data
    if config.model.chat and tokenizer.chat_template is None:
        raise UserError(
            f"model.chat=true needs a tokenizer with a chat template, but "
            f"{model_name(config.model)} has none; use an instruct model, or model.chat=false"
        )
    if config.model.chat and _CLOCK in str(tokenizer.chat_template):
        logger.warning(
            "the chat template of %s writes the date or time into every text (%s): the same texts "
            "give other tokens later", model_name(config.model), _CLOCK,
        )  # fmt: skip
    wrapped = False
    for document in documents:
        if document.ids:
            yield document, document.text, None
        elif config.model.chat and document.turns:
            turns = [{"role": role, "content": content} for role, content in document.turns]
            try:
                text = tokenizer.apply_chat_template(
                    turns, tokenize=False, add_generation_prompt=turns[-1]["role"] == "user",
                    enable_thinking=False,  # otherwise Qwen3 thinks aloud before it answers
                )  # fmt: skip
            except (TemplateError, TypeError, ValueError, LookupError, ArithmeticError) as error:
                raise UserError(
                    f"the chat template of {model_name(config.model)} does not accept the turns "
                    f"{', '.join(role for role, _ in document.turns)} ({error}); "
                    "use model.chat=false"
                ) from None
            wrapped = True
            yield document, text, False  # the template contains its special tokens
        elif config.model.chat and not wrapped:
            raise UserError(
                "model.chat=true wraps questions in the model's chat template, and "
                f"{document.name} is none; leave it out, or give data of questions, e.g. data=mmlu"
            )
        elif data.cut is Cut.paragraphs:
            for piece in merge_paragraphs(document.text, data.max_words):
                yield document, piece, data.special_tokens
        else:
            yield document, document.text, data.special_tokens


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
