"""The study from start to finish: scan, build, validate, compare, draw."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from experiments.controls import random_weights
from experiments.neuron_graphs.building import Builder
from experiments.neuron_graphs.choosing import spread
from experiments.neuron_graphs.fit import Rules
from experiments.neuron_graphs.lockstep import Lockstep
from experiments.neuron_graphs.model import Models
from experiments.neuron_graphs.presets import FIRE, PRESETS
from experiments.neuron_graphs.records import Header, Record, Scores
from experiments.neuron_graphs.scanning import scan
from experiments.neuron_graphs.settings import NeuronGraphsConfig, check
from experiments.neuron_graphs.store import Store
from experiments.neuron_graphs.summary import GIVEN, RANDOM, log_summary, score_row, summarise
from experiments.neuron_graphs.tokens import Tokens
from experiments.neuron_graphs.unit import Unit
from probe.api import Results, UserError, fingerprints, model_name, plural
from probe.api.parts import (
    Request,
    form_batches,
    load_documents,
    perplexities,
    plan_extraction,
)

logger = logging.getLogger(__name__)
# Units whose graphs are made at a time, and records that are written at a time.
TOGETHER, WRITTEN = 256, 64
STORES = {GIVEN: "graphs.sqlite", RANDOM: "control.sqlite"}


def run(config: NeuronGraphsConfig, folder: Path) -> dict[str, Any]:
    """Run the study, write its files, and return the facts for the manifest.

    Raises
    ------
    UserError
        If a setting cannot work, or a model or texts cannot be read.
    """
    settings, units = config.study, check(config)
    work = Work.of(config, folder)
    control = spread(units, settings.control, settings.seed)
    parts = {GIVEN: (config, units), RANDOM: (random_weights(config, settings.seed), control)}
    results, rows = Results(folder), list[Row]()
    for name, (own, chosen) in parts.items():
        with work.store(name, own) as store:
            work.fill(store, name, own, chosen)
            # Without texts and graphs, so that memory does not grow with them.
            records = [replace(one, graph=None, texts=()) for one in store.records()]
        _tell(name, records)
        results.table(TABLES[name], list(map(score_row, records)))
        rows += summarise(name, records, settings.seed, settings.repetitions)
    results.table("summary", rows)
    log_summary(rows)
    shutil.rmtree(folder / SCANS)
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


@dataclass(frozen=True, eq=False)
class Work:
    """What both models share.

    Attributes
    ----------
    folder : Path
        The study's folder.
    models : Models
        What answers.
    tokens : Tokens
        The tokens of the model.
    rules : Rules
        How graphs are made.
    request : Request
        The texts.
    sampled : list of int
        Examples that are random texts.
    """

    folder: Path
    models: Models
    tokens: Tokens
    rules: Rules
    request: Request
    sampled: list[int]

    @classmethod
    def of(cls, config: NeuronGraphsConfig, folder: Path) -> "Work":
        """Read the texts and the tokens.

        Raises
        ------
        UserError
            If there are too few texts, or no token masks others.
        """
        settings = config.study
        preset = PRESETS[settings.preset]
        tokens = Tokens.of(config.model, settings.mask, settings.normalise or preset.normalise)
        rules = Rules(
            preset, tokens.mask, tokens.vocabulary.classes, settings.context,
            0 if settings.substitutes == "none" else settings.proposals, settings.wildcard_pivot,
        )  # fmt: skip
        request, examples = plan_extraction(config, load_documents(config), score=perplexities)
        if len(set(request.names)) < 2:
            raise UserError(
                "graphs are made from some documents and tested on others, and there is 1 "
                "document; give more with data.limit, or cut them less"
            )
        batches = form_batches(examples.chosen, config.runtime.token_budget)
        n_texts = len(examples.chosen)
        drawn = np.random.default_rng(settings.seed).permutation(n_texts)[: settings.random]
        return cls(
            folder, Models(config, tokens), tokens, rules, replace(request, batches=batches),
            sorted(drawn.tolist()),
        )  # fmt: skip

    def store(self, name: str, config: NeuronGraphsConfig) -> Store:
        """Open the store of a model, a new one or that of an interrupted attempt."""
        of, settings = fingerprints(config), config.study
        header = Header(
            model_name(config.model), of["model"], of["data"], config.site.value,
            settings.preset, settings.normalise or self.rules.preset.normalise, FIRE,
        )  # fmt: skip
        return Store.create(self.folder / STORES[name], header, self.tokens.vocabulary)

    def fill(
        self, store: Store, name: str, config: NeuronGraphsConfig, units: Sequence[Unit]
    ) -> None:
        """Add every unit that is not in the store, a failed one with its error."""
        left = [unit for unit in units if not store.has(unit)]
        if not left:
            return
        settings, about = config.study, f"{ABOUT[name]}, {plural(len(units), 'unit')}"
        logger.info("%s%s", about, f", of which {len(left)} are left" if len(left) < len(units) else "")
        request = replace(self.request, config=config)
        file = self.folder / SCANS / f"{name}.safetensors"
        found = scan(
            request, list(units), settings.texts, self.sampled, self.tokens.begins, file
        )
        numbers: dict[str, int] = {}
        documents = np.array([numbers.setdefault(one, len(numbers)) for one in request.names])
        builder = Builder(
            found, self.rules, self.tokens.begins, self.tokens.prefix, documents, settings.seed
        )
        answerer = self.models.answerer(config)
        held: list[Record] = []
        results = Lockstep(builder.build, answerer, TOGETHER).run(left)
        for unit, result in tqdm(results, name, len(left), disable=None, leave=False, delay=2):
            if isinstance(result, Exception):
                logger.warning("%s has no graph: %s", unit, result)
                result = Record(unit, None, Scores(), reason=f"failed: {result}")
            cost = answerer.cost(unit, result.cost.proposed, result.cost.accepted)
            held.append(replace(result, cost=cost))
            if len(held) == WRITTEN:
                store.add(held)
                held.clear()
        store.add(held)


def _tell(name: str, records: Sequence[Record]) -> None:
    """Log what graphs took; refuse if no unit has one because all failed."""
    failed = [record.reason for record in records if record.reason.startswith("failed: ")]
    if len(failed) == len(records):
        raise UserError(f"no unit of {ABOUT[name]} has a graph: {failed[0].removeprefix('failed: ')}")
    costs = [record.cost for record in records if record.graph is not None]
