"""Tables: a row of every unit, and of every layer with intervals over its units."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.intervals import warn_few, with_interval
from experiments.neuron_graphs.records import Record, Scores
from experiments.statistics import bootstrap, paired_difference
from probe.api import show

Row = dict[str, Any]
Values = NDArray[np.float64]
GIVEN, RANDOM, ALL = "given", "random", "all"


def score_row(record: Record) -> Row:
    """Return a unit's row of `scores.csv` or `control.csv`; what is not defined is empty."""
    scores, unit = record.scores, record.unit
    numbers: dict[str, float] = {
        "f1": scores.graph.f1, "precision": scores.graph.precision, "recall": scores.graph.recall,
        "correlation": scores.correlation, "support": scores.support,
        "token_f1": scores.token.f1, "ngram_f1": scores.ngram.f1,
        "false_per_million": scores.false_per_million,
    }  # fmt: skip
    return {
        "layer": unit.layer, "neuron": unit.neuron, "sign": unit.sign_name,
        **{name: None if np.isnan(value) else value for name, value in numbers.items()},
        "reason": record.reason,
    }  # fmt: skip


def summarise(model: str, records: Iterable[Record], seed: int, repetitions: int) -> list[Row]:
    """Return a row for every layer, and one for all, of the units of a model.

    Means and intervals are over the units that fire in their held-out texts, which are counted as
    tested. Precision is given twice: over the units for which something is predicted, and as
    published, 1 where nothing is. False positives are over all units that have a graph.

    Parameters
    ----------
    model : str
        `given` or `random`.
    records : iterable of Record
        Its units.
    seed, repetitions : int
        Of the bootstrap over units.
    """
    kept = [(record.unit, record.scores) for record in records]
    layers: list[Any] = sorted({unit.layer for unit, _ in kept})
    parts = {layer: [one for one in kept if one[0].layer == layer] for layer in layers}
    if len(layers) > 1:
        parts[ALL] = kept
    rows = []
    for layer, units in parts.items():
        tested = [(str(unit), scores) for unit, scores in units if scores.support]
        names, scores = [name for name, _ in tested], [scores for _, scores in tested]
        draws = names, seed, repetitions
        row: Row = {"model": model, "layer": layer, "units": len(units), "tested": len(tested)}
        f1 = {
            "f1": _each(scores, lambda one: one.graph.f1),
            "token_f1": _each(scores, lambda one: one.token.f1),
            "ngram_f1": _each(scores, lambda one: one.ngram.f1),
        }
        for name, values in f1.items():
            ends = bootstrap(_mean(values), *draws) if names else (np.nan, np.nan)
            row |= _named(name, _over(values), *ends)
        more = (np.nan,) * 3
        if names:
            more = paired_difference(_mean(f1["f1"]), _mean(f1["token_f1"]), *draws)
        row |= _named("beyond_token", *more)
        means = {
            "precision": _each(scores, lambda one: one.graph.precision),
            "precision_as_published": _each(scores, lambda one: one.graph.precision_of_paper),
            "recall": _each(scores, lambda one: one.graph.recall),
            "correlation": _each(scores, lambda one: one.correlation),
            "support": _each(scores, lambda one: one.support),
            "false_per_million": _each(
                [scores for _, scores in units], lambda one: one.false_per_million
            ),
        }
        row |= {name: _plain(_over(values)) for name, values in means.items()}
        rows.append(row)
    return rows


def log_summary(rows: Sequence[Row]) -> None:
    """Log a line for every layer: F1 of graphs beside lookups and untrained weights."""
    control = {row["layer"]: row for row in rows if row["model"] == RANDOM}
    given = [row for row in rows if row["model"] == GIVEN]
    lines = [[str(row["layer"]), *_cells(row, control.get(row["layer"]))] for row in given]
    header = [
        "layer", "F1 of graphs [95 %]", "token lookup", "n-gram lookup", "untrained weights",
        "false positives per million tokens",
    ]  # fmt: skip
    show(header, lines)
    warn_few(min((row["tested"] for row in given if row["tested"]), default=0), "neuron")


def _cells(row: Row, control: Row | None) -> list[str]:
    numbers = [row[name] for name in ("token_f1", "ngram_f1")]
    false = row["false_per_million"]
    return [
        _interval(row),
        *("-" if number is None else f"{number:.2f}" for number in numbers),
        _interval(control) if control else "-",
        "-" if false is None else f"{false:.0f}",
    ]


def _interval(row: Row) -> str:
    value, low, high = (row[name] for name in _ends("f1"))
    return with_interval(value, low, high, row["tested"], form=".2f")


def _ends(name: str) -> tuple[str, str, str]:
    return name, f"{name}_low", f"{name}_high"


def _named(name: str, value: float, low: float, high: float) -> Row:
    return dict(zip(_ends(name), map(_plain, (value, low, high)), strict=True))


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _each(scores: Sequence[Scores], of: Callable[[Scores], float]) -> Values:
    return np.array([of(one) for one in scores], dtype=np.float64)


def _over(values: Values) -> float:
    """Return the mean of what is defined."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else np.nan


def _mean(values: Values) -> Callable[[NDArray[np.int64]], float]:
    return lambda numbers: float(values[numbers].mean())
