"""From documents to token ids: pieces, chat templates, and where the parts of a text are."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice, repeat
from typing import Any

from jinja2 import TemplateError
from tqdm import tqdm

from probe.config import Config, Cut, model_name
from probe.config.data import ROLES
from probe.data import Document
from probe.errors import UserError
from probe.examples.cut import Cutter, merge_paragraphs
from probe.examples.example import NO_SPANS, Example
from probe.examples.explicit import with_given_ids
from probe.examples.spans import Span, roles, token_spans
from probe.system.logs import plural

logger = logging.getLogger(__name__)
# What a chat template calls to ask for the clock.
_CLOCK = "strftime_now"


def tokenized(
    documents: Iterable[Document], tokenizer: Any, config: Config, most: int, together: int
) -> Iterator[Example]:
    """Yield documents or their pieces as token ids, tokenized several at a time.

    Parameters
    ----------
    documents : iterable of Document
        Raw texts.
    tokenizer : transformers tokenizer
        Turns texts into token ids.
    config : Config
        How texts are cut and formatted, and whose turns are looked for.
    most : int
        Tokens of a window, or of a truncated text.
    together : int
        Most texts at a time.

    Raises
    ------
    UserError
        If the texts do not fit the chat template or the tokenizer.
    """
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
            # Turns are looked for if asked for: else they would change what is known of old runs.
            turns = [roles(source.turns) if data.part in ROLES else () for source in sources]
            parts = data.cut is Cut.whole and any((*(s.parts for s in sources), *turns))
            rows = _encoded(tokenizer, pieces, special, parts)
            for source, turn, text, (ids, at) in zip(sources, turns, pieces, rows, strict=True):
                spans = token_spans(text, source.parts, at) | token_spans(text, turn, at)
                for piece in cutter.cut(ids, special):
                    yield Example(source.name, piece, source.group or "", spans or NO_SPANS)
    if cutter.truncated:
        logger.info("%s truncated to %d tokens", plural(cutter.truncated, "text"), most)


def _encoded(
    tokenizer: Any, texts: Sequence[str], special: bool, offsets: bool
) -> list[tuple[list[int], Sequence[Span]]]:
    """Return the token ids of texts and, if asked for, where each token is in its text."""
    # Only fast tokenizers know where their tokens are.
    more = {"return_offsets_mapping": True} if offsets and tokenizer.is_fast else {}
    encoded = tokenizer(
        list(texts), add_special_tokens=special, return_attention_mask=False, verbose=False, **more
    )
    places = encoded["offset_mapping"] if more else repeat(())
    return list(zip(encoded["input_ids"], places, strict=False))


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
