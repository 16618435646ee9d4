"""Texts that are given in place of those of the configuration, and continuations as such texts."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from probe.config import Config
from probe.data import Document
from probe.errors import UserError
from probe.examples.choose import decode
from probe.examples.example import GENERATED, PROMPT, Example


def explicit(config: Config, texts: Sequence[Document]) -> tuple[Config, list[Document]]:
    """Return the texts, and the configuration under which all of them are read in their order.

    They are chosen already: `data.perplexity`, `data.shuffle`, `data.offset` and `data.limit` are
    left out, while bounds on tokens, cutting and continuing remain.

    Raises
    ------
    UserError
        If there is no text, one is not a document, or two have one name.
    """
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
    examples: Sequence[Example], prompts: Iterable[Document], tokenizer: Any
) -> list[Document]:
    """Return examples that a model continued as documents with their exact token ids.

    Pieces of a document are numbered from 0, and have their own wording as their prompt.
    """
    of_name = {example.document for example in examples}
    by_name = {prompt.name: prompt for prompt in prompts if prompt.name in of_name}
    pieces = Counter(example.document for example in examples)
    number = Counter[str]()
    documents = []
    for example in examples:
        name, document = example.document, by_name[example.document]
        before, behind = (
            decode(tokenizer, example.ids[slice(*example.spans[part])])
            for part in (PROMPT, GENERATED)
        )
        if pieces[name] > 1:
            document = replace(document, name=f"{name}/{number[name]}", group=example.group)
            number[name] += 1
        else:
            before = document.text
        documents.append(
            replace(
                document,
                text=before + behind,
                parts=((PROMPT, before), (GENERATED, behind)),
                ids=tuple(example.ids),
                spans=dict(example.spans),
            )
        )
    return documents
