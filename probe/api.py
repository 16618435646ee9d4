"""The one door for experiments and notebooks.

>>> from probe import api
>>> run = api.run("model=tiny", "data.limit=8", "layers=each")      # doctest: +SKIP
>>> api.load_topology(run, "layer_3").matrix.shape                  # doctest: +SKIP
(128, 128)

Reading results imports no torch; functions that run a model import it when they are called.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe.cells import View
from probe.config import Config, key
from probe.data.document import Document
from probe.errors import UserError
from probe.measures import Measures, edges, gini, measure, strengths
from probe.sparsify import sparsify
from probe.study import study
from probe.tables import aligned, write_csv
from probe.topology import Topology, load_topologies, load_topology, replacing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

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
    from probe.request import Request

__all__ = [
    "Config",
    "Dense",
    "Document",
    "ExampleActivations",
    "Factor",
    "FactorStore",
    "Graph",
    "Measures",
    "Sparse",
    "StoredExample",
    "Topology",
    "UserError",
    "View",
    "aligned",
    "compose",
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
    "open_factors",
    "perplexities",
    "quickest",
    "replacing",
    "run",
    "sparsify",
    "strengths",
    "study",
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


@dataclass(frozen=True)
class ExampleActivations:
    """What was read over one example.

    Attributes
    ----------
    example : int
        Its number among the chosen examples, from 0.
    document : str
        Name of the document it was cut from.
    tokens : Tensor of int64, shape (n_tokens,)
        Token ids; `data.skip_first` tokens are left out here and below.
    layers : dict of int to Tensor, each of shape (n_tokens, n_neurons)
        Activations, by layer.
    """

    example: int
    document: str
    tokens: Tensor
    layers: dict[int, Tensor]


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
    config: Config, views: Callable[[int, int], Sequence[View]]
) -> tuple[list[Topology], dict[str, Any]]:
    """Extract any matrices that share their texts in one pass over them, without writing anything.

    Parameters
    ----------
    config : Config
        Model, data and how the work is done; `layers` and `average.scheme`, `.parts` and
        `.halves` have no meaning here.
    views : callable
        Called with the numbers of examples and of the model's layers; returns the matrices to
        make.

    Returns
    -------
    list of Topology
        One for every view, in their order.
    dict
        What is known of the extraction: examples, tokens, ranks, skipped.

    Raises
    ------
    UserError
        If the extraction cannot be done.
    """
    from probe.data import load_documents
    from probe.pipeline import extract_topologies

    plain = _plain(config)
    return extract_topologies(plain, load_documents(plain), views)


def fingerprints(config: Config) -> dict[str, str]:
    """Say which weights and which texts a configuration means: a hash of each, or its commit."""
    from probe.pipeline import load

    return load(config)[1]


def documents(config: Config) -> list[Document]:
    """Load the raw texts of a configuration, with their labels; examples are cut from them.

    Raises
    ------
    UserError
        If they cannot be had.
    """
    from probe.data import load_documents

    return list(load_documents(_plain(config)))


def perplexities(config: Config) -> NDArray[np.float64]:
    """Return the pretrained model's perplexity of every example, in the order of `example`.

    They are kept in the output folder and found again. The first token is not scored.

    Raises
    ------
    UserError
        If model or data cannot be had, or the model has no language-model head.
    """
    from probe.data import load_documents
    from probe.perplexity import perplexities as score
    from probe.prepare import prepare

    plain = _plain(config)
    return score(prepare(plain, load_documents(plain))[1].chosen, plain)


def iterate_activations(*overrides: str) -> Iterator[ExampleActivations]:
    """Yield the activations of every example, as `iterate` does, from command-line words.

    Raises
    ------
    UserError
        If model or data cannot be had.
    """
    return iterate(compose(*overrides))


def iterate(config: Config) -> Iterator[ExampleActivations]:
    """Yield the activations of every example, in batches of like length, in this process.

    Only one batch is in memory at a time. `average` has no meaning here, but for
    `average.example`.

    Raises
    ------
    UserError
        If model or data cannot be had.
    """
    from probe.distributed import this_rank
    from probe.extract import Loop

    request = _request(config)
    held: dict[int, Tensor] = {}
    loop = Loop(request, this_rank(request.config.runtime.device))

    def hold(_: object, __: object, layer: int, activations: Tensor) -> None:
        held[layer] = activations.clone()

    for batch, tensors in loop.batches(hold):
        for row, member in enumerate(batch.members):
            keep = tensors.keep[row]
            yield ExampleActivations(
                example=member,
                document=request.names[member],
                tokens=tensors.tokens[row][keep],
                layers={layer: activations[row][keep] for layer, activations in held.items()},
            )
        held.clear()


def write_factors(config: Config, folder: str | os.PathLike[str]) -> FactorStore:
    """Keep the topology of every example in each chosen layer, as its factor.

    Tokens × neurons numbers of two bytes each, whatever `n²` is; read back from any process with
    `open_factors`. All ranks write; what is there already is found again.

    Parameters
    ----------
    config : Config
        Model, texts, `layers` and `site`; `average` has no meaning here, but for
        `average.example`.
    folder : path
        Where the factors go.

    Raises
    ------
    UserError
        If model or texts cannot be had, the disk is too small, or the folder has other factors.
    """
    from probe.factors import write_factors as write

    return write(_plain(config), folder)


def _request(config: Config) -> Request:
    from probe.data import load_documents
    from probe.prepare import prepare

    plain = _plain(config)
    return prepare(plain, load_documents(plain))[0]


def _plain(config: Config) -> Config:
    """Leave a study's own keys out: they are no part of an extraction."""
    return Config(**{field.name: getattr(config, field.name) for field in fields(Config)})
