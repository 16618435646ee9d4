"""The table at the end of a run: every measure with its chance level."""

import logging
from collections.abc import Callable, Sequence

from probe.measures import Measures
from probe.runs.caveats import log_caveats
from probe.system.tables import aligned
from probe.topology import Topology

logger = logging.getLogger(__name__)
# Pairs of layers in the table; a model of 24 layers has 276.
_MOST_PAIRS = 40
Pair = tuple[Topology, Measures]


def log_table(measured: Sequence[Pair]) -> None:
    """Log the table, and what limits the results."""
    listed = [pair for pair in measured if pair[0].kind != "cross"] or measured[:_MOST_PAIRS]
    columns = {name: [cell(pair) for pair in listed] for name, cell in _COLUMNS.items()}
    filled = {name: cells for name, cells in columns.items() if any(cells)}
    for line in aligned(list(filled), zip(*filled.values(), strict=True)):
        logger.info("%s", line)
    if len(measured) > len(listed):
        logger.info("and %d more pairs of layers in measures.json", len(measured) - len(listed))
    if measured[0][0].correlation == "spearman":
        logger.info("r is Spearman's: of the ranks of activations over the tokens of each text")
    log_caveats(measured)


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _modularity(measures: Measures) -> str:
    graph = measures.graphs[0] if measures.graphs else None
    if graph is None or graph.modularity is None:
        return ""
    null = "" if graph.modularity_null is None else f" ({graph.modularity_null:.2f})"
    density = f" at {graph.density:g}" if len(measures.graphs) > 1 else ""
    return f"{graph.modularity:.2f}{null}{density}"


# Empty columns are left out.
_COLUMNS: dict[str, Callable[[Pair], str]] = {
    "topology": lambda pair: pair[0].name,
    "neurons": lambda pair: str(pair[1].neurons),
    "mean |r|": lambda pair: f"{pair[1].mean_abs_r:.4f}",
    "chance": lambda pair: _number(pair[1].chance_abs_r, 4),
    "shifted": lambda pair: _number(pair[1].null_mean_abs_r, 4),
    "split-half r": lambda pair: _number(pair[1].split_half, 3),
    "one token": lambda pair: _number(pair[1].strongest_share, 3),
    "Gini": lambda pair: _number(pair[1].strength_gini, 3),
    "eff. dim.": lambda pair: _number(pair[1].participation_ratio, 1),
    "modularity": lambda pair: _modularity(pair[1]),
    "hubs": lambda pair: " ".join(pair[0].neuron_name(neuron) for neuron, _ in pair[1].hubs[:5]),
}
