"""The public interface for studies and notebooks.

>>> from probe import api
>>> run = api.run("model=tiny", "data.limit=8", "layers=each")      # doctest: +SKIP
>>> api.load_topology(run, "layer_3").matrix.shape                  # doctest: +SKIP
(128, 128)

Reading results does not import torch; functions that run a model import it when called.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe.api.per_text import ExampleActivations, documents, iterate, perplexities, tokenize
from probe.cli import overlay
from probe.config import (
    JOINT,
    Config,
    InitConfig,
    ModelConfig,
    Side,
    Site,
    check,
    data_name,
    key,
    model_name,
    younger,
)
from probe.data.document import Document
from probe.entry.study import study
from probe.errors import UserError
from probe.examples.partition import View
from probe.measures import Measures, edges, gini, measure, strengths
from probe.runs.facts import Facts
from probe.runs.load import load_topologies, load_topology
from probe.runs.manifest import read_manifest
from probe.series import LayerSeries, SeriesStore, StoredExample, open_series
from probe.system.files import atomic_write
from probe.system.logs import plural
from probe.system.tables import aligned, write_csv
from probe.topology import Topology
from probe.topology.sparsify import sparsify

if TYPE_CHECKING:
    from probe.extraction.correlate import correlate
    from probe.series.factor import Factor, UnitSeries
    from probe.series.graphs import Dense, Graph, Sparse, quickest
    from probe.series.write import series

__all__ = [
    "JOINT",
    "Config",
    "Dense",
    "Document",
    "ExampleActivations",
    "Factor",
    "Graph",
    "InitConfig",
    "LayerSeries",
    "Measures",
    "ModelConfig",
    "SeriesStore",
    "Side",
    "Site",
    "Sparse",
    "StoredExample",
    "Topology",
    "UnitSeries",
    "UserError",
    "View",
    "aligned",
    "atomic_write",
    "check",
    "compose",
    "correlate",
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
    "open_series",
    "overlay",
    "perplexities",
    "plural",
    "quickest",
    "read_manifest",
    "run",
    "series",
    "sparsify",
    "strengths",
    "study",
    "tokenize",
    "write_csv",
    "younger",
]


def __dir__() -> list[str]:
    """List everything that is offered."""
    return __all__


def __getattr__(name: str) -> Any:
    """Import what is offered but not here yet, because it needs torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from probe.extraction.correlate import correlate
    from probe.series import factor, graphs
    from probe.series.write import series

    if name in ("correlate", "series"):
        return {"correlate": correlate, "series": series}[name]
    return getattr(factor if name in ("Factor", "UnitSeries") else graphs, name)


def compose(*overrides: str) -> Config:
    """Compose a configuration from overrides such as `"model=gpt2", "layers=[3,7]"`.

    Raises
    ------
    UserError
        If a key, an option or a value is invalid.
    """
    from probe.cli import compose_job

    return compose_job(overrides)


def run(*overrides: str) -> Path:
    """Run `python -m probe` with these overrides, or reuse a finished run; return its folder.

    Raises
    ------
    UserError
        If the run cannot be done.
    """
    from probe.pipeline import run as run_pipeline

    return run_pipeline(compose(*overrides), overrides)


def extract(*overrides: str) -> list[Topology]:
    """Extract topologies without writing files.

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
    """Extract any matrices over the same texts in one pass, without writing them.

    Parameters
    ----------
    config : Config
        Model, data and runtime; `layers`, `average.scheme`, `average.parts` and `average.halves`
        are ignored.
    views : callable
        Called with the numbers of examples and of layers; returns the matrices to compute.
    folder : Path, optional
        A folder of its own for checkpoints: a second call resumes an interrupted one. Remove it
        when the matrices are written.

    Returns
    -------
    list of Topology
        One for each view, in order.
    Facts
        Facts about the extraction: examples, tokens, ranks, skipped.

    Raises
    ------
    UserError
        If the extraction cannot be done.
    """
    from probe.data import load_documents
    from probe.pipeline import extract_topologies

    return extract_topologies(config, load_documents(config), views, folder)


def fingerprints(config: Config) -> dict[str, str]:
    """Return the fingerprints of a configuration's weights and texts: a hash or a commit each."""
    from probe.pipeline import load

    return load(config)[1]


def iterate_activations(*overrides: str) -> Iterator[ExampleActivations]:
    """Yield the activations of every example, as `iterate` does, from overrides.

    Raises
    ------
    UserError
        If the model or the data cannot be loaded.
    """
    return iterate(compose(*overrides))
