"""From a checkpoint to its numbers: sample networks, analyse them, and again without structure."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from tqdm import tqdm

from experiments.multifractal.boxes import Rules
from experiments.multifractal.checkpoints import Checkpoint
from experiments.multifractal.controls import deviation, mean_degree, norm, shuffled
from experiments.multifractal.kept import Measured
from experiments.multifractal.layouts import Layout, layout
from experiments.multifractal.modes import MODES, Mode
from experiments.multifractal.network import Network
from experiments.multifractal.reading import network, neurons
from experiments.multifractal.settings import MultifractalConfig, reach
from probe.api import model_name
from probe.api.parts import Weights, load_config, open_weights

_PUBLIC = MODES["public"]


@dataclass(frozen=True)
class How:
    """How networks are sampled and judged.

    Attributes
    ----------
    layout, published : Layout
        Which neurons and links they have, and which the published code would give them.
    mode : Mode
        How they are judged.
    rules : Rules
        Which distances count.
    threshold : float
        The largest distance that counts under the published rules.
    size, samples, seed : int
        Neurons of a layer, number of networks, and the seed of the first.
    """

    layout: Layout
    published: Layout
    mode: Mode
    rules: Rules
    threshold: float
    size: int
    samples: int
    seed: int

    @classmethod
    def of(cls, config: MultifractalConfig) -> Self:
        """Return what a configuration says, for the architecture of its model.

        Raises
        ------
        UserError
            If there are no maps for the architecture.
        """
        settings, own = config.study, load_config(config.model)
        published = layout(own, model_name(config.model), published=True)
        true = layout(own, model_name(config.model))
        return cls(
            layout=published if settings.mode == "public" else true,
            published=published,
            mode=MODES[settings.mode],
            rules=Rules(most=settings.threshold, radii=settings.radii, reach=reach(settings)),
            threshold=settings.threshold,
            size=settings.sample,
            samples=settings.samples,
            seed=settings.seed,
        )

    def network(self, weights: Weights, number: int, published: bool = False) -> Network:
        """Read a sampled network."""
        used = self.published if published else self.layout
        return network(weights, used, neurons(used, self.size, self.seed + number))


def spread(checkpoint: Checkpoint, how: How) -> float:
    """Return the mean over networks of the root mean square of their weights."""
    weights = open_weights(checkpoint.config.model, checkpoint.config.init)
    return float(
        np.mean([deviation(how.network(weights, number)) for number in range(how.samples)])
    )


def measure(checkpoint: Checkpoint, how: How, origin: Measured | None) -> Measured:
    """Measure all networks of a checkpoint.

    Parameters
    ----------
    checkpoint : Checkpoint
        Where the weights are.
    how : How
        How they are sampled and judged.
    origin : Measured or None
        What the first checkpoint gave, if this is another.

    Raises
    ------
    UserError
        If weights are missing or broken, or nothing can be measured of a network.
    """
    weights = open_weights(checkpoint.config.model, checkpoint.config.init)
    numbers, moments = defaultdict[str, list[Any]](list), defaultdict[str, list[Any]](list)
    nodes, shuffled_nodes, fits = [], [], []
    named = f"networks of {checkpoint.name}"
    for number in tqdm(range(how.samples), desc=named, disable=None, leave=False, delay=2):
        sampled = how.network(weights, number)
        mixed = shuffled(sampled, how.seed + number)
        first = origin and origin.nodes[number]
        own = how.mode.analyse(sampled, how.rules, first)
        without = how.mode.analyse(mixed, how.rules, origin and origin.shuffled_nodes[number])
        public = own
        rules = Rules(most=how.threshold)
        if how.layout != how.published or how.rules != rules or (first and how.mode.same_nodes):
            as_published = how.network(weights, number, published=True)
            public = _PUBLIC.analyse(as_published, rules)
        found = {
            "alpha0": how.mode.alpha0(own.spectrum),
            "alpha0_public": public.spectrum.alpha0_public,
            "width": own.spectrum.width,
            "width_public": public.spectrum.width,
            "nodes": len(own.boxes.nodes.numbers),
            "nodes_public": len(public.boxes.nodes.numbers),
            "radii": len(own.boxes.radii),
            "r2_min": float(own.scaling.r2.min()),
            "concave": own.spectrum.concave,
            "norm": norm(sampled),
            "mean_degree": mean_degree(sampled),
            "alpha0_shuffled": how.mode.alpha0(without.spectrum),
            "width_shuffled": without.spectrum.width,
        }
        for name, value in found.items():
            numbers[name].append(value)
        for name, by_q in (
            ("tau", own.scaling.tau), ("r2", own.scaling.r2),
            ("alpha", own.spectrum.alpha), ("f", own.spectrum.f),
        ):  # fmt: skip
            moments[name].append(by_q)
        nodes.append(own.boxes.nodes)
        shuffled_nodes.append(without.boxes.nodes)
        fits.append((own.scaling.log_radius, own.scaling.log_partition))
    return Measured(
        {name: np.array(values) for name, values in numbers.items()},
        {name: np.array(values) for name, values in moments.items()},
        *fits[0],
        nodes,
        shuffled_nodes,
    )
