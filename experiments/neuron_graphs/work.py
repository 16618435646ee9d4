"""The work on a model: its texts and tokens, its scan, its store."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.neuron_graphs.building import Builder
from experiments.neuron_graphs.fit import Rules
from experiments.neuron_graphs.model import Models
from experiments.neuron_graphs.presets import FIRE, PRESETS
from experiments.neuron_graphs.records import Header
from experiments.neuron_graphs.scanning import Scan, scan
from experiments.neuron_graphs.settings import NeuronGraphsConfig
from experiments.neuron_graphs.store import Store
from experiments.neuron_graphs.tokens import Tokens
from experiments.neuron_graphs.unit import Unit
from probe.api import UserError, fingerprints, model_name
from probe.api.parts import (
    Request,
    form_batches,
    length_limit,
    load_config,
    planned,
)

SCANS = "scan"


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
        request, examples = planned(config)
        if len(set(request.names)) < 2:
            raise UserError(
                "graphs are made from some documents and tested on others, and there is 1 "
                "document; give more with data.limit, or cut them less"
            )
        limit = length_limit(load_config(config.model).get_text_config())
        batches = form_batches(examples.chosen, config.runtime.token_budget, limit=limit)
        made = cls.over(replace(request, batches=batches), config, folder)
        if config.study.mask is None:
            made.tokens.tell_mask()
        return made

    @classmethod
    def over(cls, request: Request, config: NeuronGraphsConfig, folder: Path) -> "Work":
        """Return the work on texts that have been read.

        Raises
        ------
        UserError
            If no token masks others.
        """
        settings = config.study
        tokens = Tokens.of(config.model, settings.mask, settings.rule)
        rules = Rules(
            PRESETS[settings.preset], tokens.mask, tokens.vocabulary.classes, settings.context,
            0 if settings.substitutes == "none" else settings.proposals, settings.wildcard_pivot,
            tokens.ends,
        )  # fmt: skip
        numbers: dict[str, int] = {}
        documents = [numbers.setdefault(name, len(numbers)) for name in request.names]
        order = np.random.default_rng(settings.seed).permutation(len(documents))
        return cls(
            folder, Models(config, tokens), tokens, rules, request, np.array(documents),
            sorted(order[: settings.random].tolist()),
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
            settings.preset, settings.rule, FIRE, self.tokens.mask_text,
        )  # fmt: skip
        return Store.create(file, header, self.tokens.vocabulary)

    def scan(self, config: NeuronGraphsConfig, name: str, units: list[Unit]) -> Scan:
        """Read all texts with a model, or take what has been read.

        Parameters
        ----------
        config : NeuronGraphsConfig
            The study, or the same with random weights.
        name : str
            Name of the scan.
        units : list of Unit
            The units, in order.

        Raises
        ------
        UserError
            If the model or the texts cannot be read.
        """
        file = self.scan_file(name)
        file.parent.mkdir(exist_ok=True)
        return scan(
            replace(self.request, config=config), units, config.study.texts, self.sampled,
            self.tokens.begins, file,
        )  # fmt: skip

    def scan_file(self, name: str) -> Path:
        """Return where a scan is."""
        return self.folder / SCANS / f"{name}.safetensors"

    def builder(self, found: Scan) -> Builder:
        """Return what makes records of a scan."""
        tokens, seed = self.tokens, self.models.config.study.seed
        return Builder(found, self.rules, tokens.begins, tokens.prefix, self.documents, seed)
