"""A unit's record as rows of the store's tables, and back, with checks of what comes back."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from experiments.neuron_graphs.graph import NeuronGraph
from experiments.neuron_graphs.merge import merge_ignores
from experiments.neuron_graphs.presets import PRESETS
from experiments.neuron_graphs.records import Cost, Header, Match, Record, ScannedText, Scores
from experiments.neuron_graphs.roles import postings
from experiments.neuron_graphs.unit import Unit
from experiments.neuron_graphs.visual import visual
from probe.api import UserError

ARRAYS = tuple(field.name for field in fields(NeuronGraph))
UNIT_COLUMNS = (
    "layer", "neuron", "sign", "reason", "largest", "components", "nodes", "crc32", "quantiles",
    *ARRAYS,
)  # fmt: skip
_WHOLE = ("parent", "token", "end_count")
_LARGEST_SHARE = float(np.finfo(np.float16).max)
# The graph's own match has no prefix.
_MATCHES = {"graph": "", "token": "token_", "ngram": "ngram_"}
_OTHERS = [field.name for field in fields(Scores) if field.name not in _MATCHES]
_COUNTS = ("support", "rows", "tokens", "proposed", "accepted")


def unit_row(record: Record) -> list[Any]:
    """Return the row of a unit, in the order of `UNIT_COLUMNS`."""
    graph, unit = record.graph, record.unit
    blobs = [np.asarray(record.quantiles, np.float32).tobytes()]
    if graph is not None:
        blobs += [getattr(graph, name).tobytes() for name in ARRAYS]
    drawn, nodes = (None, None) if graph is None else (visual(graph).n_components, len(graph))
    return [
        unit.layer, unit.neuron, unit.sign, record.reason, float(record.largest), drawn, nodes,
        checksum(blobs), *blobs, *[None] * (len(ARRAYS) + 1 - len(blobs)),
    ]  # fmt: skip


def metrics(scores: Scores, cost: Cost) -> dict[str, float]:
    """Return all numbers of a unit by name.

    Examples
    --------
    >>> list(metrics(Scores(), Cost()))[:4]
    ['precision', 'recall', 'f1', 'token_precision']
    """
    matches = {
        prefix + name: value
        for kind, prefix in _MATCHES.items()
        for name, value in asdict(getattr(scores, kind)).items()
    }
    return matches | {name: getattr(scores, name) for name in _OTHERS} | asdict(cost)


def example_rows(record: Record) -> Iterator[tuple[int, int, bool, bytes]]:
    """Return a row per text: its place, its number, whether it is held out, its activations."""
    largest = record.largest or 1.0
    for place, text in enumerate(record.texts):
        shares = np.clip(np.asarray(text.activations) / largest, -_LARGEST_SHARE, _LARGEST_SHARE)
        yield place, text.example, text.held_out, shares.astype(np.float16).tobytes()


def posting_rows(graph: NeuronGraph | None, header: Header) -> list[tuple[int, str, float, int]]:
    """Return a row per token and role, of the graph that predicts."""
    if graph is None:
        return []
    predicts = merge_ignores(graph) if PRESETS[header.preset].merge else graph
    return [
        (each.token, each.role, each.weight, each.depth) for each in postings(predicts, header.fire)
    ]


def record_of(
    row: Sequence[Any],
    named: Mapping[str, float | None],
    texts: Sequence[tuple[int, int, bytes, bool, bytes]],
    n_tokens: int,
) -> Record:
    """Return a unit's record.

    Parameters
    ----------
    row : sequence
        Of `UNIT_COLUMNS`.
    named : mapping of str to float
        Its numbers.
    texts : sequence of tuple
        Number, document, tokens, whether it is held out, and shares of each text, in order.
    n_tokens : int
        Size of the vocabulary.

    Raises
    ------
    UserError
        If these are not what was written.
    """
    layer, neuron, sign, reason, largest, _, nodes, crc, *blobs = row
    if checksum([blob for blob in blobs if blob is not None]) != crc:
        raise UserError("its graph is not what was written")
    try:
        graph = None
        if nodes is not None:
            arrays: dict[str, Any] = {
                name: np.frombuffer(blob, np.int32 if name in _WHOLE else np.float32)
                for name, blob in zip(ARRAYS, blobs[1:], strict=True)
            }
            graph = NeuronGraph(**arrays)
            graph.check_tokens(n_tokens)
        scores, cost = _scores(named)
        return Record(
            Unit(layer, neuron, sign), graph, scores, _texts(texts, largest), largest,
            np.frombuffer(blobs[0], np.float32), cost, reason,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{type(error).__name__}: {error}") from error


def _scores(named: Mapping[str, float | None]) -> tuple[Scores, Cost]:
    typed: dict[str, Any] = {
        name: float("nan") if value is None else int(value) if name in _COUNTS else value
        for name, value in named.items()
    }
    matches: dict[str, Any] = {
        kind: Match(**{field.name: typed[prefix + field.name] for field in fields(Match)})
        for kind, prefix in _MATCHES.items()
    }
    scores = Scores(**matches, **{name: typed[name] for name in _OTHERS})
    return scores, Cost(**{field.name: typed[field.name] for field in fields(Cost)})


def _texts(
    rows: Sequence[tuple[int, int, bytes, bool, bytes]], largest: float
) -> tuple[ScannedText, ...]:
    texts = []
    for example, document, tokens, held_out, shares in rows:
        ids = np.frombuffer(tokens, np.int32)
        activations = np.frombuffer(shares, np.float16).astype(np.float32) * np.float32(largest)
        if ids.shape != activations.shape:
            raise UserError(f"text {example} has {len(ids)} tokens and {len(activations)} values")
        texts.append(ScannedText(example, document, ids, activations, bool(held_out)))
    return tuple(texts)


def checksum(blobs: Sequence[bytes]) -> int:
    """Return the CRC-32 of several arrays."""
    return zlib.crc32(b"|".join(blobs))
