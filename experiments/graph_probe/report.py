"""Tables, figures and the headline."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from experiments.graph_probe.figures import by_density, by_input, by_layer
from experiments.graph_probe.scores import Score, gains, row
from experiments.graph_probe.settings import GraphProbeConfig
from experiments.intervals import warn_few, with_interval
from probe.api import Results, show
from probe.api.drawing import about

logger = logging.getLogger(__name__)
# Caveat of protocol=paper.
_OPTIMISTIC = "rows are split, and penalties and epochs are selected on the test set: optimistic"


def write(
    config: GraphProbeConfig, folder: Path, scores: Sequence[Score], texts: int, documents: int
) -> dict[str, float]:
    """Write `scores.csv`, `gains.csv`, `results.json` and the figures; return the gains."""
    rows = [row(score) | {"documents": documents} for score in scores]
    added = [gain | {"documents": documents} for gain in gains(scores)]
    written = Results(folder, config)
    written.table("scores", rows)
    written.table("gains", added)
    content: dict[str, Any] = {
        "protocol": config.study.protocol, "texts": texts, "documents": documents,
        "headline": headline(added), "gains": added, "scores": rows,
    }  # fmt: skip
    written.save(content)
    written.figures(figures(about(config), rows, added, config.study.protocol))
    return {f"{one['target']} layer {one['layer']}": one["gain"] for one in content["headline"]}


def headline(added: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return for every target and layer the gain of its best topology.

    Probe and density are selected on the validation set, like epochs and penalties.
    """
    best: dict[tuple[str, int], dict[str, Any]] = {}
    for one in added:
        place = one["target"], one["layer"]
        if place not in best or one["where_chosen"] > best[place]["where_chosen"]:
            best[place] = one
    return list(best.values())


def log_headline(_: GraphProbeConfig, folder: Path) -> None:
    """Log the gain of each layer's topologies over the best control."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    if results["protocol"] == "paper":
        logger.warning("study.protocol=paper: %s", _OPTIMISTIC)
    documents = results["documents"]
    lines = [
        [
            one["target"], str(one["layer"]), one["probe"], f"{one['density']:g}", one["metric"],
            f"{one['topology']:.3f}", f"{one['best_control']} ({one['its_probe']})",
            f"{one['control']:.3f}",
            with_interval(one["gain"], one["gain_low"], one["gain_high"], documents, form="+.3f"),
        ]
        for one in results["headline"]
    ]  # fmt: skip
    header = [
        "target", "layer", "probe", "density", "metric", "topology", "best control", "its",
        "gain [95 %]",
    ]  # fmt: skip
    show(header, lines)
    warn_few(documents)


def figures(
    source: str, rows: Sequence[dict[str, Any]], added: Sequence[dict[str, Any]], protocol: str
) -> dict[str, Figure]:
    """Draw every target, under what was read; optimistic figures are marked as such."""
    drawings: dict[str, Figure] = {}
    for target in dict.fromkeys(one["target"] for one in rows):
        of_target = [one for one in rows if one["target"] == target]
        layers = sorted({one["layer"] for one in of_target} - {None})
        for layer in layers:
            shown = [one for one in of_target if one["layer"] in (None, layer)]
            drawings[f"{target}_layer_{layer}"] = by_input(source, shown, target, layer)
            if len({one["density"] for one in shown}) > 1:
                drawings[f"{target}_layer_{layer}_density"] = by_density(
                    source, shown, target, layer
                )
        if len(layers) > 1:
            of_gain = [one for one in headline(added) if one["target"] == target]
            drawings[f"{target}_by_layer"] = by_layer(source, of_target, of_gain, target)
    if protocol == "paper":
        for figure in drawings.values():
            figure.supxlabel(_OPTIMISTIC, fontsize=7)
    return drawings
