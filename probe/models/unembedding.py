"""The vocabulary that coordinates of the residual stream write to: the logit lens."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from probe.config import InitConfig, ModelConfig
from probe.errors import UserError
from probe.models.blocks import find_blocks, text_config
from probe.models.load import outline_with_head
from probe.models.place import Place
from probe.models.weights import Weights, open_weights

# Names that checkpoints of GPT-NeoX have kept of their heads.
_FORMER = {"lm_head.weight": "embed_out.weight"}


@dataclass(frozen=True)
class Unembedding:
    """What turns the last residual into logits (nostalgebraist 2020, the logit lens).

    Attributes
    ----------
    weight : Tensor, shape (n_tokens, n_neurons)
        The unembedding, as it is stored.
    scale : Tensor of float32, shape (n_neurons,)
        What the final norm multiplies each coordinate by, beside one over the vector's length.
    layers : int
        Layers of the model.
    """

    weight: Tensor
    scale: Tensor
    layers: int

    @property
    def width(self) -> int:
        """Coordinates of the residual stream."""
        return self.weight.shape[1]

    def columns(self, neurons: Sequence[int], normed: bool = False) -> Tensor:
        """Return what a rise of some neurons adds to the logits, up to the vector's length.

        Parameters
        ----------
        neurons : sequence of int
            Coordinates of the residual stream.
        normed : bool
            Whether they are read behind the final norm, which then adds nothing.

        Returns
        -------
        Tensor of float32, shape (n_tokens, len(neurons))
            Dimensionless.
        """
        chosen = list(neurons)
        columns = self.weight[:, chosen].float()
        return columns if normed else columns * self.scale[chosen]


def open_unembedding(model: ModelConfig) -> Unembedding | None:
    """Read the unembedding and the final norm of a checkpoint, without loading the model.

    Returns None for a model whose logits are not those of a norm and a matrix, as BERT's are not.

    Raises
    ------
    UserError
        If it has no head, or the checkpoint lacks the weights or cannot be opened, or only as a
        whole: that of an adapter or in a GGUF file would be in memory a second time.
    """
    place = Place.of(model)
    if place.gguf is not None or place.adapter is not None:
        what, other = ("an adapter", "merged") if place.gguf is None else ("a GGUF file", "whole")
        raise UserError(
            f"model={place.name} is {what}, whose weights would have to be loaded once more; give "
            f"the {other} model, saved as safetensors"
        )
    whole = outline_with_head(model)
    head = getattr(whole.get_output_embeddings(), "weight", None)  # type: ignore[operator]
    norm = _final_norm(whole, model)
    if head is None or norm is None or head.shape[1] != text_config(whole).hidden_size:
        return None
    weights = open_weights(model, InitConfig())
    every = dict(whole.named_parameters(remove_duplicate=False))
    heads = [name for name, one in every.items() if one is head]
    heads += [_FORMER[name] for name in heads if name in _FORMER]
    layers: int = text_config(whole).num_hidden_layers
    return Unembedding(_find(weights, whole, heads), _scale(weights, whole, norm), layers)


def _final_norm(whole: nn.Module, model: ModelConfig) -> str | None:
    """Return the path of the norm that stands beside the blocks, if there is one."""
    blocks = find_blocks(whole, replace(model, blocks=None))
    [path] = (name for name, module in whole.named_modules() if module is blocks)
    beside = path.rpartition(".")[0]
    width = (text_config(whole).hidden_size,)
    names = [
        name
        for name, module in whole.get_submodule(beside).named_children()
        if "embed" not in name and getattr(getattr(module, "weight", None), "shape", None) == width
    ]
    return f"{beside}.{names[-1]}".removeprefix(".") if names else None


def _scale(weights: Weights, whole: nn.Module, path: str) -> Tensor:
    """Return what a norm multiplies by: its weight, or 1 + its weight, whatever its class says."""
    norm = copy.deepcopy(whole.get_submodule(path)).to_empty(device="cpu").float()
    with torch.no_grad():
        for name, parameter in norm.named_parameters():
            parameter.copy_(_find(weights, whole, [f"{path}.{name}"]))
        n = next(norm.parameters()).numel()
        # Of mean 0 and mean square 1, so that nothing but the scale (and a bias) is left.
        signs = torch.ones(n)
        signs[1::2] = -1
        scale: Tensor = (norm(signs) - norm(-signs)) / 2 * signs
    return scale


def _find(weights: Weights, whole: nn.Module, names: Sequence[str]) -> Tensor:
    """Find a weight by one of its names, with the trunk's own name before it or without."""
    prefix = getattr(whole, "base_model_prefix", "") + "."
    error = None
    for name in [*names, *(name.removeprefix(prefix) for name in names)]:
        try:
            return weights.find(name)
        except UserError as missing:
            error = error or missing
    assert error is not None
    raise error
