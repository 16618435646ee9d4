"""What a run leaves: matrices, measures, figures, manifest, a W&B run, a table on the console."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from probe.measures import Measures, measure
from probe.plots import figures
from probe.run_folder import RunFolder
from probe.topology import Topology, replacing
from probe.tracking import Record, track

logger = logging.getLogger(__name__)
Measured = list[tuple[Topology, Measures]]


def write(
    folder: RunFolder, topologies: Sequence[Topology], facts: dict[str, Any], group: str | None
) -> None:
    """Write everything into the run's folder, close it, and tell W&B and the console.

    Parameters
    ----------
    folder : RunFolder
        Claimed by this process.
    topologies : sequence of Topology
        Results.
    facts : dict
        What is known of the extraction: examples, tokens, seconds, layers, first_token_norm, …
    group : str or None
        The sweep the run belongs to.
    """
    measured = [(topology, measure(topology)) for topology in topologies]
    matrices = [file for topology in topologies for file in topology.save(folder.work)]
    _write_measures(folder.work, measured, facts)
    images = _draw(folder.work / "figures", measured)
    folder.close({**facts, "topologies": [topology.record() for topology in topologies]})
    matrices = [folder.path / file.relative_to(folder.work) for file in matrices]
    images = {kind: folder.path / file.relative_to(folder.work) for kind, file in images.items()}
    name = str(folder.path.relative_to(folder.config.output))
    numbers = {key: facts[key] for key in ("examples", "tokens", "ranks", "seconds")}
    record = Record(name, group, measured, images, matrices, numbers)
    where = track(folder.config, folder.path, record)
    _tell(measured)
    logger.info(
        "%d examples, %d tokens, %.1f s on %d rank%s",
        facts["examples"], facts["tokens"], facts["seconds"],
        facts["ranks"], "s" if facts["ranks"] > 1 else "",
    )  # fmt: skip
    logger.info("topologies, measures and figures: %s", folder.path)
    if where is not None:
        logger.info("W&B run: %s", where)


def show(topologies: Sequence[Topology]) -> None:
    """Show the summary table of topologies made before."""
    _tell([(topology, measure(topology)) for topology in topologies])


def _draw(folder: Path, measured: Measured) -> dict[str, Path]:
    images = {}
    for topology, measures in tqdm(measured, desc="figures", disable=None, leave=False, delay=2):
        for kind, figure in figures(topology, measures).items():
            path = images[f"{topology.name}/{kind}"] = folder / f"{topology.name}_{kind}.png"
            with replacing(path) as unfinished:
                figure.savefig(unfinished, format="png")
    return images


def _write_measures(run: Path, measured: Measured, facts: dict[str, Any]) -> None:
    norms = dict(zip(facts["layers"], facts.get("first_token_norm", []), strict=False))
    with replacing(run / "measures.json") as unfinished:
        summary = {topology.name: asdict(measures) for topology, measures in measured}
        unfinished.write_text(json.dumps(summary, indent=1) + "\n")
    with (
        replacing(run / "measures_by_layer.csv") as unfinished,
        unfinished.open("w", newline="") as stream,
    ):
        columns = ["topology", "layer", "part", *measured[0][1].numbers(), "first_token_norm"]
        table = csv.DictWriter(stream, columns, lineterminator="\n")
        table.writeheader()
        for topology, measures in measured:
            place = {"topology": topology.name, "layer": topology.layer, "part": topology.part}
            norm = {"first_token_norm": norms.get(topology.layer)}
            table.writerow(place | measures.numbers() | norm)


def _tell(measured: Measured) -> None:
    """Show the summary table."""
    width = max(len("topology"), *(len(topology.name) for topology, _ in measured))
    logger.info(
        "%s  neurons  mean |r|  |r|>0.3  strength  Gini   n²/‖R‖²  hubs", "topology".ljust(width)
    )
    for topology, m in measured:
        logger.info(
            "%s  %7d  %8.4f  %6.1f%%  %8.1f  %.3f  %7.1f  %s",
            topology.name.ljust(width), m.neurons, m.mean_abs_r, 100 * m.share_above["0.3"],
            m.strength_mean, m.strength_gini, m.participation_ratio,
            " ".join(str(neuron) for neuron, _ in m.hubs[:5]),
        )  # fmt: skip
        if topology.undefined:
            logger.warning(
                "%s: %d neurons never varied (%s …); their rows are 0",
                topology.name, len(topology.undefined), ", ".join(map(str, topology.undefined[:8])),
            )  # fmt: skip
