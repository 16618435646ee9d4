"""Which units: the grammar of `study.units`."""

import re
from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Any

import numpy as np

from experiments.neuron_graphs.settings import NeuronGraphsConfig
from experiments.neuron_graphs.unit import Unit
from probe.api import UserError, load_topologies, model_name
from probe.api.interventions import widths
from probe.api.parts import HUB_SHARE, find_blocks, outline

_HUBS = "hubs:"
_GRAMMAR = (
    "all, layer:neuron such as 3:17, 3:17- for its negative activations, a layer such as 4, "
    "hubs:RUN (quoted if RUN has a =, as in 'study.units=\"hubs:a=b\"'), or a list of these"
)


def choose(config: NeuronGraphsConfig) -> list[Unit]:
    """Return the units that are asked for, in order, each once.

    Raises
    ------
    UserError
        If one cannot be read, or is not in the model.
    """
    settings = config.study
    n_layers = len(find_blocks(outline(config.model), config.model))
    neurons = widths(config.model, config.site, range(n_layers))
    signs = [1 if sign == "+" else -1 for sign in settings.signs]
    found: set[Unit] = set()
    for word in _words(settings.units):
        found.update(_of(word, neurons, signs, config))
    units = sorted(found)
    if settings.per_layer is not None:
        rng = np.random.default_rng(settings.seed)
        drawn = [_drawn(some, settings.per_layer, rng) for some in by_layer(units)]
        units = sorted(chain.from_iterable(drawn))
    return units


def runs(units: Any) -> list[str]:
    """Return the folders of the runs whose hubs are asked for."""
    return [word.removeprefix(_HUBS) for word in _words(units) if word.startswith(_HUBS)]


def spread(units: Sequence[Unit], number: int, seed: int) -> list[Unit]:
    """Draw some units, as many of every layer as there are, in order.

    Examples
    --------
    >>> spread([Unit(0, 1), Unit(0, 2), Unit(0, 3), Unit(1, 1)], 2, seed=0)
    [Unit(layer=0, neuron=3, sign=1), Unit(layer=1, neuron=1, sign=1)]
    """
    rng = np.random.default_rng(seed)
    layers = [_drawn(some, len(some), rng) for some in by_layer(units)]
    dealt = [unit for one in zip_longest(*layers) for unit in one if unit is not None]
    return sorted(dealt[:number])


def by_layer(units: Sequence[Unit]) -> list[list[Unit]]:
    """Return the units of each layer."""
    layers: dict[int, list[Unit]] = {}
    for unit in units:
        layers.setdefault(unit.layer, []).append(unit)
    return list(layers.values())


def _drawn(units: Sequence[Unit], number: int, rng: np.random.Generator) -> list[Unit]:
    return [units[n] for n in rng.permutation(len(units))[:number]]


def _words(units: Any) -> list[str]:
    listed = units if isinstance(units, list | tuple) else [units]
    if not listed or not all(isinstance(one, str | int) for one in listed):
        raise UserError(f"study.units={units} names no neurons; give {_GRAMMAR}")
    return [str(one).strip() for one in listed]


def _of(
    word: str, neurons: dict[int, int], signs: Sequence[int], config: NeuronGraphsConfig
) -> list[Unit]:
    if word == "all":
        return [
            Unit(layer, n, s)
            for layer, width in neurons.items()
            for n in range(width)
            for s in signs
        ]
    if word.startswith(_HUBS):
        pairs = _hubs(word.removeprefix(_HUBS), neurons, config)
        return [Unit(layer, neuron, sign) for layer, neuron in pairs for sign in signs]
    if re.fullmatch(r"\d{1,9}", word):
        _check_layer(int(word), neurons, config)
        return _layer(int(word), neurons[int(word)], signs)
    if not re.fullmatch(r"\d{1,9}:\d{1,9}[+-]?", word):
        raise UserError(f"study.units has '{word}'; give {_GRAMMAR}")
    unit = Unit.parse(word)
    _check_layer(unit.layer, neurons, config)
    if unit.neuron >= neurons[unit.layer]:
        raise UserError(
            f"study.units has {word}, and layer {unit.layer} of {model_name(config.model)} has the "
            f"neurons 0 to {neurons[unit.layer] - 1} at site={config.site.value}"
        )
    own = [unit.sign] if word[-1] in "+-" else signs
    return [Unit(unit.layer, unit.neuron, sign) for sign in own]


def _layer(layer: int, width: int, signs: Sequence[int]) -> list[Unit]:
    return [Unit(layer, neuron, sign) for neuron in range(width) for sign in signs]


def _check_layer(layer: int, neurons: dict[int, int], config: NeuronGraphsConfig) -> None:
    if layer not in neurons:
        raise UserError(
            f"study.units has layer {layer}, and the layers of {model_name(config.model)} are 0 to "
            f"{max(neurons)}"
        )


def _hubs(run: str, neurons: dict[int, int], config: NeuronGraphsConfig) -> list[tuple[int, int]]:
    """Return layer and neuron of the hubs of a run: the strongest 5.6 % of each matrix."""
    found: list[tuple[int, int]] = []
    for topology in load_topologies(run):
        if topology.site != config.site.value:
            raise UserError(
                f"study.units has hubs of {run}, which read site={topology.site}, and here "
                f"site={config.site.value} is read; give a run with the same site"
            )
        if topology.kind != "layer" or len(topology.layers) != 1:
            raise UserError(
                f"study.units has hubs of {run}, whose {topology.name} joins layers; give a run "
                "with layers=each"
            )
        [layer] = topology.layers
        _check_layer(layer, neurons, config)
        if topology.n_neurons != neurons[layer]:
            raise UserError(
                f"study.units has hubs of {run}, whose layer {layer} has {topology.n_neurons} "
                f"neurons, and that of {model_name(config.model)} has {neurons[layer]}; give a run "
                "of this model"
            )
        strength = np.abs(topology.matrix).sum(axis=1, dtype=np.float64)
        number = max(1, round(HUB_SHARE * topology.n_neurons))
        strongest = np.argsort(-strength, kind="stable")[:number]
        found += [(layer, int(neuron)) for neuron in strongest]
    return found
