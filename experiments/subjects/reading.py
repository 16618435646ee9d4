"""One pass over the texts: equally long pieces of each, standardised, and their tokens."""

from __future__ import annotations

import logging
from bisect import insort
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.documents import Documents
from experiments.subjects.settings import Subjects
from probe.api import Config, ExampleActivations, UserError, iterate

logger = logging.getLogger(__name__)
PROMPT, QUESTION = "prompt", "question"
EMBEDDING, BAG = "embeddings", "bag of tokens"


@dataclass
class Text:
    """What is kept of one text.

    Attributes
    ----------
    name, subject, group : str
        Its document's name, subject, and what it shares with others of its group.
    answer : int, optional
        The right choice, from 0.
    choices : int
        Number of choices, 0 where it is no question.
    tokens : ndarray of int64
        All token ids of the prompt.
    counted : dict of str to ndarray of int64
        Token ids that count, by part: those of the prompt, those of the question.
    series : dict of (str, str) to Tensor, each of shape (n_tokens, n_neurons)
        Series of unit length, by what was read and the part.
    """

    name: str
    subject: str
    group: str
    answer: int | None
    choices: int
    tokens: NDArray[np.int64]
    counted: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    series: dict[tuple[str, str], Tensor] = field(default_factory=dict)


def read(config: Config, settings: Subjects, skip_first: int) -> list[Text]:
    """Read every text that is long enough, and keep equally many of each subject.

    Raises
    ------
    UserError
        If there are not two subjects with enough texts, or model or data cannot be had.
    """
    from probe.api.parts import load_tokenizer

    documents, tokenizer = Documents(config), load_tokenizer(config.model)
    embed = _embedding(config)
    found: dict[str, list[tuple[int, Text]]] = defaultdict(list)
    for example in iterate(config):
        document = documents[example.document]
        text = Text(
            name=document.name,
            subject=str(document.subject),
            group=documents.group(document.name),
            answer=document.answer,
            choices=int(document.labels.get("choices", 0)),
            tokens=example.tokens.cpu().numpy(),
        )
        places = _places(document.text, len(text.tokens), tokenizer, config, settings, skip_first)
        if places is not None:
            _keep(text, example, places, embed)
            members = found[text.subject]
            insort(members, (example.example, text), key=lambda pair: pair[0])
            if settings.examples is not None:
                del members[settings.examples :]  # they come by length; the first are wanted
    return _equally_many(
        {subject: [text for _, text in members] for subject, members in found.items()}, settings
    )


def layers(texts: Sequence[Text]) -> list[str]:
    """Return the names of the layers that were read, in order."""
    names = {name for name, _ in texts[0].series if name != EMBEDDING}
    return sorted(names, key=lambda name: int(name.split()[1]))


def _places(
    text: str, length: int, tokenizer: Any, config: Config, settings: Subjects, skip_first: int
) -> dict[str, Tensor] | None:
    """Return the places of the tokens that count, by part, or None for too short a text."""
    wanted = {PROMPT: (torch.arange(skip_first, length), settings.tokens)}
    span = question_span(text)
    if span is not None:
        encoded = tokenizer(
            text, add_special_tokens=config.data.special_tokens, return_offsets_mapping=True
        )
        inside = [
            place
            for place, (start, stop) in enumerate(encoded["offset_mapping"])
            if place >= skip_first and span[0] < stop and start < min(span[1], stop)
        ]
        wanted[QUESTION] = (torch.tensor(inside, dtype=torch.long), settings.question_tokens)
    if any(len(places) < number for places, number in wanted.values()):
        return None
    return {part: places[:number] for part, (places, number) in wanted.items()}


def question_span(text: str) -> tuple[int, int] | None:
    r"""Return where in a prompt the question itself begins and ends; None where there is none.

    Examples
    --------
    >>> text = "Question: How many?\nA) One\nB) Two\nAnswer:"
    >>> text[slice(*question_span(text))]
    'How many?'
    """
    head, choices = "Question: ", text.rfind("\nA) ")
    return (len(head), choices) if text.startswith(head) and choices > len(head) else None


def _keep(
    text: Text,
    example: ExampleActivations,
    places: dict[str, Tensor],
    embed: Callable[[Tensor], Tensor],
) -> None:
    embedded = embed(example.tokens.cpu())
    for part, where in places.items():
        text.counted[part] = text.tokens[where.numpy()]
        text.series[EMBEDDING, part] = unit_series(embedded[where])
        for layer, activations in example.layers.items():
            text.series[f"layer {layer}", part] = unit_series(activations.cpu()[where])


def unit_series(activations: Tensor) -> Tensor:
    """Centre and scale every neuron's series to length 1; a constant one becomes zero."""
    from probe.api.parts import standardise

    keep = torch.ones(1, len(activations), dtype=torch.bool)
    return standardise(activations[None], keep).series[0]


def _embedding(config: Config) -> Callable[[Tensor], Tensor]:
    """Return the model's input embeddings of tokens, without positions."""
    from probe.api.parts import load_trunk

    trunk: Any = load_trunk(config.model, config.init, torch.device("cpu"))
    weight = trunk.get_input_embeddings().weight.detach()
    return lambda tokens: weight[tokens].float()


def _equally_many(by_subject: Mapping[str, list[Text]], settings: Subjects) -> list[Text]:
    """Keep the first texts of each subject, as many as the least has or as are wanted."""
    counts = {subject: len(members) for subject, members in by_subject.items()}
    number = settings.examples or min(counts.values(), default=0)
    kept = {subject: members for subject, members in by_subject.items() if len(members) >= number}
    for subject in sorted(set(by_subject) - set(kept)):
        logger.warning(
            "%s has %d texts that are long enough, and stays out", subject, counts[subject]
        )
    if len(kept) < 2 or number < 4:
        said = (
            ", ".join(f"{subject} {count}" for subject, count in sorted(counts.items())) or "none"
        )
        raise UserError(
            f"two subjects with 4 texts each of {settings.tokens} tokens, of which "
            f"{settings.question_tokens} the question's, are wanted, or study.examples of each; "
            f"there are: {said}; give more texts or subjects, or a smaller study.tokens and "
            "study.question_tokens"
        )
    parts = {part for members in kept.values() for text in members for part in text.counted}
    if len(parts) > 1 and any(len(t.counted) < 2 for members in kept.values() for t in members):
        raise UserError("some texts are questions with choices and others are not; take one kind")
    return [text for subject in sorted(kept) for text in kept[subject][:number]]
