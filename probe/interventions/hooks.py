"""Where a running language model is read and changed: hooks at a site of its layers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from probe.config import ModelConfig, Site
from probe.errors import UserError
from probe.extraction.layout import series
from probe.models import HookPoint, find_blocks, find_hook_point

# Maps a layer's activations (n_examples, n_tokens, n_neurons) to those the model continues with.
Edit = Callable[[Tensor], Tensor]


class Sites:
    """The places in a language model where layers are read and changed.

    They are those of `probe.extraction.activations.Reader`; the last block's residual is the
    output of the final norm, which the head reads.

    Parameters
    ----------
    model : nn.Module
        A language model with its head.
    config : ModelConfig
        Where its blocks are, if they are not found.
    site : Site
        Where in the blocks.
    layers : sequence of int
        Layers, from 0.

    Raises
    ------
    UserError
        If the blocks, the site in them or, for the last layer's residual, the head are not found,
        or there is no such layer.
    """

    def __init__(
        self, model: nn.Module, config: ModelConfig, site: Site, layers: Sequence[int]
    ) -> None:
        trunk: nn.Module = model.base_model  # type: ignore[assignment]
        self.blocks = find_blocks(trunk, config)
        self.layers, self.site, self.config = sorted(layers), site, config
        for layer in self.layers:
            if not 0 <= layer < len(self.blocks):
                raise UserError(
                    f"layer {layer} is not in the model, whose layers are 0 to "
                    f"{len(self.blocks) - 1}"
                )
        self.head: nn.Module | None = model.get_output_embeddings()  # type: ignore[operator]
        if self.head is None and any(self._behind_norm(layer) for layer in layers):
            raise UserError(
                f"{type(model).__name__} does not name its head, before which the last layer is "
                "read; give earlier layers"
            )
        self._places = {layer: self._place(layer) for layer in self.layers}

    def _behind_norm(self, layer: int) -> bool:
        return self.site is Site.residual and layer == len(self.blocks) - 1

    def _place(self, layer: int) -> HookPoint:
        if self._behind_norm(layer):
            assert self.head is not None
            return HookPoint(self.head, before=True)
        return find_hook_point(self.blocks[layer], self.config, self.site)

    @contextmanager
    def edited(self, edits: Mapping[int, Edit]) -> Iterator[None]:
        """Apply edits to the model's layers in every forward pass within, `generate` included.

        Whatever is raised within, no hook is left behind.

        Raises
        ------
        UserError
            If an edit is of a layer that was not given to `Sites`.
        """
        for layer in edits.keys() - {*self.layers}:
            raise UserError(
                f"layer {layer} is none of {', '.join(map(str, self.layers))}, which these sites "
                "are of; give it to Sites"
            )
        with ExitStack() as hooks:
            for layer, edit in edits.items():
                for hook in self._hooks(layer, edit):
                    hooks.enter_context(hook)
            yield

    def _hooks(self, layer: int, edit: Edit) -> Iterator[Any]:
        shape = torch.Size()

        def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            nonlocal shape
            shape = inputs[0].shape[:2]

        def changed(value: Any) -> Any:
            first = value[0] if isinstance(value, tuple) else value
            # OPT's MLP gets the tokens of all examples in one row.
            whole = first if first.dim() == 3 else series(first, shape, None, f"layer {layer}")
            first = edit(whole).reshape(first.shape)
            return (first, *value[1:]) if isinstance(value, tuple) else first

        place = self._places[layer]
        yield self.blocks[layer].register_forward_pre_hook(note)
        if place.before:
            yield place.module.register_forward_pre_hook(lambda _, inputs: changed(inputs))
        else:
            yield place.module.register_forward_hook(lambda _, __, output: changed(output))
