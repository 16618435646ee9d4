"""Whether the blocks hand over what the model itself calls its hidden states."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from probe.config import Site
from probe.errors import UserError
from probe.examples.batches import Tensors
from probe.extraction.activations import Reader
from probe.extraction.layout import series
from probe.models import HookPoint, block_lists, find_hook_point

ASKED = {"output_hidden_states": True}


def gives_hidden_states(trunk: nn.Module) -> bool:
    """Whether a trunk can be asked for its hidden states."""
    accepts = inspect.signature(trunk.forward).parameters.values()
    return any(one.name in ASKED or one.kind is one.VAR_KEYWORD for one in accepts)


@contextmanager
def recorded(reader: Reader) -> Iterator[list[tuple[HookPoint, Tensor]]]:
    """Record what every call of a block hands over in the forward passes within, in order."""
    outputs: list[tuple[HookPoint, Tensor]] = []
    places = [find_hook_point(block, reader.model, Site.residual_raw) for block in reader.blocks]

    def hook(place: HookPoint) -> Any:
        def note(_: nn.Module, __: Any, output: Any) -> None:
            first = output[0] if isinstance(output, tuple | list) else output
            if isinstance(first, Tensor):
                outputs.append((place, first.clone()))

        return place.module.register_forward_hook(note)

    handles = [hook(place) for place in places]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def compare(
    reader: Reader, outputs: list[tuple[HookPoint, Tensor]], states: Any, batch: Tensors
) -> int:
    """Return how many layers are bit by bit among the model's hidden states; all must be.

    The last block is left out, as the last hidden state is behind the final norm. Some models'
    hidden states begin with the embeddings, others' with block 0; RWKV halves a state before it
    counts it, which changes no correlation.

    Raises
    ------
    UserError
        If a layer is none of them.
    """
    shape = batch.tokens.shape
    own = [_attended(reader, state, batch, "a hidden state") for state in states or ()]
    if not own:
        return 0
    place = 0
    for layer, (point, output) in enumerate(outputs[:-1]):
        name = reader.name(layer, point)
        found = _attended(reader, output, batch, name)
        while place < len(own) and not _equal(found, own[place]):
            place += 1
        if place == len(own):
            lists = [path for path, blocks in block_lists(reader.trunk).items() if len(blocks) > 1]
            raise UserError(
                f"{name} does not hand over the model's hidden state for a batch of {shape[0]} × "
                f"{shape[1]} tokens; name the list of its blocks with model.blocks=, one of "
                f"{', '.join(lists)}, or give model.checks=false to read it all the same"
            )
        place += 1
    return len(outputs[:-1])


def _attended(reader: Reader, value: Tensor, batch: Tensors, name: str) -> Tensor:
    stream = (reader.model.stream or 0) if value.dim() == 4 else None
    return series(value, batch.tokens.shape, stream, name)[batch.attended.to(value.device)]


def _equal(found: Tensor, own: Tensor) -> bool:
    if found.shape != own.shape:
        return False
    # What is not a number is named later, with its text.
    found, own = found.nan_to_num(), own.to(found.device).nan_to_num()
    return torch.equal(found, own) or torch.equal(found, own * 2)
