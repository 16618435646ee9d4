"""The public interface for studies and notebooks.

>>> from probe import api
>>> run = api.run("model=tiny", "data.limit=8", "layers=each")      # doctest: +SKIP
>>> api.load_topology(run, "layer_3").matrix.shape                  # doctest: +SKIP
(128, 128)

Reading results does not import torch; functions that run a model import it when called.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe.api.given import configured, words_of
from probe.api.per_text import (
    ExampleActivations,
    documents,
    generate,
    iterate,
    perplexities,
    series,
    tokenize,
)
from probe.cli import overlay
from probe.config import (
    Config,
    InitConfig,
    ModelConfig,
    Side,
    Sinks,
    Site,
    StudyConfig,
    check,
    data_name,
    key,
    model_name,
)
from probe.data.document import Document
from probe.entry.study import study
from probe.errors import UserError, nearest
from probe.examples.partition import View
from probe.measures import Measures, measure
from probe.runs.facts import Facts
from probe.runs.load import load_topologies, load_topology
from probe.runs.manifest import read_manifest
from probe.runs.writing import Results, show
from probe.series import LayerSeries, SeriesStore, StoredExample, open_series
from probe.system.files import atomic_write
from probe.system.logs import plural
from probe.system.tables import aligned
from probe.topology import Topology
from probe.topology.sparsify import sparsify

if TYPE_CHECKING:
    from probe.extraction.correlate import correlate
    from probe.series.factor import Factor, UnitSeries
    from probe.series.graphs import Dense, Graph, Sparse, quickest

__all__ = [
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
    "Results",
    "SeriesStore",
    "Side",
    "Site",
    "Sparse",
    "StoredExample",
    "StudyConfig",
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
    "extract",
    "extract_views",
    "fingerprints",
    "generate",
    "iterate",
    "key",
    "load_topologies",
    "load_topology",
    "measure",
    "model_name",
    "nearest",
    "open_series",
    "overlay",
    "perplexities",
    "plural",
    "quickest",
    "read_manifest",
    "run",
    "series",
    "show",
    "sparsify",
    "study",
    "tokenize",
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

    if name == "correlate":
        return correlate
    return getattr(factor if name in ("Factor", "UnitSeries") else graphs, name)


def compose(*given: str | Config) -> Config:
    """Compose a configuration from words such as `"model=gpt2", "layers=[3,7]"`.

    A configuration may stand before them, which they are then laid over. All functions below take
    the same.

    Raises
    ------
    UserError
        If a key, an option or a value is invalid.
    """
    return configured(given)


def run(*given: str | Config) -> Path:
    """Run `python -m probe` with words or a configuration, or reuse a finished run.

    Returns
    -------
    Path
        Its folder.

    Raises
    ------
    UserError
        If the run cannot be done.
    """
    from probe.pipeline import run as run_pipeline

    config = configured(given)
    words = [word for word in given if isinstance(word, str)]
    return run_pipeline(config, words if len(words) == len(given) else words_of(config))


def extract(*given: str | Config) -> list[Topology]:
    """Extract topologies without writing files.

    All tokens count: `data.sinks=auto` is `keep` here, and those without sinks come only when
    asked for, with `data.sinks=both` behind the others.

    Raises
    ------
    UserError
        If the extraction cannot be done.
    """
    from probe.data import load_documents
    from probe.pipeline import extract_topologies

    config = _asked(configured(given))
    return extract_topologies(config, load_documents(config))[0]


def extract_views(
    *given: str | Config,
    views: Callable[[int, int], Sequence[View]],
    folder: Path | None = None,
) -> tuple[list[Topology], Facts]:
    """Extract any matrices over the same texts in one pass, without writing them.

    Parameters
    ----------
    *given : str or Config
        Model, data and runtime; `layers`, `average.scheme`, `average.parts` and `average.halves`
        are ignored, and `data.sinks=auto` is `keep`.
    views : callable
        Called with the numbers of examples and of layers; returns the matrices to compute.
    folder : Path, optional
        A folder of its own for checkpoints: a second call resumes an interrupted one. Remove it
        when the matrices are written.

    Returns
    -------
    list of Topology
        One for each view, in order; with `data.sinks=both` then one for each without sinks.
    Facts
        Facts about the extraction: examples, tokens, ranks, skipped.

    Raises
    ------
    UserError
        If the extraction cannot be done.
    """
    from probe.data import load_documents
    from probe.pipeline import extract_topologies

    config = _asked(configured(given))
    return extract_topologies(config, load_documents(config), views, folder)


def _asked(config: Config) -> Config:
    """Keep all tokens unless something else is asked for: callers count on what is returned."""
    if config.data.sinks is not Sinks.auto:
        return config
    return replace(config, data=replace(config.data, sinks=Sinks.keep))


def fingerprints(*given: str | Config) -> dict[str, str]:
    """Return the fingerprints of a configuration's weights and texts: a hash or a commit each."""
    from probe.pipeline import load

    return load(configured(given))[1]
