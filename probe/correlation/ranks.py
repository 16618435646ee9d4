"""From activations to their ranks: Pearson's correlation of ranks is Spearman's."""

import torch
from torch import Tensor

from probe.correlation.batch_memory import BatchShape, MostBytes

# Elements ranked at a time: on a CPU in its cache, elsewhere few enough to bound their memory.
_PIECE = {"cpu": 1 << 17}
_LARGE_PIECE = 1 << 23
# Bytes of an element while it is ranked: values, keys, order, places of ties (several in int64).
_BYTES = 48


def rank(activations: Tensor, keep: Tensor) -> Tensor:
    """Replace every neuron's activations by their ranks among the example's tokens that count.

    Equal activations share the mean of their ranks, as in `scipy.stats.rankdata` (Kendall 1948,
    Rank Correlation Methods, chapter 3), so that Pearson's r of the ranks is Spearman's. Ranks are
    multiples of 1/2: exact in float32 for up to 8 million tokens.

    Parameters
    ----------
    activations : Tensor, shape (n_examples, n_tokens, n_neurons)
        Activations of a batch, in any floating type.
    keep : Tensor of bool, shape (n_examples, n_tokens)
        Tokens that count, in any places.

    Returns
    -------
    Tensor of float32, shape (n_examples, n_tokens, n_neurons)
        Ranks from 1, dimensionless; 0 at tokens that do not count, and not a number where the
        activation is not finite.

    Examples
    --------
    >>> x = torch.tensor([[[0.3], [7.0], [0.1], [0.3]]])
    >>> rank(x, torch.tensor([[True, False, True, True]])).flatten()
    tensor([2.5000, 0.0000, 1.0000, 2.5000])
    """
    ranks = activations.new_empty(activations.shape, dtype=torch.float32)
    piece = _neurons_at_once(keep.numel(), activations.device)
    for start in range(0, activations.shape[2], piece):
        neurons = slice(start, start + piece)
        ranks[..., neurons] = _ranks(activations[..., neurons].mT, keep.unsqueeze(1)).mT
    return ranks


def rank_bytes(batch: BatchShape, n_neurons: int) -> MostBytes:
    """Return the most bytes that `rank` takes: its result, and the order of a piece of it."""
    piece = min(n_neurons, _neurons_at_once(batch.tokens, batch.device))
    return MostBytes(batch=4 * batch.tokens * n_neurons, update=_BYTES * batch.tokens * piece)


def _neurons_at_once(tokens: int, device: torch.device) -> int:
    return max(1, _PIECE.get(device.type, _LARGE_PIECE) // max(1, tokens))


def _ranks(values: Tensor, keep: Tensor) -> Tensor:
    """Rank along the last dimension: `values` (n_examples, n_neurons, n_tokens)."""
    differs, order = _in_order(values, keep)
    last = values.shape[-1] - 1
    place = torch.arange(last + 1, dtype=torch.float32, device=values.device)
    # The places of the first and of the last of every run of equal values.
    first = torch.where(differs[..., :-1], place, 0).cummax(dim=-1).values
    after = torch.where(differs[..., 1:].flip(-1), place, 0).cummax(dim=-1).values.flip(-1)
    ranks = torch.empty_like(first).scatter_(-1, order, (first - after + (last + 2)) / 2)
    ranks += 0 * values  # what is not finite has no rank
    return ranks.masked_fill_(~keep, 0)


def _in_order(values: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
    """Sort values, what does not count last.

    Returns
    -------
    differs : Tensor of bool, shape (n_examples, n_neurons, n_tokens + 1)
        Whether a value differs from the one before; true at both ends.
    order : Tensor of int64, shape (n_examples, n_neurons, n_tokens)
        Places of the sorted values.
    """
    if values.device.type == "cpu" and values.dtype is not torch.float64:
        ordered, order = _in_order_of_keys(values, keep)
    else:
        masked = values.masked_fill(~keep, torch.inf)
        ordered, order = masked.sort(dim=-1, stable=True)
    differs = torch.ones(*values.shape[:-1], values.shape[-1] + 1, dtype=torch.bool,
                         device=values.device)  # fmt: skip
    torch.ne(ordered[..., 1:], ordered[..., :-1], out=differs[..., 1:-1])
    return differs, order


def _in_order_of_keys(values: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
    """Sort by integers that hold a float32 and its place; NumPy does so 15 times faster on a CPU.

    Read as an integer, a float's bits are in its order, once those of negative ones are reversed.
    """
    bits = (values.float() + 0.0).contiguous().view(torch.int32)  # -0 becomes 0
    bits ^= (bits >> 31) & 0x7FFFFFFF
    bits.masked_fill_(~keep, 0x7FFFFFFF)
    keys = bits.long()
    keys <<= 32
    keys |= torch.arange(values.shape[-1])
    keys.numpy().sort(axis=-1)
    return keys >> 32, keys & 0xFFFFFFFF
