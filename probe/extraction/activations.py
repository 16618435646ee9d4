"""Run the trunk and pass on each layer's activations as they are computed."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn

from probe.config import ModelConfig, Side, Site
from probe.errors import UserError
from probe.examples.batches import Tensors
from probe.extraction.layout import series
from probe.models import (
    HookPoint,
    ModelState,
    count_layers,
    find_blocks,
    find_hook_point,
    length_limit,
    text_config,
)

# Called with a layer's number and its activations, (n_examples, n_tokens, n_neurons), padding
# included. The tensor belongs to the model: do not change or keep it.
Consumer = Callable[[int, Tensor], None]


class _LastLayerReadError(Exception):
    """Ends a forward pass after the last layer that is read."""


class Reader:
    """Reads the activations of chosen layers from a model.

    Parameters
    ----------
    trunk : nn.Module
        Model without its language-model head.
    model : ModelConfig
        Padding side, and where the blocks are if they cannot be located automatically.
    layers : sequence of int
        Layers to read; the forward pass ends after the last one.
    site : Site
        Where in the block: `residual` is the block's output, for the last block after the final
        norm (the trunk's `last_hidden_state`); `residual_raw` the output of every block as it is;
        `mlp` the input of the MLP's output projection; `mlp_output` and `attention` the output
        of these modules, before it is added to the residual stream; `embedding` the block's
        input, which for block 0 are the embeddings (transformers' `hidden_states[0]`).

    Attributes
    ----------
    n_layers : int
        Layers of the model. If it has fewer blocks, as ALBERT, whose layers share one, layer n is
        the n-th call of a block in a forward pass, from 0.
    state : ModelState
        The model's state before it has read anything.
    before_norm : callable or None
        Called with the last block's residual as it is before the final norm, where it is read
        behind that and has the shape of activations; before the consumer is.
    restless : bool
        Whether the model is brought back to that state before every batch, because reading one
        changes how it reads the next.

    Raises
    ------
    UserError
        If the blocks, or the site in them, cannot be located.
    """

    def __init__(
        self, trunk: nn.Module, model: ModelConfig, layers: Sequence[int], site: Site
    ) -> None:
        self.trunk, self.model, self.site = trunk, model, site
        self.blocks = find_blocks(trunk, model)
        self.n_layers = count_layers(trunk, self.blocks)
        self.layers = sorted(layers)
        # The last block's residual is read behind the final norm, from the trunk's own output.
        self.read_output = site is Site.residual and self.layers[-1] == self.n_layers - 1
        self.hooked = self.layers[: len(self.layers) - self.read_output]
        self.shared = len(self.blocks) < self.n_layers
        blocks = range(len(self.blocks)) if self.shared else self.hooked
        self.places = {n: find_hook_point(self.blocks[n], model, site) for n in blocks}
        self.before_norm: Callable[[Tensor], None] | None = None
        self.state = ModelState(trunk)
        config = text_config(trunk) if hasattr(trunk, "config") else None
        self.restless = length_limit(config) is not None

    @torch.inference_mode()
    def read(self, batch: Tensors, consume: Consumer, **whole: Any) -> Any:
        """Run a batch and call `consume(layer, activations)` layer by layer, in order.

        The pass ends after the last layer that is read; with more arguments for the trunk it is
        `whole`, and the trunk's output is returned.

        Raises
        ------
        UserError
            If a layer is not computed, or computed twice, or its activations are not of the shape
            (n_examples, n_tokens, n_neurons).
        """
        self.rest()
        with ExitStack() as hooks:
            read: set[int] = set()
            for hook in self._hooks(consume, batch.tokens.shape, read, ends=not whole):
                hooks.enter_context(hook)
            try:
                output = self.trunk(**model_inputs(self.trunk, self.model, batch), **whole)
            except _LastLayerReadError:
                self._refuse_silent(read)
                return None
        self._refuse_silent(read)
        if self.read_output:
            last = self.layers[-1]
            name = f"layer {last} (the output of {type(self.trunk).__name__})"
            state = getattr(output, "last_hidden_state", None)
            consume(last, series(state, batch.tokens.shape, None, name))
        return output

    def rest(self) -> None:
        """Bring a restless model back to its state, before a pass of a batch."""
        if self.restless:
            self.state.restore()

    def _hooks(
        self, consume: Consumer, shape: torch.Size, read: set[int], *, ends: bool
    ) -> Iterator[Any]:
        """Register hooks that hand over the layers; `read` notes those that were."""

        def take(layer: int, place: HookPoint, value: Any) -> None:
            if layer in read:
                raise UserError(
                    f"{self.name(layer, place)} is called more than once for one text; name the "
                    "blocks that are called once with model.blocks="
                )
            read.add(layer)
            consume(layer, series(value, shape, self.model.stream, self.name(layer, place)))
            if ends and layer == self.layers[-1]:
                raise _LastLayerReadError

        calls = count()

        def nth(place: HookPoint, value: Any) -> None:
            layer = next(calls)
            if layer in self.hooked:
                take(layer, place, value)

        for number, place in self.places.items() if self.hooked else ():
            yield _hook(place, partial(nth, place) if self.shared else partial(take, number, place))
        if self.read_output and self.before_norm is not None:
            # Of blocks that are called several times the last call stands.
            for block in self.blocks if self.shared else self.blocks[-1:]:
                yield _hook(HookPoint(block, before=False), partial(self._hand_over_raw, shape))

    def _hand_over_raw(self, shape: torch.Size, value: Any) -> None:
        assert self.before_norm is not None
        with suppress(UserError):  # what is read behind the norm then stands alone
            self.before_norm(series(value, shape, self.model.stream, "the last block"))

    def _refuse_silent(self, read: set[int]) -> None:
        """Refuse a layer whose module was never called: it would be missing without a word."""
        for layer in self.hooked:
            if layer not in read:
                place = self.places[0 if self.shared else layer]
                raise UserError(
                    f"{self.name(layer, place)} was not called when the model read a text; "
                    "choose other layers or another site"
                )

    def name(self, layer: int, place: HookPoint) -> str:
        """Name a layer and its module for an error."""
        paths = (path for path, module in self.trunk.named_modules() if module is place.module)
        return f"layer {layer} ({next(paths)}, {type(place.module).__name__})"

    def n_neurons(self) -> int:
        """Count the neurons of a layer by reading one token."""
        return self.one_token()[self.layers[0]].shape[-1]

    def one_token(self) -> dict[int, Tensor]:
        """Read one token, whose activations show the layers' sizes and devices.

        The model is afterwards as it was before it had read anything.
        """
        activations: dict[int, Tensor] = {}
        device = self.device
        one = torch.ones(1, 1, dtype=torch.bool, device=device)
        token = torch.zeros(1, 1, dtype=torch.long, device=device)
        self.read(Tensors(token, one, one), lambda layer, x: activations.update({layer: x}))
        self.state.restore()
        return activations

    @property
    def device(self) -> torch.device:
        """Where the model takes its inputs."""
        device = next(self.trunk.parameters()).device
        # Offloaded weights are on `meta`; their hooks move the inputs.
        return torch.device("cpu") if device.type == "meta" else device


def _hook(place: HookPoint, take: Callable[[Any], None]) -> Any:
    """Register a hook on what goes into a module or comes out of it."""
    if not place.before:
        return place.module.register_forward_hook(lambda _, __, output: take(output))

    def before(_: nn.Module, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
        take(positional or tuple(named.values()))

    return place.module.register_forward_pre_hook(before, with_kwargs=True)


def model_inputs(module: nn.Module, model: ModelConfig, batch: Tensors) -> dict[str, Any]:
    """Return the arguments with which a trunk or a language model is called on a batch."""
    accepts = inspect.signature(module.forward).parameters
    inputs: dict[str, Any] = {"input_ids": batch.tokens}
    if not batch.attended.all():
        inputs["attention_mask"] = batch.attended.long()
        takes = "position_ids" in accepts and not _counts_positions(module)
        if model.padding_side is Side.left and takes:
            # The first real token is at position 0, however much padding is before it.
            inputs["position_ids"] = (inputs["attention_mask"].cumsum(-1) - 1).clamp(min=0)
    if "use_cache" in accepts:
        inputs["use_cache"] = False
    return inputs


def _counts_positions(module: nn.Module) -> bool:
    """Whether a model counts the positions of real tokens itself, from a number of its own.

    RoBERTa and its kin begin behind that of the padding token.
    """
    return any(hasattr(part, "create_position_ids_from_inputs_embeds") for part in module.modules())
