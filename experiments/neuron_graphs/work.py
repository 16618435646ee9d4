"""The work on a model: its texts, its scan, and a record of every unit in its store."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.neuron_graphs.building import Builder
from experiments.neuron_graphs.fit import Rules
from experiments.neuron_graphs.lockstep import Lockstep
from experiments.neuron_graphs.model import Models
from experiments.neuron_graphs.presets import FIRE, PRESETS
from experiments.neuron_graphs.progress import Progress
from experiments.neuron_graphs.records import Header, Record, Scores
from experiments.neuron_graphs.scanning import scan
from experiments.neuron_graphs.settings import NeuronGraphsConfig
from experiments.neuron_graphs.store import Store
from experiments.neuron_graphs.tokens import Tokens
from experiments.neuron_graphs.unit import Unit
from probe.api import UserError, fingerprints, model_name, plural
from probe.api.parts import (
    Request,
    form_batches,
    planned,
)

logger = logging.getLogger(__name__)
# Units whose graphs are made at a time, which bounds memory, and records written at a time.
TOGETHER, WRITTEN = 256, 64
SCANS, FAILED = "scan", "failed: "


@dataclass(frozen=True, eq=False)
class Work:
    """What the work on the given model and on untrained weights shares.

    Attributes
    ----------
    folder : Path
        The study's folder.
    models : Models
        Loads what answers.
    tokens : Tokens
        The tokens of the model.
    rules : Rules
        How graphs are made.
    request : Request
        The texts.
    documents : ndarray of int64, shape (n_examples,)
        Number of every example's document.
    sampled : list of int
        Examples that are random texts.
    """

    folder: Path
    models: Models
    tokens: Tokens
    rules: Rules
    request: Request
    documents: NDArray[np.int64]
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
        tokens = Tokens.of(config.model, settings.mask, settings.rule)
        rules = Rules(
            preset, tokens.mask, tokens.vocabulary.classes, settings.context,
            0 if settings.substitutes == "none" else settings.proposals, settings.wildcard_pivot,
            tokens.ends,
        )  # fmt: skip
        request, examples = planned(config)
        numbers: dict[str, int] = {}
        documents = [numbers.setdefault(name, len(numbers)) for name in request.names]
        if len(numbers) < 2:
            raise UserError(
                "graphs are made from some documents and tested on others, and there is 1 "
                "document; give more with data.limit, or cut them less"
            )
        batches = form_batches(examples.chosen, config.runtime.token_budget)
        order = np.random.default_rng(settings.seed).permutation(len(documents))
        return cls(
            folder, Models(config, tokens), tokens, rules, replace(request, batches=batches),
            np.array(documents), sorted(order[: settings.random].tolist()),
        )  # fmt: skip

    def store(self, file: Path, config: NeuronGraphsConfig) -> Store:
        """Open the store of a model, a new one or that of an interrupted attempt.

        Raises
        ------
        UserError
            If there is one that is damaged, or of another model, other texts or another version.
        """
        of, settings = fingerprints(config), config.study
        header = Header(
            model_name(config.model), of["model"], of["data"], config.site.value,
            settings.preset, settings.rule, FIRE,
        )  # fmt: skip
        return Store.create(file, header, self.tokens.vocabulary)

    def fill(
        self, store: Store, name: str, config: NeuronGraphsConfig, units: Sequence[Unit]
    ) -> None:
        """Add every unit that is not in the store, a failed one with its error.

        Parameters
        ----------
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
        left = [unit for unit in units if not store.has(unit)]
        if len(left) < len(units):
            logger.info(
                "%d of %s are in %s", len(units) - len(left), plural(len(units), "neuron"),
                store.file,
            )  # fmt: skip
        if not left:
            return
        settings, tokens = config.study, self.tokens
        (self.folder / SCANS).mkdir(exist_ok=True)
        found = scan(
            replace(self.request, config=config), list(units), settings.texts, self.sampled,
            tokens.begins, self.folder / SCANS / f"{name}.safetensors",
        )  # fmt: skip
        builder = Builder(
            found, self.rules, tokens.begins, tokens.prefix, self.documents, settings.seed
        )
        answerer = self.models.answerer(config)
        results = Lockstep(builder.build, answerer, TOGETHER).run(left)
        held: list[Record] = []
        progress = Progress(results, len(left))
        answerer.tally.watch = progress.passed
        try:
            for unit, result in progress:
                record = self._failed(unit, result) if isinstance(result, Exception) else result
                cost = answerer.cost(unit, record.cost.proposed, record.cost.accepted)
                held.append(replace(record, cost=cost))
                if len(held) == WRITTEN:
                    store.add(held)
                    held.clear()
        finally:
            store.add(held)

    @staticmethod
    def _failed(unit: Unit, error: Exception) -> Record:
        logger.warning("%s has no graph: %s", unit, error)
        return Record(unit, None, Scores(), reason=f"{FAILED}{error}")
