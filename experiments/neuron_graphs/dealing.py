"""The graphs of many units: dealt out to all ranks, each of which writes what it has made."""

import json
import logging
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any

from torch import Tensor

from experiments.controls import random_weights
from experiments.neuron_graphs.answering import Answerer
from experiments.neuron_graphs.building import Builder
from experiments.neuron_graphs.lockstep import Lockstep
from experiments.neuron_graphs.progress import Progress
from experiments.neuron_graphs.records import Record, Scores
from experiments.neuron_graphs.scanning import found
from experiments.neuron_graphs.settings import NeuronGraphs, NeuronGraphsConfig
from experiments.neuron_graphs.store import Store
from experiments.neuron_graphs.unit import Unit
from experiments.neuron_graphs.work import Work
from probe.api import Config, plural
from probe.api.parts import Ranks, Request, fetch_language_model, fetch_model, run_ranks

logger = logging.getLogger(__name__)
# Units whose graphs are made at a time: it bounds memory and what an interruption loses, and in
# every round they have rows for some full batches. Records written at a time.
TOGETHER, WRITTEN = 64, 16
FAILED = "failed: "


def fill(
    work: Work, store: Store, name: str, config: NeuronGraphsConfig, units: Sequence[Unit]
) -> None:
    """Add every unit that is not in the store, a failed one with its error.

    Parameters
    ----------
    work : Work
        Texts and tokens.
    store : Store
        Where records go.
    name : str
        Name of the scan.
    config : NeuronGraphsConfig
        The study, or the same with random weights.
    units : sequence of Unit
        The units, in order.

    Raises
    ------
    UserError
        If the model or the texts cannot be read.
    """
    _take(store)
    left = [unit for unit in units if not store.has(unit)]
    if len(left) < len(units):
        logger.info(
            "%d of %s are in %s", len(units) - len(left), plural(len(units), "neuron"), store.file
        )
    if not left:
        return
    work.scan(config, name, list(units))
    order = {
        "study": asdict(config.study), "random": config.init != work.models.config.init,
        "folder": str(work.folder), "scan": name, "store": store.file.name,
        "units": [_row(unit) for unit in units], "left": [_row(unit) for unit in left],
    }  # fmt: skip
    request = replace(work.request, config=work.models.config)
    payload = json.dumps(order).encode() + b"\0" + request.to_bytes()
    run_ranks(f"{__name__}:build", payload, request.processes, config.runtime.device)
    _take(store)


def fetch(payload: bytes) -> None:
    """Download the models that `build` will load; called once per machine."""
    order, _, packed = payload.partition(b"\0")
    study, config = json.loads(order)["study"], Request.config_of(packed)
    if study["substitutes"] == "model":
        fetch_language_model(config.model)
    else:
        fetch_model(config.model, config.init)
    if study["substitutes"] == "masked":
        from experiments.neuron_graphs.masked_model import load

        load(study["masked_model"])


def build(payload: bytes, ranks: Ranks) -> dict[str, Tensor]:
    """Make the graphs of this rank's share of the units, and write them to its store.

    One rank writes to the study's own store; of several each has one of its own, as a file that
    many processes write to is none that every disk can hold.
    """
    packed, _, texts = payload.partition(b"\0")
    order, request = json.loads(packed), Request.from_bytes(texts)
    given = _config(request.config, order["study"])
    config = random_weights(given, given.study.seed) if order["random"] else given
    work = Work.over(request, given, Path(order["folder"]))
    units = [Unit(*row) for row in order["units"]]
    left = [Unit(*row) for row in order["left"]][ranks.index :: ranks.size]
    file = work.folder / order["store"]
    with Store.read(file) as whole:
        header = whole.header
    if ranks.size > 1:
        # The end of a run is the end of its ranks, which write what they have, as one alone does.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        file = file.with_name(f"{file.stem}.rank{ranks.index}.sqlite")
    builder = work.builder(found(request, units, work.sampled, work.scan_file(order["scan"])))
    with Store.create(file, header, work.tokens.vocabulary) as store:
        _write(left, builder, work.models.answerer(config), store)
    return {}


def _write(units: list[Unit], builder: Builder, answerer: Answerer, store: Store) -> None:
    held: list[Record] = []
    progress = Progress(Lockstep(builder.build, answerer, TOGETHER).run(units), len(units))
    answerer.tally.watch = progress.passed
    try:
        for unit, result in progress:
            record = _failed(unit, result) if isinstance(result, Exception) else result
            cost = answerer.cost(unit, record.cost.proposed, record.cost.accepted)
            held.append(replace(record, cost=cost))
            if len(held) == WRITTEN:
                store.add(held)
                held.clear()
    finally:
        store.add(held)


def _failed(unit: Unit, error: Exception) -> Record:
    logger.warning("%s has no graph: %s", unit, error)
    return Record(unit, None, Scores(), reason=f"{FAILED}{error}")


def _config(plain: Config, study: dict[str, Any]) -> NeuronGraphsConfig:
    given = {field.name: getattr(plain, field.name) for field in fields(Config)}
    return NeuronGraphsConfig(**given, study=NeuronGraphs(**study))


def _row(unit: Unit) -> list[int]:
    return [unit.layer, unit.neuron, unit.sign]


def _take(store: Store) -> None:
    """Add what ranks have written, of this run or of one that was interrupted."""
    for file in sorted(store.file.parent.glob(f"{store.file.stem}.rank*.sqlite")):
        with Store.create(file, store.header, store.vocabulary) as part:
            new = (record for record in part.records() if not store.has(record.unit))
            while some := list(islice(new, WRITTEN)):
                store.add(some)
        file.unlink()
