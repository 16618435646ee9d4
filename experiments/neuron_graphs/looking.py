"""What the study leaves to look at: pages, figures, counts of similar units."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.neuron_graphs.figures import costs, f1_by_layer
from experiments.neuron_graphs.pages import write_pages
from experiments.neuron_graphs.similarity import pair_rows
from experiments.neuron_graphs.store import Store
from probe.api import Results

logger = logging.getLogger(__name__)


def finish(
    folder: Path,
    store: Store,
    control: Store,
    results: Results,
    summary: Sequence[Mapping[str, Any]],
    title: str,
) -> None:
    """Write `pairs.csv`, `page/` and the figures.

    Parameters
    ----------
    folder : Path
        Folder of the study.
    store, control : Store
        Units of the given model, and of its random initialisation.
    results : Results
        Writes tables and figures.
    summary : sequence of mapping
        Rows of both models by layer.
    title : str
        Model and data, for the figures.
    """
    results.table(
        "pairs",
        [
            {"model": model} | row
            for model, own in (("given", store), ("random", control))
            for row in pair_rows(own)
        ],
    )
    results.figures({
        "f1_by_layer": f1_by_layer(title, summary),
        "cost": costs(title, store),
    })  # fmt: skip
    # The folder gets its name when the study is finished.
    index = write_pages(store, folder).relative_to(folder)
    logger.info("pages of neurons, and a search among them: %s", index)
