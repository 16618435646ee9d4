"""The answers: their questions, whether they are true, and their own tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.statistics import split_by_group
from probe.api import Config, Document, UserError, documents, tokenize


@dataclass(frozen=True)
class Answers:
    """The answers in the texts that were read, in their order.

    Attributes
    ----------
    truth : ndarray of bool, shape (n_texts,)
        Whether the answer is true.
    questions : list of str
        The question of each text.
    tokens : list of list of int
        Token ids of each answer alone, without its question.
    """

    truth: NDArray[np.bool_]
    questions: list[str]
    tokens: list[list[int]]

    def by_question(self) -> dict[str, NDArray[np.int64]]:
        """Return the indices of the answers to each question."""
        members: dict[str, list[int]] = {}
        for number, question in enumerate(self.questions):
            members.setdefault(question, []).append(number)
        return {question: np.array(numbers) for question, numbers in members.items()}

    def shuffled(self, times: int, seed: int) -> NDArray[np.bool_]:
        """Shuffle the labels within each question, which keeps its number of true answers.

        Returns
        -------
        ndarray of bool, shape (times, n_texts)
        """
        generator = np.random.default_rng(seed)
        shuffled = np.tile(self.truth, (times, 1))
        for members in self.by_question().values():
            shuffled[:, members] = generator.permuted(shuffled[:, members], axis=1)
        return shuffled


def answer_documents(config: Config) -> dict[str, Document]:
    """Load the documents, by name.

    Raises
    ------
    UserError
        If they are not both true and false answers.
    """
    by_name = {document.name: document for document in documents(config)}
    kinds = {document.labels.get("correct") for document in by_name.values()}
    if kinds != {True, False}:
        raise UserError(
            f"data={config.data.name or config.data.source} does not have both true and false "
            "answers with labels; use data=truthfulqa, and more than a few answers"
        )
    return by_name


def answers_of(config: Config, documents: Mapping[str, Document], names: Sequence[str]) -> Answers:
    """Collect the answers in the documents of these names."""
    chosen = [documents[name] for name in names]
    # The last turn is the answer; a space separates it from the question.
    alone = [
        f" {document.turns[-1][1] if document.turns else document.text}" for document in chosen
    ]
    return Answers(
        truth=np.array([document.labels["correct"] for document in chosen], dtype=bool),
        questions=[document.group or document.name for document in chosen],
        tokens=tokenize(config, texts=alone),
    )


def split(answers: Answers, fractions: Sequence[float], seed: int) -> list[NDArray[np.int64]]:
    """Split the texts into training, validation and test set; no question is in two of them.

    Raises
    ------
    UserError
        If a set has no true or no false answers.
    """
    parts = split_by_group(answers.questions, fractions, seed)
    if any(len(set(answers.truth[part].tolist())) < 2 for part in parts):
        raise UserError(
            f"the answers to {len(answers.by_question())} questions are too few: a part of "
            f"study.split={list(fractions)} has only true or only false ones; give more "
            "questions"
        )
    return parts
