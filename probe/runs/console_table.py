"""The table at the end of a run: every measure beside what chance alone would give."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from probe.measures import Measures
from probe.system.tables import aligned
from probe.topology import Topology

logger = logging.getLogger(__name__)
# Below this correlation between the halves more than half of a matrix's variance is noise.
_UNRELIABLE = 0.5
# Pairs of layers in the table; a model of 24 layers has 276.
_MOST_PAIRS = 40
Pair = tuple[Topology, Measures]


def tell(measured: Sequence[Pair]) -> None:
    """Log the table, and a warning for every topology that is mostly noise."""
    told = [pair for pair in measured if pair[0].kind != "cross"] or measured[:_MOST_PAIRS]
    columns = {name: [cell(pair) for pair in told] for name, cell in _COLUMNS.items()}
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    for line in aligned(list(shown), zip(*shown.values(), strict=True)):
        logger.info("%s", line)
    if len(measured) > len(told):
        logger.info("and %d pairs of layers more in measures.json", len(measured) - len(told))
    for topology, measures in told:
        _warn(topology, measures)


def _warn(topology: Topology, measures: Measures) -> None:
    known = topology.reliability
    if topology.undefined:
        logger.warning(
            "%s: %d neurons never varied (%s …); their rows are 0",
            topology.name, len(topology.undefined), ", ".join(map(str, topology.undefined[:8])),
        )  # fmt: skip
    if known is not None and known.split_half is not None and known.split_half < _UNRELIABLE:
        logger.warning(
            "%s: the topologies of two halves of the documents correlate by %.2f only: much of "
            "this matrix is noise; take more or longer examples", topology.name, known.split_half,
        )  # fmt: skip
    if known is not None and known.layer_agreement:
        agreement = known.layer_agreement
        least, most = (
            min(agreement, key=agreement.__getitem__),
            max(agreement, key=agreement.__getitem__),
        )
        logger.info(
            "%s: a single layer's correlations agree with this mean by r = %.2f (layer %s) to "
            "%.2f (layer %s), over a sample of neurons",
            topology.name, agreement[least], least, agreement[most], most,
        )  # fmt: skip
    for what, why in measures.skipped.items():
        logger.info("%s: %s left out: %s", topology.name, what, why)


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _modularity(measures: Measures) -> str:
    graph = measures.graphs[0] if measures.graphs else None
    if graph is None or graph.modularity is None:
        return ""
    null = "" if graph.modularity_null is None else f" ({graph.modularity_null:.2f})"
    density = f" at {graph.density:g}" if len(measures.graphs) > 1 else ""
    return f"{graph.modularity:.2f}{null}{density}"


def _split_half(topology: Topology) -> str:
    known = topology.reliability
    return "" if known is None else _number(known.split_half, 3)


def _null(topology: Topology) -> str:
    known = topology.reliability
    return "" if known is None or known.null is None else f"{known.null.mean_abs_r:.4f}"


# A column without a single entry is not shown.
_COLUMNS: dict[str, Callable[[Pair], str]] = {
    "topology": lambda pair: pair[0].name,
    "neurons": lambda pair: str(pair[1].neurons),
    "mean |r|": lambda pair: f"{pair[1].mean_abs_r:.4f}",
    "chance": lambda pair: _number(pair[1].chance_abs_r, 4),
    "shifted": lambda pair: _null(pair[0]),
    "halves": lambda pair: _split_half(pair[0]),
    "Gini": lambda pair: _number(pair[1].strength_gini, 3),
    "n²/‖R‖²": lambda pair: _number(pair[1].participation_ratio, 1),
    "modularity": lambda pair: _modularity(pair[1]),
    "hubs": lambda pair: " ".join(str(neuron) for neuron, _ in pair[1].hubs[:5]),
}
