"""A rank's share of the batches, padded and on its device."""

from collections.abc import Iterator, Sequence
from dataclasses import astuple
from functools import cache
from typing import Any

import torch
from torch import nn

from probe.config import ModelConfig
from probe.distributed import Ranks
from probe.examples.batches import Batch, Tensors
from probe.examples.request import Request
from probe.models import load_tokenizer, text_config
from probe.system.device_memory import release_cached
from probe.system.progress import Progress


def deal(batches: Sequence[Batch], hands: int) -> list[list[Batch]]:
    """Assign batches to hands so that all get about the same number of padded tokens.

    The batch with the most tokens comes first, each goes to the hand with the fewest so far (Graham
    1969, doi:10.1137/0117039), so that two hands differ by at most one batch. A hand keeps the
    order of the batches, and may be empty.

    Examples
    --------
    >>> batches = [Batch([i], [[0] * n]) for i, n in enumerate([5, 4, 3, 2])]
    >>> [[batch.members[0] for batch in hand] for hand in deal(batches, 2)]
    [[0, 3], [1, 2]]
    """
    tokens = [0] * hands
    numbers: list[list[int]] = [[] for _ in range(hands)]
    for number in sorted(range(len(batches)), key=lambda i: (-batches[i].padded_tokens, i)):
        least = tokens.index(min(tokens))
        tokens[least] += batches[number].padded_tokens
        numbers[least].append(number)
    return [[batches[number] for number in sorted(hand)] for hand in numbers]


def padding_token(model: ModelConfig, module: nn.Module) -> int:
    """Return the token with which the shorter texts of a batch are padded."""
    pad = _of_tokenizer(astuple(model))
    # Padding is masked, but a token that only the tokenizer has would lack an embedding.
    return pad if pad is not None and pad < text_config(module).vocab_size else 0


@cache
def _of_tokenizer(model: tuple[Any, ...]) -> int | None:
    """Ask once a process, as loading a tokenizer takes a while and asks the Hub."""
    pad: int | None = load_tokenizer(ModelConfig(*model)).pad_token_id
    return pad


def share(
    request: Request, ranks: Ranks, module: nn.Module, passes: int = 1
) -> Iterator[tuple[Batch, Tensors]]:
    """Yield this rank's batches on its device, and show the progress of all ranks.

    Parameters
    ----------
    request : Request
        All batches, and those that earlier sessions finished.
    ranks : Ranks
        This process among the ranks.
    module : nn.Module
        The model that will read them.
    passes : int
        How often it reads each, for the tokens per second.
    """
    # Full float32 products, whatever the process's setting.
    torch.set_float32_matmul_precision("highest")
    model = request.config.model
    pad = padding_token(model, module)
    before = request.n_examples - sum(len(batch.members) for batch in request.left)
    with Progress(request.n_examples, ranks.main, before) as progress:
        for batch in deal(request.left, ranks.size)[ranks.index]:
            padded = batch.tensors(pad, model.padding_side, request.config.data.skip_first)
            yield batch, padded.to(ranks.device)
            if ranks.device.type == "cpu":  # a GPU would be waited for
                release_cached(ranks.device)
            tokens = passes * sum(map(len, batch.ids))
            progress.update(*ranks.count(len(batch.members), tokens, request.run))
