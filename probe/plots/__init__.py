"""Figures of topologies. Functions return them; they never show or save them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from matplotlib.figure import Figure

from probe.config import Figures, FiguresConfig
from probe.measures import Measures
from probe.plots.contact import contact_sheet
from probe.plots.contrast import comparison, side_by_side
from probe.plots.distributions import histogram, spectrum, strength_distribution
from probe.plots.layers import by_kind, cross_layers, hub_overlap, measures_by_layer
from probe.plots.matrix import heatmap
from probe.plots.style import USUAL, title
from probe.plots.sweeps import sweep
from probe.topology import Topology

# Up to so many matrices, each gets its own figures unless others are asked for.
MOST = 8
# Kinds of figures whose colours end where a configuration says.
HEAT_MAPS = ("heatmap", "heatmaps")
Measured = Sequence[tuple[Topology, Measures]]
_Draw = Callable[[], Figure]


def draws_each(draw: Figures, matrices: int) -> bool:
    """Return whether each of so many matrices gets its own figures."""
    return draw is Figures.all or (draw is Figures.auto and matrices <= MOST)


def wanted(draw: Figures, measured: Measured) -> dict[str | None, list[str]]:
    """Return the kinds of figures to draw: of every topology by name, and across all for None."""
    if draw is Figures.none:
        return {}
    each = draws_each(draw, len(measured))
    kinds: dict[str | None, list[str]] = {}
    if each:
        kinds = {topology.name: list(_of_one(topology, found)) for topology, found in measured}
    across = list(_across(measured))
    if each and len(measured) == 1:
        across.remove("heatmaps")  # the only one is there
    return kinds | ({None: across} if across else {})


def figures(
    topology: Topology,
    measures: Measures,
    kinds: Collection[str] | None = None,
    look: FiguresConfig = USUAL,
) -> dict[str, Figure]:
    """Draw the figures of a topology, by name: all, or those of some kinds."""
    return _drawn(_of_one(topology, measures, look), kinds)


def run_figures(
    measured: Measured, kinds: Collection[str] | None = None, look: FiguresConfig = USUAL
) -> dict[str, Figure]:
    """Draw the figures across all topologies of a run, by name: all heat maps, measures by layer.

    With `site=mlp` there is no hub overlap: a neuron's index means nothing in another layer.
    """
    return _drawn(_across(measured, look), kinds)


def _drawn(draws: Mapping[str, _Draw], kinds: Collection[str] | None) -> dict[str, Figure]:
    return {kind: draw() for kind, draw in draws.items() if kinds is None or kind in kinds}


def _of_one(
    topology: Topology, measures: Measures, look: FiguresConfig = USUAL
) -> Mapping[str, _Draw]:
    kinds: dict[str, _Draw] = {"heatmap": partial(heatmap, topology, measures, look)}
    if topology.kind != "cross":
        kinds["strength"] = partial(strength_distribution, topology, measures)
    kinds["histogram"] = partial(histogram, topology, measures)
    if measures.spectrum is not None:
        kinds["spectrum"] = partial(spectrum, topology, measures)
    return kinds


def _across(measured: Measured, look: FiguresConfig = USUAL) -> Mapping[str, _Draw]:
    kinds: dict[str, _Draw] = {"heatmaps": partial(contact_sheet, measured, look)}
    crossed = [pair for pair in measured if pair[0].kind == "cross"]
    if len({topology.layers for topology, _ in crossed}) > 1:
        kinds["cross_layers"] = partial(cross_layers, crossed)
    layers = [pair for pair in measured if pair[0].layer is not None]
    if len({topology.layer for topology, _ in layers}) > 1:
        kinds["measures_by_layer"] = partial(measures_by_layer, layers)
        if layers[0][0].site != "mlp":
            for kind, pairs in by_kind(layers).items():
                name = "_".join(["hub_overlap", *kind.split()])
                kinds[name] = partial(hub_overlap, pairs)
    return kinds
