"""From activations to unit vectors: the products of unit vectors are correlations."""

from __future__ import annotations

import torch
from torch import Tensor

# Elements worked on at a time on a CPU: the passes over such a piece stay inside its cache.
_PIECE = 1 << 19


class NonFiniteError(ArithmeticError):
    """An activation is infinite or not a number."""

    def __init__(self, row: int) -> None:
        super().__init__(f"non-finite activation in row {row} of the batch")
        self.row = row


def standardise(
    activations: Tensor, keep: Tensor, length: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Centre every neuron over each example's tokens and scale it to a given length.

    With `Z` the result of one example, stacked as (n_tokens, n_neurons), `Z.T @ Z` is its Pearson
    correlation matrix, times the square of `length`.

    Parameters
    ----------
    activations : Tensor, shape (n_examples, n_tokens, n_neurons)
        Activations of a batch, in any floating type.
    keep : Tensor of bool, shape (n_examples, n_tokens)
        Tokens that count; the others (padding) become zero. At least two in each row.
    length : Tensor, shape (n_examples,), optional
        Euclidean length of each series, 1 by default; the root of the example's weight.

    Returns
    -------
    series : Tensor of float32, shape (n_examples, n_tokens, n_neurons)
        Standardised series, zero at tokens that do not count and for constant neurons.
    defined : Tensor of bool, shape (n_examples, n_neurons)
        False where a neuron is constant (its largest and smallest activation are equal).

    Raises
    ------
    NonFiniteError
        If an activation that counts is infinite or not a number.

    Examples
    --------
    >>> x = torch.tensor([[[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]]])
    >>> series, defined = standardise(x, torch.ones(1, 3, dtype=torch.bool))
    >>> series[0, :, 0]
    tensor([-0.7071,  0.0000,  0.7071])
    >>> defined
    tensor([[ True, False]])
    """
    n_examples, n_tokens, n_neurons = activations.shape
    series = activations.new_empty(activations.shape, dtype=torch.float32)
    defined = keep.new_empty((n_examples, n_neurons))
    piece = n_examples
    if activations.device.type == "cpu":
        piece = max(1, _PIECE // (n_tokens * n_neurons))
    for start in range(0, n_examples, piece):
        rows = slice(start, start + piece)
        spread, _ = centre(activations[rows], keep[rows], out=series[rows])
        refuse_non_finite(spread, start)
        norm = torch.linalg.vector_norm(series[rows], dim=1, keepdim=True, dtype=torch.float64)
        if length is not None:
            norm /= length[rows, None, None]
        # A deviation too small for a normal float32 is none: its inverse would be infinite.
        defined[rows] = spread > torch.finfo(torch.float32).tiny
        scale = torch.where(defined[rows], 1 / norm.squeeze(1), 0)
        series[rows] *= scale.float().unsqueeze(1)
    return series, defined


def refuse_non_finite(spread: Tensor, start: int = 0) -> None:
    """Raise `NonFiniteError` for the first example whose spread (n_examples, n_neurons) is not."""
    finite = torch.isfinite(spread).all(dim=1)
    if not finite.all():
        raise NonFiniteError(start + int((~finite).int().argmax()))


def centre(activations: Tensor, keep: Tensor, out: Tensor) -> tuple[Tensor, Tensor]:
    """Write the activations less their mean over the tokens that count.

    The first shift, by the example's first token, is exact for a constant neuron and takes away
    a mean that is large beside the deviations; the second one takes away the mean of the rest.

    Parameters
    ----------
    activations, keep
        As in `standardise`.
    out : Tensor of float32, shape (n_examples, n_tokens, n_neurons)
        Receives the centred activations, zero at tokens that do not count.

    Returns
    -------
    spread : Tensor of float32, shape (n_examples, n_neurons)
        Largest distance from the first token: 0 exactly where the neuron is constant, and not
        finite where an activation is not.
    centre : Tensor of float64, shape (n_examples, n_neurons)
        What was taken away: the mean, but for a rounding error of float32.
    """
    first = keep.int().argmax(dim=1)
    anchor = activations[torch.arange(len(keep), device=keep.device), first].float()
    torch.sub(activations.float(), anchor.unsqueeze(1), out=out)
    padding = None if keep.all() else ~keep.unsqueeze(-1)
    if padding is not None:
        out.masked_fill_(padding, 0)
    spread: Tensor = torch.linalg.vector_norm(out, ord=torch.inf, dim=1)
    mean = out.sum(dim=1) / keep.sum(dim=1, keepdim=True)
    out -= mean.unsqueeze(1)
    if padding is not None:
        out.masked_fill_(padding, 0)
    return spread, anchor.double() + mean.double()
