"""The passes over the texts: model, texts, and the files made in each."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from experiments.published_topologies.files import (
    File,
    many_files,
    random_files,
    subject_files,
    text_files,
)
from experiments.published_topologies.settings import PARTS, PublishedTopologiesConfig
from probe.api import Config, UserError, View, compose

logger = logging.getLogger(__name__)
# The published folders, all options of the group `subject`.
SUBJECTS = (
    "disputes",
    "elementary_mathematics",
    "high_school_macroeconomics",
    "miscellaneous",
    "psychology",
)


@dataclass(frozen=True)
class Pass:
    """One pass of some texts through a model.

    Attributes
    ----------
    name : str
        Its name.
    config : Config
        Model and texts.
    files : list of File
        Files to make.
    schemes : sequence of str
        Averaging schemes; every file is made with each.
    """

    name: str
    config: Config
    files: list[File]
    schemes: Sequence[str]

    @property
    def paths(self) -> set[str]:
        """Paths of the files, `<scheme>/<path in the tree>`."""
        return {f"{scheme}/{file.path}" for scheme in self.schemes for file in self.files}

    def views(self, n_examples: int, n_layers: int) -> list[View]:
        """Return the matrices to extract, named by the files' paths.

        Raises
        ------
        UserError
            If the model lacks the layer, or there are too few texts.
        """
        for layer in {file.layer for file in self.files} - {None}:
            if layer not in range(n_layers):
                raise UserError(
                    f"study.layer={layer} is not in the model, whose layers are 0 to {n_layers - 1}"
                )
        limit = self.config.data.limit
        if limit is not None and n_examples < PARTS:
            raise UserError(
                f"OpenWebText has only {n_examples} suitable pieces, which cannot be split into "
                f"{PARTS} parts; give more with study.openwebtext_path"
            )
        if limit is not None and n_examples < limit:
            logger.warning(
                "OpenWebText has only %d suitable pieces; files named after %d average over %d",
                n_examples, limit, n_examples,
            )  # fmt: skip
        return [
            file.view(scheme, n_examples, n_layers)
            for scheme in self.schemes
            for file in self.files
        ]


def passes(config: PublishedTopologiesConfig) -> list[Pass]:
    """List the passes in order, cheapest texts first."""
    settings = config.study
    layer, texts, many, schemes = settings.layer, settings.texts, settings.many, settings.schemes
    few = _openwebtext(config, texts)
    return [
        *(
            Pass(f"mmlu-{subject}", _mmlu(config, subject), subject_files(subject, layer), schemes)
            for subject in SUBJECTS
        ),
        Pass("openwebtext", few, text_files(texts, layer), schemes),
        Pass("openwebtext-random-init", _random(few), random_files(texts), schemes),
        # A separate pass: without all layers, the model is run up to the single layer only.
        Pass("openwebtext-many", _openwebtext(config, many), many_files(many, layer), schemes),
    ]


def _mmlu(config: PublishedTopologiesConfig, subject: str) -> Config:
    composed = _composed(config, "data=mmlu", f"subject={subject}")
    return replace(composed, data=replace(composed.data, path=config.study.mmlu_path))


def _openwebtext(config: PublishedTopologiesConfig, limit: int) -> Config:
    composed, settings = _composed(config, "data=openwebtext"), config.study
    data = replace(
        composed.data,
        limit=limit,
        perplexity=settings.perplexity,
        path=settings.openwebtext_path,
    )
    return replace(composed, data=data)


def _random(config: Config) -> Config:
    return replace(config, init=replace(compose("init=random").init, seed=config.init.seed))


def _composed(config: PublishedTopologiesConfig, *words: str) -> Config:
    """Compose the texts, with the user's model, devices and output folder."""
    return replace(
        compose(*words),
        model=config.model,
        init=config.init,
        launch=config.launch,
        runtime=config.runtime,
        output=config.output,
    )
