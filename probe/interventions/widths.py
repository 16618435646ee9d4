"""How many neurons a site has, from the model's configuration alone: mistakes are found at once."""

from collections.abc import Sequence

from probe.config import ModelConfig, Site, model_name
from probe.errors import UserError
from probe.models import find_blocks, find_hook_point, outline, text_config


def widths(model: ModelConfig, site: Site, layers: Sequence[int]) -> dict[int, int]:
    """Return the number of neurons of each layer at a site.

    Raises
    ------
    UserError
        If the model lacks a layer, or the site.
    """
    trunk = outline(model)
    blocks, hidden = find_blocks(trunk, model), int(text_config(trunk).hidden_size)
    found = {}
    for layer in layers:
        if layer >= len(blocks):
            raise UserError(
                f"layer {layer} is not in {model_name(model)}, whose layers are 0 to "
                f"{len(blocks) - 1}; give layers of this model"
            )
        if site is Site.embedding and layer:
            raise UserError(
                f"site=embedding is the input of the first block, layer 0, and layer {layer} was "
                "given; give layer 0 or another site"
            )
        module = find_hook_point(blocks[layer], model, site).module
        # The projection maps the MLP's neurons to the stream, however its weight is stored.
        weight = module.get_parameter("weight") if site is Site.mlp else None
        found[layer] = hidden if weight is None else weight.numel() // hidden
    return found
