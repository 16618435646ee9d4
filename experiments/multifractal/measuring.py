"""From a checkpoint to its numbers: sample networks, analyse them, and again without structure."""

from collections import defaultdict
from dataclasses import dataclass
from math import nan
from typing import Any, Self

import numpy as np
from tqdm import tqdm

from experiments.multifractal.boxes import Rules
from experiments.multifractal.controls import deviation, mean_degree, norm, shuffled
from experiments.multifractal.kept import Measured
from experiments.multifractal.layouts import Layout, layout
from experiments.multifractal.modes import MODES, Mode, Multifractal
from experiments.multifractal.network import Network
from experiments.multifractal.reading import network, neurons
from experiments.multifractal.settings import MultifractalConfig, reach
from probe.api import UserError, model_name
from probe.api.parts import Weights, load_config


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
    filter : int
        Which published filter spectra pass before their mean is taken, see `Mode.keeps`.
    """

    layout: Layout
    published: Layout
    mode: Mode
    rules: Rules
    threshold: float
    size: int
    samples: int
    seed: int
    filter: int

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
            filter=settings.filter,
        )

    @property
    def public_rules(self) -> Rules:
        """The published rules."""
        return Rules(most=self.threshold)

    def differs(self, origin: Measured | None) -> bool:
        """Whether the published procedure would give other numbers."""
        nodes = origin is not None and self.mode.same_nodes
        return nodes or self.layout != self.published or self.rules != self.public_rules

    def network(self, weights: Weights, number: int, published: bool = False) -> Network:
        """Read a sampled network."""
        used = self.published if published else self.layout
        return network(weights, used, neurons(used, self.size, self.seed + number))


def spread(weights: Weights, how: How) -> float:
    """Return the mean over networks of the root mean square of their weights."""
    networks = (how.network(weights, number) for number in range(how.samples))
    return float(np.mean([deviation(network) for network in networks]))


def measure(weights: Weights, how: How, origin: Measured | None, name: str = "") -> Measured:
    """Measure all networks of a checkpoint.

    Parameters
    ----------
    weights : Weights
        The checkpoint's.
    how : How
        How networks are sampled and judged.
    origin : Measured or None
        What the first checkpoint gave, if this is another.
    name : str
        The checkpoint's, for the progress bar.

    Raises
    ------
    UserError
        If weights are missing or broken, or nothing can be measured of a network.
    """
    numbers, moments = defaultdict[str, list[Any]](list), defaultdict[str, list[Any]](list)
    analyses = list[tuple[Multifractal, Multifractal]]()
    for number in tqdm(range(how.samples), desc=name, disable=None, leave=False, delay=2):
        sampled = how.network(weights, number)
        mixed = shuffled(sampled, how.seed + number)
        own = how.mode.analyse(sampled, how.rules, origin.nodes[number] if origin else None)
        nodes = origin.shuffled_nodes[number] if origin else None
        without = how.mode.analyse(mixed, how.rules, nodes)
        public = _public(weights, how, number) if how.differs(origin) else own
        for key, value in _numbers(how, own, without, public).items():
            numbers[key].append(value)
        numbers["norm"].append(norm(sampled))
        numbers["mean_degree"].append(mean_degree(sampled))
        for key, by_q in (
            ("tau", own.scaling.tau), ("r2", own.scaling.r2),
            ("alpha", own.spectrum.alpha), ("f", own.spectrum.f),
        ):  # fmt: skip
            moments[key].append(by_q)
        analyses.append((own, without))
    first = analyses[0][0].scaling
    return Measured(
        numbers={name: np.array(values) for name, values in numbers.items()},
        moments={name: np.array(values) for name, values in moments.items()},
        log_radius=first.log_radius,
        log_partition=first.log_partition,
        nodes=[own.boxes.nodes for own, _ in analyses],
        shuffled_nodes=[without.boxes.nodes for _, without in analyses],
    )


def _public(weights: Weights, how: How, number: int) -> Multifractal | None:
    """Analyse what the published code would have sampled, as it does.

    None if nothing counts by its rules, as weights may be small for its threshold and not for that
    in units of 1/σ.
    """
    sampled = how.network(weights, number, published=True)
    try:
        return MODES["public"].analyse(sampled, how.public_rules)
    except UserError:
        return None


def _numbers(
    how: How, own: Multifractal, without: Multifractal, public: Multifractal | None
) -> dict[str, Any]:
    return {
        "alpha0": how.mode.alpha0(own.spectrum),
        "alpha0_public": public.spectrum.alpha0_public if public else nan,
        "alpha0_shuffled": how.mode.alpha0(without.spectrum),
        "width": own.spectrum.width,
        "width_public": public.spectrum.width if public else nan,
        "width_shuffled": without.spectrum.width,
        "nodes": len(own.boxes.nodes.numbers),
        "nodes_public": len(public.boxes.nodes.numbers) if public else 0,
        "radii": len(own.boxes.radii),
        "r2_min": float(own.scaling.r2.min()),
        "concave": own.spectrum.concave,
    }
