"""A model's outcomes on texts, and the measures that they add up to."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Vector = NDArray[np.float64]
# Sums the examples' values, over all of them or in every bootstrap draw.
Sum = Callable[[Vector], Vector]

# nll: negative log likelihood of all tokens but the first, in nats. kl: divergences of all tokens'
# next-token distributions, in nats. correct: 1 or 0. likelihood: log likelihood of the text's end,
# in nats.
OUTCOMES = ("nll", "kl", "correct", "likelihood")
# What they add up to, as a figure's axis says it.
MEASURES = {
    "perplexity": "perplexity",
    "kl": "KL from the untouched model, nats per token",
    "accuracy": "accuracy, share of questions",
    "margin": "margin of the right choice, nats",
}
# Measures of questions, which are harmed when they fall; the others when they rise.
OF_QUESTIONS = ("accuracy", "margin")


def outcome(
    treated: Tensor,
    reference: Tensor,
    ids: Tensor,
    start: int,
    letters: Sequence[int],
    answer: int,
) -> Tensor:
    """Summarise one text.

    Parameters
    ----------
    treated, reference : Tensor of float32, shape (n_tokens, n_vocabulary)
        Log probabilities of the next token, of the treated and of the untouched model.
    ids : Tensor of int64, shape (n_tokens,)
        The text's tokens.
    start : int
        First token of the text's end whose likelihood is asked for, 1 or more; `n_tokens` if there
        is none.
    letters : sequence of int
        Tokens of the answers; none if the text is not a question.
    answer : int
        Index of the right one.

    Returns
    -------
    Tensor of float64, shape (4,)
        In the order of `OUTCOMES`, summed over the tokens; `KL(untouched || treated)`. The answer
        is the letter with the largest logit after the last token.
    """
    of_next = treated[:-1].gather(1, ids[1:, None])
    nll = -of_next.sum()
    kl = (reference.exp() * (reference - treated)).sum(dim=1).sum()
    correct = treated.new_tensor(0.0)
    if letters:
        correct = (treated[-1, list(letters)].argmax() == answer).to(treated)
    return torch.stack([nll, kl, correct, of_next[start - 1 :].sum()]).double().cpu()


def margins(likelihoods: Vector, questions: NDArray[np.int64], answers: Sequence[int]) -> Vector:
    """Return each question's log likelihood of the right choice less that of the best wrong one.

    Likelihoods are of whole choices, not per token: a choice's probability is what the model gives
    to that text, and the difference between two is their log odds. Longer choices are less likely,
    but they are the same texts before and after a treatment, so that a change of the margin is due
    to it alone.

    Parameters
    ----------
    likelihoods : ndarray, shape (n_choices_of_all,)
        In nats, a question's choices in their order.
    questions : ndarray of int64, shape (n_choices_of_all,)
        Number of the question that each belongs to, from 0.
    answers : sequence of int
        Right choice of every question.

    Returns
    -------
    ndarray, shape (n_questions,)
        In nats; positive if the right choice is the most likely.

    Examples
    --------
    >>> margins(np.array([-2.0, -5.0, -3.0, -1.0]), np.array([0, 0, 1, 1]), [0, 0]).tolist()
    [3.0, -2.0]
    """
    found = []
    for question, answer in enumerate(answers):
        own = likelihoods[questions == question]
        found.append(own[answer] - np.delete(own, answer).max())
    return np.array(found)


def value(measure: str, outcomes: Vector, tokens: Vector, add: Sum) -> Vector:
    """Compute a measure from the outcomes of examples.

    Parameters
    ----------
    measure : str
        One of `MEASURES`.
    outcomes : ndarray, shape (n_examples, 4 or more)
        In the order of `OUTCOMES`, with the margin in place of the likelihood.
    tokens : ndarray, shape (n_examples,)
        Tokens of every example.
    add : callable
        Sums over the examples, once or for every bootstrap draw.
    """
    if measure == "perplexity":
        return np.exp(add(outcomes[:, 0]) / add(tokens - 1))
    if measure == "kl":
        return add(outcomes[:, 1]) / add(tokens)
    column = 2 if measure == "accuracy" else 3
    return add(outcomes[:, column]) / add(np.ones(len(outcomes)))
