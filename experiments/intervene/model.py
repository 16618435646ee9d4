"""Facts of the model from its configuration alone, so that mistakes are found at once."""

from dataclasses import dataclass

from experiments.intervene.selection import counts
from experiments.intervene.settings import InterveneConfig
from experiments.intervene.value_projection import value_weights
from probe.api import UserError, model_name
from probe.api.interventions import widths
from probe.api.parts import find_blocks, load_config, outline, resolve_layers


@dataclass(frozen=True)
class ModelFacts:
    """Sizes of a model, and the layers that are treated."""

    layers: list[int]
    n_neurons: int
    n_heads: int


def check_model(config: InterveneConfig) -> ModelFacts:
    """Check the layers and selections against the model, and return its sizes.

    Raises
    ------
    UserError
        If it lacks a layer, or the value projection that a selection needs.
    """
    text = load_config(config.model).get_text_config()
    name, n_layers = model_name(config.model), text.num_hidden_layers
    settings = config.study
    layers = resolve_layers(config, n_layers)
    n_neurons, *others = set(widths(config.model, config.site, layers).values())
    if others:
        raise UserError(
            f"layers {', '.join(map(str, layers))} have {n_neurons} and {others[0]} neurons at "
            f"site={config.site}, and the same fraction of each is treated; give one layer"
        )
    n_heads = getattr(text, "num_attention_heads", 1)  # Mamba has none, and no values
    most = counts(settings.fractions, n_neurons)[-1]
    if "random_norm" in settings.select and 2 * most > n_neurons:
        raise UserError(
            f"study.select=random_norm needs as many other neurons, and {most} of {n_neurons} are "
            "treated; give smaller study.fractions"
        )
    if "weighted" in settings.select:
        if layers[-1] == n_layers - 1:
            raise UserError(
                f"study.select=weighted needs the next layer's value projection, and layer "
                f"{layers[-1]} is the last of {name}; give earlier layers, or leave weighted "
                "out of study.select"
            )
        blocks = find_blocks(outline(config.model), config.model)
        for layer in layers:
            value_weights(blocks[layer + 1], n_heads)
    return ModelFacts(layers, n_neurons, n_heads)
