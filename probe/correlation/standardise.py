"""From activations to unit vectors: the products of unit vectors are correlations."""

from typing import NamedTuple

import torch
from torch import Tensor

from probe.correlation.batch_memory import BatchShape

# Elements standardised at a time on a CPU: passes over such a piece stay inside its cache.
_PIECE = 1 << 19


class Standardised(NamedTuple):
    """The standardised series of a batch.

    Attributes
    ----------
    series : Tensor of float32, shape (n_examples, n_tokens, n_neurons)
        Standardised series, zero at tokens that do not count and for constant neurons.
    defined : Tensor of bool, shape (n_examples, n_neurons)
        False where a neuron is constant (its largest and smallest activation are equal).
    finite : Tensor of bool, shape (n_examples,)
        False where an activation that counts is infinite or not a number. It stays on the
        device: reading it makes the CPU wait for everything queued before.
    """

    series: Tensor
    defined: Tensor
    finite: Tensor


def standardise(activations: Tensor, keep: Tensor, length: Tensor | None = None) -> Standardised:
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

    Examples
    --------
    >>> x = torch.tensor([[[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]]])
    >>> series, defined, finite = standardise(x, torch.ones(1, 3, dtype=torch.bool))
    >>> series[0, :, 0]
    tensor([-0.7071,  0.0000,  0.7071])
    >>> defined, finite
    (tensor([[ True, False]]), tensor([True]))
    """
    n_examples, n_tokens, n_neurons = activations.shape
    series = activations.new_empty(activations.shape, dtype=torch.float32)
    spread = series.new_empty((n_examples, n_neurons))
    piece = n_examples
    if activations.device.type == "cpu":
        piece = max(1, _PIECE // (n_tokens * n_neurons))
    for start in range(0, n_examples, piece):
        rows = slice(start, start + piece)
        spread[rows], _ = centre(activations[rows], keep[rows], out=series[rows])
        scale = 1 / _norm(series[rows])
        if length is not None:
            scale *= length[rows, None]
        scale.masked_fill_(~_varies(spread[rows]), 0)
        series[rows] *= scale.float().unsqueeze(1)
    return Standardised(series, _varies(spread), spread.isfinite().all(dim=1))


def standardise_bytes(batch: BatchShape, n_neurons: int) -> int:
    """Return the most bytes of a batch's series, on a CPU also in float64, and of vectors."""
    number = 12 if batch.device.type == "cpu" else 4
    return (number * batch.length + 32) * batch.rows * n_neurons


def _norm(series: Tensor) -> Tensor:
    """Return the length of every series, in float64: its error does not grow with the tokens."""
    if series.device.type == "cpu":
        # Much faster there than a norm, which is not vectorised over neurons.
        return series.double().square_().sum(dim=1).sqrt_()
    norm: Tensor = torch.linalg.vector_norm(series, dim=1, dtype=torch.float64)
    return norm


def _largest(series: Tensor) -> Tensor:
    """Return the largest absolute value of every series."""
    if series.device.type == "cpu":
        return torch.maximum(series.amax(dim=1), -series.amin(dim=1))
    largest: Tensor = torch.linalg.vector_norm(series, ord=torch.inf, dim=1)
    return largest


def _varies(spread: Tensor) -> Tensor:
    """Return which neurons vary; deviations too small for a normal float32 do not count."""
    return spread > torch.finfo(torch.float32).tiny


def centre(activations: Tensor, keep: Tensor, out: Tensor) -> tuple[Tensor, Tensor]:
    """Write the activations less their mean over the tokens that count.

    The first shift, by the example's first token, is exact for a constant neuron and removes a
    mean that is large compared with the deviations; the second removes the mean of the rest.

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
        finite where an activation, or the sum over the tokens, is not.
    centre : Tensor of float64, shape (n_examples, n_neurons)
        What was subtracted: the mean up to a float32 rounding error.
    """
    first = keep.int().argmax(dim=1)
    # Not rounded, or a neuron that is constant in float64 would differ from it.
    exact = torch.promote_types(activations.dtype, torch.float32)
    anchor = activations[torch.arange(len(keep), device=keep.device), first].to(exact)
    torch.sub(activations, anchor.unsqueeze(1), out=out)
    # On a GPU asking whether there is padding costs more than masking none.
    masked = keep.device.type != "cpu" or not keep.all()
    padding = ~keep.unsqueeze(-1) if masked else None
    if padding is not None:
        out.masked_fill_(padding, 0)
    spread = _largest(out)
    mean = out.sum(dim=1) / keep.sum(dim=1, keepdim=True)
    spread += 0 * mean  # not finite where the sum of finite activations is not
    out -= mean.unsqueeze(1)
    if padding is not None:
        out.masked_fill_(padding, 0)
    return spread, anchor.double() + mean.double()
