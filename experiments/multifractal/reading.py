"""The sampled network of a checkpoint: only its rows and columns of the weights are read."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.multifractal.layouts import FUSED, Layout
from experiments.multifractal.network import Link, Network
from experiments.multifractal.sampling import Neurons, draw
from probe.api import UserError
from probe.api.parts import Weights

# Of a block: its input, values, the residual stream behind attention, twice as many hidden units.
_DRAWN = (1, 1, 1, 2)


def neurons(layout: Layout, size: int, seed: int) -> list[Neurons]:
    """Draw the neurons of a sample in the published order, whatever the architecture.

    Of every block as in `_DRAWN`, and at the end as many outputs of the last one as inputs.

    Raises
    ------
    UserError
        If a sample is larger than a layer.
    """
    widths = (layout.width, layout.attended, layout.width, layout.hidden)
    return draw(
        [*widths * layout.blocks, layout.width],
        [*(size * times for times in _DRAWN * layout.blocks), size],
        seed,
    )


def network(weights: Weights, layout: Layout, drawn: Sequence[Neurons]) -> Network:
    """Read the weights between the drawn neurons of a checkpoint.

    Raises
    ------
    UserError
        If the checkpoint lacks a weight, or one has another shape or kind than wanted.
    """
    links, sizes = list[Link](), list[int]()
    for block in range(layout.blocks):
        start, own = len(sizes), _in_block(layout, drawn, block)
        number = {name: start + place for place, name in enumerate(layout.layers)}
        number["output"] = start + len(layout.layers)
        for source, target, name in layout.maps:
            stored = weights.find(f"{layout.place}.{block}.{name}")
            _check(stored, name, layout, layout.shape(source, target))
            chosen = _chosen(stored, layout.transposed, own[source], own[target])
            links.append(Link(number[source], number[target], chosen))
        for source, target, edges in _invented(layout, own):
            links.append(Link(number[source], number[target], edges, invented=True))
        sizes += [len(own[name]) for name in layout.layers]
    return Network((*sizes, len(drawn[-1])), tuple(links))


def _in_block(layout: Layout, drawn: Sequence[Neurons], block: int) -> dict[str, Neurons]:
    """Return the drawn neurons of a block's layers, as rows or columns of the stored weights."""
    start = len(_DRAWN) * block
    inputs, mixed, attended, hidden, output = drawn[start : start + len(_DRAWN) + 1]
    keys = np.unique(_shared(layout, mixed))
    thirds = np.concatenate([mixed, mixed, mixed])
    part = np.repeat(np.arange(3), len(mixed))
    if layout.by_head:
        fused = 3 * layout.head * (thirds // layout.head) + part * layout.head
        fused += thirds % layout.head
    else:
        fused = part * layout.attended + thirds
    return {
        "input": inputs, "query": mixed, "key": keys, "value": keys, FUSED: fused, "mixed": mixed,
        "attended": attended, "gate": hidden, "up": hidden, "hidden": hidden, "output": output,
    }  # fmt: skip


def _shared(layout: Layout, mixed: Neurons) -> Neurons:
    """Return the value that each mixed neuron mixes: several heads may share those of one."""
    times = layout.heads // layout.key_heads
    return mixed // layout.head // times * layout.head + mixed % layout.head


def _invented(
    layout: Layout, own: Mapping[str, Neurons]
) -> list[tuple[str, str, NDArray[np.float64]]]:
    """Return edges of weight 1 for what has none: from values to their mixture, and of a gate.

    Queries and keys say how much is mixed, and no neuron of theirs is passed on; the published
    code lets all values and keys lead to every mixture, and queries to the one of their number.
    """
    size = len(own["mixed"])
    if layout.published:
        edges = [(FUSED, "mixed", np.vstack([np.eye(size), np.ones((2 * size, size))]))]
    elif FUSED in layout.layers:
        own_value = np.vstack([np.zeros((2 * size, size)), np.eye(size)])
        edges = [(FUSED, "mixed", own_value)]
    else:
        values = np.equal.outer(own["value"], _shared(layout, own["mixed"]))
        edges = [("value", "mixed", values.astype(np.float64))]
    same = np.eye(len(own["hidden"]))
    return edges + [(name, "hidden", same) for name in ("gate", "up") if name in layout.layers]


def _check(stored: torch.Tensor, name: str, layout: Layout, shape: tuple[int, int]) -> None:
    wanted = shape if layout.transposed else shape[::-1]
    if stored.shape != wanted:
        raise UserError(
            f"{name} has shape {tuple(stored.shape)}, and config.json says {wanted}; use the "
            "config.json that belongs to the checkpoint"
        )
    if stored.dtype not in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        raise UserError(
            f"{name} is stored as {str(stored.dtype).removeprefix('torch.')}, whose values are no "
            "weights without their scales; give a checkpoint that is not quantised"
        )


def _chosen(
    stored: torch.Tensor, transposed: bool, inputs: Neurons, outputs: Neurons
) -> NDArray[np.float32]:
    """Return the weights (n_inputs, n_outputs) between chosen neurons."""
    rows, columns = (torch.from_numpy(one) for one in (inputs, outputs))
    chosen = stored[rows][:, columns] if transposed else stored[columns][:, rows].T
    return np.ascontiguousarray(chosen.float().numpy())
