"""One pass over the texts: standardised series of equal length, and their tokens."""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from experiments.documents import Documents
from experiments.subjects.settings import Subjects
from probe.api import Config, Factor, SeriesStore, UserError, series

logger = logging.getLogger(__name__)
PROMPT, QUESTION = "prompt", "question"
EMBEDDING, BAG = "embeddings", "bag of tokens"


@dataclass
class Text:
    """One text: its document, tokens and series.

    Attributes
    ----------
    name, subject, group : str
        Its document's name, subject and group.
    answer : int, optional
        The right choice, from 0.
    choices : int
        Number of choices; 0 if it is not a question.
    tokens : ndarray of int64
        All token ids of the prompt.
    counted : dict of str to ndarray of int64
        Token ids in the correlation, by part: those of the prompt, those of the question.
    series : dict of (str, str) to Tensor, each of shape (n_tokens, n_neurons)
        Series of unit length, by layer (or embeddings) and part.
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
    """Read every text that is long enough, and keep the same number of each subject.

    Raises
    ------
    UserError
        If there are not two subjects with enough texts, or model or data cannot be loaded.
    """
    from probe.api.parts import load_tokenizer

    documents, tokenizer = Documents(config), load_tokenizer(config.model)
    embed, store = _embedding(config), series(config)
    by_subject: dict[str, list[Text]] = defaultdict(list)
    for example in tqdm(store.examples, "texts", disable=None, leave=False, delay=2):
        text = Text(
            name=example.document,
            subject=str(example.subject),
            group=example.group,
            answer=example.answer,
            choices=int(example.labels.get("choices", 0)),
            tokens=store.tokens(example.example),
        )
        members, words = by_subject[text.subject], documents[example.document].text
        if len(members) == settings.examples:
            continue
        places = _places(words, len(text.tokens), tokenizer, config, settings, skip_first)
        if places is not None:
            _add_series(text, store, example.example, places, embed)
            members.append(text)
    return _equally_many(by_subject, settings)


def layers(texts: Sequence[Text]) -> list[str]:
    """Return the names of the layers that were read, in order."""
    names = {name for name, _ in texts[0].series if name != EMBEDDING}
    return sorted(names, key=lambda name: int(name.split()[1]))


def _places(
    text: str, length: int, tokenizer: Any, config: Config, settings: Subjects, skip_first: int
) -> dict[str, Tensor] | None:
    """Return the places of the tokens to correlate, by part; None if the text is too short."""
    candidates = {PROMPT: (torch.arange(skip_first, length), settings.tokens)}
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
        candidates[QUESTION] = (torch.tensor(inside, dtype=torch.long), settings.question_tokens)
    if any(len(places) < number for places, number in candidates.values()):
        return None
    return {part: places[:number] for part, (places, number) in candidates.items()}


def question_span(text: str) -> tuple[int, int] | None:
    r"""Return the span of the question itself in a prompt; None if there is none.

    Examples
    --------
    >>> text = "Question: How many?\nA) One\nB) Two\nAnswer:"
    >>> text[slice(*question_span(text))]
    'How many?'
    """
    head, choices = "Question: ", text.rfind("\nA) ")
    return (len(head), choices) if text.startswith(head) and choices > len(head) else None


def _add_series(
    text: Text,
    store: SeriesStore,
    example: int,
    places: dict[str, Tensor],
    embed: Callable[[Tensor], Tensor],
) -> None:
    embedded = embed(torch.from_numpy(text.tokens))
    read = {layer: torch.from_numpy(store.read(example, layer)) for layer in store.layers}
    for part, where in places.items():
        text.counted[part] = text.tokens[where.numpy()]
        text.series[EMBEDDING, part] = Factor.of(embedded[where]).series
        for layer, activations in read.items():
            text.series[f"layer {layer}", part] = Factor.of(activations[where]).series


def _embedding(config: Config) -> Callable[[Tensor], Tensor]:
    """Return a function that looks up the model's token embeddings, without positions."""
    from probe.api.parts import load_trunk

    trunk: Any = load_trunk(config.model, config.init, torch.device("cpu"))
    weight = trunk.get_input_embeddings().weight.detach()
    return lambda tokens: weight[tokens].float()


def _equally_many(by_subject: Mapping[str, list[Text]], settings: Subjects) -> list[Text]:
    """Keep the first texts of each subject: `study.examples`, or as many as the smallest has."""
    counts = {subject: len(members) for subject, members in by_subject.items()}
    number = settings.examples or min(counts.values(), default=0)
    large = {subject: members for subject, members in by_subject.items() if len(members) >= number}
    for subject in sorted(set(by_subject) - set(large)):
        logger.warning(
            "%s has only %d texts that are long enough, and is left out", subject, counts[subject]
        )
    if len(large) < 2 or number < 4:
        listed = ", ".join(f"{subject} {count}" for subject, count in sorted(counts.items()))
        raise UserError(
            f"two subjects need 4 texts each (or study.examples) of {settings.tokens} tokens, "
            f"{settings.question_tokens} of them in the question, and there are: "
            f"{listed or 'none'}; give more texts or subjects, or a smaller study.tokens and "
            "study.question_tokens"
        )
    texts = [text for members in large.values() for text in members]
    if len({len(text.counted) for text in texts}) > 1:
        raise UserError("some texts are questions with choices and others are not; use one kind")
    return [text for subject in sorted(large) for text in large[subject][:number]]
