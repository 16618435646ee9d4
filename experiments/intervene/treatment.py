"""Treatment of neurons of a layer while the model runs."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from probe.api import ModelConfig, UserError
from probe.api.parts import find_blocks

# Maps a layer's activations (n_examples, n_tokens, n_neurons) to those the model continues with.
Edit = Callable[[Tensor], Tensor]


class Layers:
    """The places in a language model where layers are read and changed.

    They are those of `probe.extraction.activations.Reader`: a block's output and, for the last
    block, the output of the final norm, which the head reads.

    Parameters
    ----------
    model : nn.Module
        A language model with its head.
    config : ModelConfig
        Where its blocks are, if they are not found.
    layers : list of int
        Layers, from 0.

    Raises
    ------
    UserError
        If the blocks or, for the last layer, the head are not found.
    """

    def __init__(self, model: nn.Module, config: ModelConfig, layers: list[int]) -> None:
        trunk: nn.Module = model.base_model  # type: ignore[assignment]
        self.blocks = find_blocks(trunk, config)
        self.layers = layers
        self.head: nn.Module | None = model.get_output_embeddings()  # type: ignore[operator]
        if self.head is None and len(self.blocks) - 1 in layers:
            raise UserError(
                f"{type(model).__name__} does not name its head, before which the last layer is "
                "read; give earlier layers with study.layers="
            )

    @contextmanager
    def edited(self, edits: Mapping[int, Edit]) -> Iterator[None]:
        """Apply edits to the model's layers in every forward pass within."""
        handles = [self._hook(layer, edit) for layer, edit in edits.items()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, layer: int, edit: Edit) -> Any:
        if layer == len(self.blocks) - 1:
            assert self.head is not None
            return self.head.register_forward_pre_hook(lambda _, args: (edit(args[0]), *args[1:]))

        def after(_: nn.Module, __: Any, output: Any) -> Any:
            return (edit(output[0]), *output[1:]) if isinstance(output, tuple) else edit(output)

        return self.blocks[layer].register_forward_hook(after)


def treat(
    activations: Tensor,
    chosen: Tensor,
    treatment: str,
    mean: Tensor,
    noise: Tensor | None = None,
) -> Tensor:
    """Treat the chosen neurons at all tokens.

    Parameters
    ----------
    activations : Tensor, shape (n_examples, n_tokens, n_neurons)
        Activations of a layer.
    chosen : Tensor of bool, shape (n_examples, n_neurons)
        The neurons to treat.
    treatment : str
        `zero`; `mean`: the neuron's mean over other texts; `noise`: added to it.
    mean : Tensor, shape (n_neurons,)
        For `mean`.
    noise : Tensor, shape (n_examples, n_tokens, n_neurons), optional
        For `noise`, in the activations' unit.

    Examples
    --------
    >>> x, chosen = torch.tensor([[[1.0, 2.0]]]), torch.tensor([[True, False]])
    >>> treat(x, chosen, "zero", torch.tensor([5.0, 5.0]))
    tensor([[[0., 2.]]])
    """
    here = chosen.unsqueeze(1)
    if treatment == "zero":
        return activations.masked_fill(here, 0)
    if treatment == "mean":
        return torch.where(here, mean.to(activations), activations)
    assert treatment == "noise", treatment
    assert noise is not None, "noise must be drawn before"
    return torch.where(here, activations + noise.to(activations), activations)


def norm_shares(
    before: Tensor, after: Tensor, chosen: Tensor, attended: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the shares of the squared norm in the chosen neurons, and moved by the treatment.

    Parameters
    ----------
    before, after : Tensor, shape (n_examples, n_tokens, n_neurons)
        Activations without and with the treatment.
    chosen : Tensor of bool, shape (n_examples, n_neurons)
        The treated neurons.
    attended : Tensor of bool, shape (n_examples, n_tokens)
        False at padding.

    Returns
    -------
    held, moved : Tensor of float32, shape (n_examples,)
        `Σ_chosen x² / Σ x²` and `Σ (x' - x)² / Σ x²` over all tokens; equal for the treatment
        zero.
    """
    tokens = attended.unsqueeze(-1)
    squares = before.float().square() * tokens
    by_neuron = squares.sum(dim=1)
    moved = ((after.float() - before.float()).square() * tokens).sum(dim=(1, 2))
    total = by_neuron.sum(dim=1)
    return (by_neuron * chosen).sum(dim=1) / total, moved / total
