"""A model's outcome on a text: likelihood, divergence from the untouched model, answer."""

from collections.abc import Sequence

import torch
from torch import Tensor

# nll: negative log likelihood of all tokens but the first, in nats. kl: divergences of all tokens'
# next-token distributions, in nats. correct: 1 or 0.
OUTCOMES = ("nll", "kl", "correct")


def outcome(
    treated: Tensor, reference: Tensor, ids: Tensor, letters: Sequence[int], answer: int
) -> Tensor:
    """Summarise one text.

    Parameters
    ----------
    treated, reference : Tensor of float32, shape (n_tokens, n_vocabulary)
        Log probabilities of the next token, of the treated and of the untouched model.
    ids : Tensor of int64, shape (n_tokens,)
        The text's tokens.
    letters : sequence of int
        Tokens of the answers; none if the text is not a question.
    answer : int
        Index of the right one.

    Returns
    -------
    Tensor of float64, shape (3,)
        In the order of `OUTCOMES`, summed over the tokens; `KL(untouched || treated)`. The answer
        is the letter with the largest logit after the last token.
    """
    nll = -treated[:-1].gather(1, ids[1:, None]).sum()
    kl = (reference.exp() * (reference - treated)).sum(dim=1).sum()
    correct = treated.new_tensor(0.0)
    if letters:
        correct = (treated[-1, list(letters)].argmax() == answer).to(treated)
    return torch.stack([nll, kl, correct]).double().cpu()
