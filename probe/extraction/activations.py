"""Run the trunk and pass on each layer's activations as they are computed."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from probe.config import ModelConfig, Side, Site
from probe.examples.batches import Tensors
from probe.models import HookPoint, find_blocks, find_hook_point

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

    Raises
    ------
    UserError
        If the blocks, or the site in them, cannot be located.
    """

    def __init__(
        self, trunk: nn.Module, model: ModelConfig, layers: Sequence[int], site: Site
    ) -> None:
        self.trunk, self.model = trunk, model
        self.blocks = find_blocks(trunk, model)
        self.layers = sorted(layers)
        # The last block's residual is read behind the final norm, from the trunk's own output.
        self.read_output = site is Site.residual and self.layers[-1] == len(self.blocks) - 1
        hooked = self.layers[: len(self.layers) - self.read_output]
        self.hooked = {layer: find_hook_point(self.blocks[layer], model, site) for layer in hooked}

    @torch.inference_mode()
    def read(self, batch: Tensors, consume: Consumer) -> None:
        """Run a batch and call `consume(layer, activations)` layer by layer, in order."""
        shape = batch.tokens.shape
        handles = [self._hook(layer, place, consume, shape) for layer, place in self.hooked.items()]
        try:
            output = self.trunk(**model_inputs(self.trunk, self.model, batch))
        except _LastLayerReadError:
            return
        finally:
            for handle in handles:
                handle.remove()
        if self.read_output:
            consume(self.layers[-1], output.last_hidden_state)

    def _hook(self, layer: int, place: HookPoint, consume: Consumer, shape: torch.Size) -> Any:
        last = layer == self.layers[-1]

        def take(value: Any) -> None:
            value = value[0] if isinstance(value, tuple) else value
            # OPT's MLP gets the tokens of all examples in one row.
            consume(layer, value.reshape(*shape, -1))
            if last:
                raise _LastLayerReadError

        if place.before:
            return place.module.register_forward_pre_hook(lambda _, inputs: take(inputs))
        return place.module.register_forward_hook(lambda _, __, output: take(output))

    def n_neurons(self) -> int:
        """Count the neurons of a layer by reading one token."""
        return self.one_token()[self.layers[0]].shape[-1]

    def one_token(self) -> dict[int, Tensor]:
        """Read one token, whose activations show the layers' sizes and devices."""
        activations: dict[int, Tensor] = {}
        device = next(self.trunk.parameters()).device
        # Offloaded weights are on `meta`; their hooks move the inputs.
        device = torch.device("cpu") if device.type == "meta" else device
        one = torch.ones(1, 1, dtype=torch.bool, device=device)
        token = torch.zeros(1, 1, dtype=torch.long, device=device)
        self.read(Tensors(token, one, one), lambda layer, x: activations.update({layer: x}))
        return activations


def model_inputs(module: nn.Module, model: ModelConfig, batch: Tensors) -> dict[str, Any]:
    """Return the arguments with which a trunk or a language model is called on a batch."""
    accepts = inspect.signature(module.forward).parameters
    inputs: dict[str, Any] = {"input_ids": batch.tokens}
    if not batch.attended.all():
        inputs["attention_mask"] = batch.attended.long()
        if model.padding_side is Side.left and "position_ids" in accepts:
            # The first real token is at position 0, however much padding is before it.
            inputs["position_ids"] = (inputs["attention_mask"].cumsum(-1) - 1).clamp(min=0)
    if "use_cache" in accepts:
        inputs["use_cache"] = False
    return inputs
