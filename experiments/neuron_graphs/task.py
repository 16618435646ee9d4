"""The study from start to finish: scan, build, validate, compare, draw."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments.controls import random_weights
from experiments.neuron_graphs.choosing import spread
from experiments.neuron_graphs.dealing import FAILED, fill
from experiments.neuron_graphs.looking import finish
from experiments.neuron_graphs.records import Record
from experiments.neuron_graphs.settings import NeuronGraphsConfig, check
from experiments.neuron_graphs.store import Store
from experiments.neuron_graphs.summary import (
    GIVEN,
    RANDOM,
    Row,
    log_summary,
    score_row,
    summarise,
)
from experiments.neuron_graphs.work import SCANS, Work
from probe.api import Results, Side, UserError, plural
from probe.api.drawing import about

logger = logging.getLogger(__name__)
STORES = {GIVEN: "graphs.sqlite", RANDOM: "control.sqlite"}
TABLES = {GIVEN: "scores", RANDOM: "control"}
ABOUT = {GIVEN: "the given model", RANDOM: "untrained weights"}


def run(config: NeuronGraphsConfig, folder: Path) -> dict[str, Any]:
    """Run the study, write its files, and return the facts for the manifest.

    Raises
    ------
    UserError
        If a setting cannot work, or a model or texts cannot be read.
    """
    settings, units = config.study, check(config)
    # Padding on the left would move the positions of some models.
    config = replace(config, model=replace(config.model, padding_side=Side.right))
    work = Work.of(config, folder)
    control = spread(units, settings.control, settings.seed)
    parts = {GIVEN: (config, units), RANDOM: (random_weights(config, settings.seed), control)}
    results, rows = Results(folder, config), list[Row]()
    for name, (own, chosen) in parts.items():
        logger.info("%s: %s", ABOUT[name], plural(len(chosen), "neuron"))
        with work.store(folder / STORES[name], own) as store:
            fill(work, store, name, own, chosen)
            # Without texts and graphs, so that memory does not grow with them.
            records = [replace(one, graph=None, texts=()) for one in store.records()]
        _tell(name, records)
        results.table(TABLES[name], list(map(score_row, records)))
        rows += summarise(name, records, settings.seed, settings.repetitions)
    results.table("summary", rows)
    log_summary(rows)
    with Store.read(folder / STORES[GIVEN]) as given, Store.read(folder / STORES[RANDOM]) as other:
        finish(folder, given, other, results, rows, about(config))
    shutil.rmtree(folder / SCANS, ignore_errors=True)
    last = {row["model"]: row for row in rows}
    return {
        "units": len(units),
        "control": len(control),
        "headline": {
            "F1": last[GIVEN]["f1"], "F1 of token lookup": last[GIVEN]["token_f1"],
            "F1 of n-gram lookup": last[GIVEN]["ngram_f1"],
            "F1 of untrained weights": last[RANDOM]["f1"],
        },
    }  # fmt: skip


def _tell(name: str, records: Sequence[Record]) -> None:
    """Log what graphs took; refuse if no unit has one because all failed."""
    failed = [record.reason for record in records if record.reason.startswith(FAILED)]
    if len(failed) == len(records):
        raise UserError(f"no graph of {ABOUT[name]} could be made; the first {failed[0]}")
    costs = [record.cost for record in records if record.cost.rows]
    if costs:
        calls, rows, tokens = (
            float(np.mean([getattr(cost, part) for cost in costs]))
            for part in ("calls", "rows", "tokens")
        )
        logger.info(
            "%s: %.2f passes, %.0f rows and %.0f tokens a neuron; %d of %d substitutes still fire",
            ABOUT[name], calls, rows, tokens, sum(cost.accepted for cost in costs),
            sum(cost.proposed for cost in costs),
        )  # fmt: skip
    reasons = [record.reason.partition(":")[0] for record in records if record.reason]
    for reason in dict.fromkeys(reasons):
        logger.info("%s: %s of %s", reason, reasons.count(reason), plural(len(records), "neuron"))
