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

from experiments.subjects.settings import Subjects
from probe.api import Config, Factor, SeriesStore, StoredExample, UserError, series

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
        members = by_subject[text.subject]
        if len(members) == settings.examples:
            continue
        places = _places(example, settings, skip_first)
        if places is not None:
            _add_series(text, store, example.example, places, embed)
            members.append(text)
    return _equally_many(by_subject, settings)


def layers(texts: Sequence[Text]) -> list[str]:
    """Return the names of the layers that were read, in order."""
    names = {name for name, _ in texts[0].series if name != EMBEDDING}
    return sorted(names, key=lambda name: int(name.split()[1]))


def _places(
    example: StoredExample, settings: Subjects, skip_first: int
) -> dict[str, Tensor] | None:
    """Return the places of the tokens to correlate, by part; None if the text is too short."""
    parts = {PROMPT: ((0, example.n_tokens), settings.tokens)}
    if "question" in example.spans:
        parts[QUESTION] = (example.spans["question"], settings.question_tokens)
    places = {
        part: torch.arange(max(start, skip_first), stop)[:number]
        for part, ((start, stop), number) in parts.items()
        if stop - max(start, skip_first) >= number
    }
    return places if places.keys() == parts.keys() else None


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
