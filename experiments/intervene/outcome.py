"""What a model says of a text: likelihood, divergence from the untouched model, the answer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# nll: negative log likelihood of all tokens but the first, in nats. kl: divergences of all tokens'
# next-token distributions, in nats. correct: 1 or 0.
OUTCOMES = ("nll", "kl", "correct")


def outcome(
    said: Tensor, reference: Tensor, ids: Tensor, letters: Sequence[int], answer: int
) -> Tensor:
    """Sum up one text.

    Parameters
    ----------
    said, reference : Tensor of float32, shape (n_tokens, n_vocabulary)
        Log probabilities of the next token, of the treated and of the untouched model.
    ids : Tensor of int64, shape (n_tokens,)
        The text's tokens.
    letters : sequence of int
        Tokens of the answers, none where there is no question.
    answer : int
        Which of them is right.

    Returns
    -------
    Tensor of float64, shape (3,)
        In the order of `OUTCOMES`, sums over the tokens; `KL(untouched || treated)`. The answer is
        the letter of the largest logit behind the last token.
    """
    nll = -said[:-1].gather(1, ids[1:, None]).sum()
    kl = (reference.exp() * (reference - said)).sum(dim=1).sum()
    correct = said.new_tensor(0.0)
    if letters:
        correct = (said[-1, list(letters)].argmax() == answer).to(said)
    return torch.stack([nll, kl, correct]).double().cpu()
