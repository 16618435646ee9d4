"""Texts that are given in place of those of the configuration, and continuations as such texts."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from probe.config import Config
from probe.data import Document, Documents, load_documents, named
from probe.errors import UserError
from probe.examples.example import GENERATED, PROMPT, Example
from probe.examples.spans import Span


def texts_of(config: Config, texts: Sequence[Document] | None = None) -> tuple[Config, Documents]:
    """Return the configuration's texts, or those that are given, all of them in their order.

    The latter are chosen already: in the configuration that is returned with them,
    `data.perplexity`, `data.shuffle`, `data.offset` and `data.limit` choose none. Bounds on tokens,
    cutting and continuing remain.

    Raises
    ------
    UserError
        If the texts cannot be loaded; there is no text, one is not a document, or two have one
        name.
    """
    if texts is None:
        return config, load_documents(config)
    documents = list(texts)
    if not documents:
        raise UserError("texts is empty; give documents, or leave it out")
    for document in documents:
        if not isinstance(document, Document):
            raise UserError(
                f"texts has a value of type {type(document).__name__}; give documents, e.g. "
                "api.Document(name, text)"
            )
    [(name, count)] = Counter(document.name for document in documents).most_common(1)
    if count > 1:
        raise UserError(f"{count} texts are named {name}; give each a name of its own")
    data = replace(config.data, perplexity=None, shuffle=False, offset=0, limit=None)
    return replace(config, data=data), documents


def as_documents(
    examples: Sequence[Example], prompts: Iterable[Document], whole: bool, tokenizer: Any
) -> list[Document]:
    """Return examples that a model continued as documents with their exact token ids.

    Parameters
    ----------
    examples : sequence of Example
        Prompts with their continuations.
    prompts : iterable of Document
        What the prompts were cut from.
    whole : bool
        Whether a document is one prompt. Pieces of a document are numbered from 0, and have their
        own wording.
    tokenizer : transformers tokenizer
        The model's.
    """
    by_name = named(prompts, {example.document for example in examples})
    pieces = Counter[str]()
    documents = []
    for example in examples:
        document, ids = by_name[example.document], example.ids
        if not whole:
            name = f"{document.name}/{pieces[document.name]}"
            pieces[document.name] += 1
            text = wording(tokenizer, ids, example.spans[PROMPT])
            document = replace(document, name=name, text=text, group=example.group)
        written = wording(tokenizer, ids, example.spans[GENERATED])
        documents.append(
            replace(
                document,
                text=document.text + written,
                parts=((PROMPT, document.text), (GENERATED, written)),
                ids=tuple(ids),
                spans=dict(example.spans),
            )
        )
    return documents


def with_given_ids(document: Document, tokenizer: Any) -> Example:
    """Return the token ids of a document, unless another tokenizer has made them."""
    ids = list(document.ids)
    written = dict(document.parts).get(GENERATED)
    if written is not None and wording(tokenizer, ids, document.spans[GENERATED]) != written:
        raise UserError(
            f"{document.name} has token ids that are not those of this model's tokenizer; "
            "read it with the model that continued it"
        )
    return Example(document.name, ids, document.group or "", document.spans)


def wording(tokenizer: Any, ids: Sequence[int], span: Span) -> str:
    """Return the text of some tokens behind those before them, without special tokens."""
    before, through, alone = (
        tokenizer.decode(some, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        for some in (ids[: span[0]], ids[: span[1]], ids[slice(*span)])
    )
    # Some tokenizers drop the space before the first token.
    text: str = through.removeprefix(before) if through.startswith(before) else alone
    return text
