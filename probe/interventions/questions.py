"""Questions with choices: the letters' tokens, and the choices as continuations of the prompt."""

import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from probe.config import Config, Cut, ModelConfig, model_name
from probe.data import Document
from probe.errors import UserError
from probe.examples.choose import Example
from probe.examples.plan import context_length
from probe.interventions.outcomes import MEASURES, OF_QUESTIONS
from probe.models import load_tokenizer


@dataclass(frozen=True)
class Continuation:
    """A question's prompt with one of its choices behind it.

    Attributes
    ----------
    example : int
        Number of the question among the examples.
    ids : list of int
        Tokens of both.
    start : int
        The choice's first token.
    """

    example: int
    ids: list[int]
    start: int


def questions(
    config: Config, documents: Iterable[Document], measures: Sequence[str]
) -> dict[str, Document]:
    """Return the questions by name; none if no measure needs them.

    Raises
    ------
    UserError
        If a measure is unknown, or needs whole questions with choices, which a text is not.
    """
    for measure in measures:
        if measure not in MEASURES:
            raise UserError(f"the measure {measure} is unknown; choose of {', '.join(MEASURES)}")
    measure = next((measure for measure in measures if measure in OF_QUESTIONS), "")
    if not measure:
        return {}
    if config.data.cut is not Cut.whole:
        raise UserError(
            f"the measure {measure} needs whole questions, and data.cut={config.data.cut} cuts "
            "them; give data.cut=whole or another measure"
        )
    if config.data.generate:
        raise UserError(
            f"the measure {measure} needs questions as they are put, and data.generate="
            f"{config.data.generate} continues them; leave it out, or give another measure"
        )
    found = {}
    for document in documents:
        if document.answer is None or not document.choices:
            raise UserError(
                f"the measure {measure} needs questions with choices, which {document.name} is "
                "not; use data=mmlu or another measure"
            )
        found[document.name] = document
    return found


def letter_tokens(model: ModelConfig, choices: int) -> list[int]:
    """Return the tokens of the letters A, B, C, … without a leading space.

    They are looked up in the vocabulary, as some tokenizers put a space before any text.

    Raises
    ------
    UserError
        If a letter is not a token.
    """
    if not choices:
        return []
    vocabulary = load_tokenizer(model).get_vocab()
    for letter in string.ascii_uppercase[:choices]:
        if letter not in vocabulary:
            raise UserError(
                f"the measure accuracy compares the tokens A, B, C, …, and {letter} is not a token "
                f"of {model_name(model)}; use another measure or model"
            )
    return [vocabulary[letter] for letter in string.ascii_uppercase[:choices]]


def continuations(
    config: Config, examples: Sequence[Example], asked: Mapping[str, Document]
) -> list[Continuation]:
    """Put every choice behind its question's prompt.

    Behind a prompt's last word comes a space, as in Gao et al.'s Language Model Evaluation Harness
    (doi:10.5281/zenodo.10256836): both are tokenized together, and what exceeds the prompt's tokens
    is the choice. A chat template ends where the answer starts, without a space.

    Raises
    ------
    UserError
        If a choice is empty, or does not fit into the model's context.
    """
    tokenizer = load_tokenizer(config.model)
    most = context_length(config.model, tokenizer)
    listed = []
    for number, example in enumerate(examples):
        question = asked[example.document]
        before = "" if config.model.chat and question.turns else question.text
        between = " " if before and not before[-1].isspace() else ""
        texts = [before, *(f"{before}{between}{choice}" for choice in question.choices)]
        prompt, *wholes = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        for choice, whole in zip(question.choices, wholes, strict=True):
            end = whole[len(prompt) :]
            if not choice.strip() or not end:
                raise UserError(
                    f"{example.document} has an empty choice, which has no likelihood; leave the "
                    "question out, or use another measure than margin"
                )
            if len(example.ids) + len(end) > most:
                raise UserError(
                    f"{example.document} with the choice {choice[:40]!r} has "
                    f"{len(example.ids) + len(end)} tokens, and the model reads {most}; leave long "
                    f"questions out with data.max_tokens={most - len(end)}"
                )
            listed.append(Continuation(number, [*example.ids, *end], len(example.ids)))
    return listed
