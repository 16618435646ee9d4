"""The one door for experiments and notebooks.

>>> from probe import api
>>> run = api.run("model=tiny", "data.limit=8", "layers=each")      # doctest: +SKIP
>>> api.load_topology(run, "layer_3").matrix.shape                  # doctest: +SKIP
(128, 128)

Reading results imports no torch; functions that run a model import it when they are called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe.api.per_text import (
    ExampleActivations,
    documents,
    iterate,
    perplexities,
    tokenize,
    without_study,
    write_factors,
)
from probe.cli import overlay
from probe.config import (
    JOINT,
    Config,
    InitConfig,
    ModelConfig,
    Side,
    check,
    data_name,
    key,
    model_name,
)
from probe.data.document import Document
from probe.entry.study import study
from probe.errors import UserError
from probe.examples.partition import View
from probe.measures import Measures, edges, gini, measure, strengths
from probe.runs.facts import Facts
from probe.runs.load import load_topologies, load_topology
from probe.runs.manifest import read_manifest
from probe.system.files import atomic_write
from probe.system.tables import aligned, write_csv
from probe.topology import Topology
from probe.topology.sparsify import sparsify

if TYPE_CHECKING:
    from probe.factors import (
        Dense,
        Factor,
        FactorStore,
        Graph,
        Sparse,
        StoredExample,
        open_factors,
        quickest,
    )

__all__ = [
    "JOINT",
    "Config",
    "Dense",
    "Document",
    "ExampleActivations",
    "Factor",
    "FactorStore",
    "Graph",
    "InitConfig",
    "Measures",
    "ModelConfig",
    "Side",
    "Sparse",
    "StoredExample",
    "Topology",
    "UserError",
    "View",
    "aligned",
    "atomic_write",
    "check",
    "compose",
    "data_name",
    "documents",
    "edges",
    "extract",
    "extract_views",
    "fingerprints",
    "gini",
    "iterate",
    "iterate_activations",
    "key",
    "load_topologies",
    "load_topology",
    "measure",
    "model_name",
    "open_factors",
    "overlay",
    "perplexities",
    "quickest",
    "read_manifest",
    "run",
    "sparsify",
    "strengths",
    "study",
    "tokenize",
    "write_csv",
    "write_factors",
]
_FACTORS = {
    "Dense", "Factor", "FactorStore", "Graph", "Sparse", "StoredExample", "open_factors", "quickest"
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is asked for."""
    if name not in _FACTORS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from probe import factors

    return getattr(factors, name)


def compose(*overrides: str) -> Config:
    """Compose a configuration from command-line words, e.g. `"model=gpt2", "layers=[3,7]"`.

    Raises
    ------
    UserError
        If a word is mistyped or a value cannot work.
    """
    from probe.cli import compose_job

    return compose_job(overrides)


def run(*overrides: str) -> Path:
    """Do what `python -m probe` does, and return the run's folder; a finished run is found again.

    Raises
    ------
    UserError
        If the run cannot be done.
    """
    from probe.pipeline import run as run_pipeline

    return run_pipeline(compose(*overrides), overrides)


def extract(*overrides: str) -> list[Topology]:
    """Extract topologies without writing anything.

    Raises
    ------
    UserError
        If the extraction cannot be done.
    """
    from probe.data import load_documents
    from probe.pipeline import extract_topologies

    config = compose(*overrides)
    return extract_topologies(config, load_documents(config))[0]


def extract_views(
    config: Config, views: Callable[[int, int], Sequence[View]], folder: Path | None = None
) -> tuple[list[Topology], Facts]:
    """Extract any matrices that share their texts in one pass over them, without writing these.

    Parameters
    ----------
    config : Config
        Model, data and how the work is done; `layers` and `average.scheme`, `.parts` and
        `.halves` have no meaning here.
    views : callable
        Called with the numbers of examples and of the model's layers; returns the matrices to
        make.
    folder : Path, optional
        This extraction's own folder for checkpoints: called again with the same, it goes on from
        what an interrupted call has left there. To be removed when the matrices are written.

    Returns
    -------
    list of Topology
        One for every view, in their order.
    Facts
        What is known of the extraction: examples, tokens, ranks, skipped.

    Raises
    ------
    UserError
        If the extraction cannot be done.
    """
    from probe.data import load_documents
    from probe.pipeline import extract_topologies

    plain = without_study(config)
    return extract_topologies(plain, load_documents(plain), views, folder)


def fingerprints(config: Config) -> dict[str, str]:
    """Say which weights and which texts a configuration means: a hash of each, or its commit."""
    from probe.pipeline import load

    return load(config)[1]


def iterate_activations(*overrides: str) -> Iterator[ExampleActivations]:
    """Yield the activations of every example, as `iterate` does, from command-line words.

    Raises
    ------
    UserError
        If model or data cannot be had.
    """
    return iterate(compose(*overrides))
