"""Tables of the page: what stands in which column, rounded for reading, exact for sorting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from probe.report.glossary import GROUPS, MEASURES, Entry, entry
from probe.report.records import Measured, Number, Run, Sweep


@dataclass(frozen=True)
class Cell:
    """What is read in a cell, and the number or word that it is sorted by."""

    text: str
    value: float | str | None


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes
    ----------
    caption : str
        What it shows.
    words : list of str
        Heads of the leading columns, which name the row.
    columns : list of Entry
        Measures in the other columns.
    rows : list of (list of Cell, list of Cell)
        The words and the numbers of every row.
    """

    caption: str
    words: list[str]
    columns: list[Entry]
    rows: list[tuple[list[Cell], list[Cell]]]


@dataclass(frozen=True)
class Headline:
    """A measure of the summary.

    Attributes
    ----------
    measure : Entry
        The measure.
    values : list of (str, str)
        Its value alone, or the lowest, the median and the highest, each after what it is.
    """

    measure: Entry
    values: list[tuple[str, str]]


def shown(value: Number) -> str:
    """Write a number to four digits, whole numbers whole.

    Examples
    --------
    >>> [shown(value) for value in (0.123456, 128.0, 12345.6, 3e-9, None)]
    ['0.1235', '128', '12,346', '3e-09', '–']
    """
    if value is None or value != value:
        return "–"
    if value == round(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def run_tables(run: Run) -> list[Table]:
    """Lay out the measures of a run's topologies, a table for each group of measures."""
    rows = [([word(topology.name)], topology.numbers) for topology in run.topologies]
    return _tables(["topology"], rows)


def sweep_tables(sweep: Sweep) -> list[Table]:
    """Lay out the measures of every topology of every job, beside what the sweep varied."""
    rows = [
        (
            [
                word(topology.name),
                Cell(str(job.number), float(job.number)),
                *(word(job.values.get(key, "–")) for key in sweep.varied),
            ],
            topology.numbers,
        )
        for job in sweep.jobs
        if job.run is not None
        for topology in job.run.topologies
    ]
    return _tables(["topology", "job", *sweep.varied], rows)


def halves_table(topology: Measured) -> Table:
    """Lay out the measures of the two halves of the documents beside those of all."""
    columns: list[Mapping[str, Number]] = [topology.numbers, *topology.halves]
    heads = ["all documents", "first half", "second half"]
    rows = [
        ([word(entry(name).label)], [_number(numbers.get(name)) for numbers in columns])
        for name in _ordered(topology.halves)
    ]
    caption = f"Two halves of the documents of {topology.name}"
    return Table(caption, ["measure"], [Entry(head, "Other", "") for head in heads], rows)


def headlines(topologies: Sequence[Measured]) -> list[Headline]:
    """Sum a run up: each headline's value, or its range over the topologies."""
    found = []
    for name in _ordered(topology.numbers for topology in topologies):
        measure = entry(name)
        values = [
            (value, topology.name)
            for topology in topologies
            if (value := topology.numbers.get(name)) is not None and value == value
        ]
        if not measure.headline or not values:
            continue
        low, high = min(values), max(values)
        if len(topologies) == 1:
            texts = [("", shown(low[0]))]
        elif low[0] == high[0]:
            texts = [("the same in all:", shown(low[0]))]
        else:
            texts = [
                (f"lowest, {low[1]}:", shown(low[0])),
                ("median:", shown(median(value for value, _ in values))),
                (f"highest, {high[1]}:", shown(high[0])),
            ]
        found.append(Headline(measure, texts))
    return found


def word(text: str) -> Cell:
    """Make a cell of a word."""
    return Cell(text, text)


def _tables(words: list[str], rows: list[tuple[list[Cell], dict[str, Number]]]) -> list[Table]:
    names = _ordered(numbers for _, numbers in rows)
    tables = []
    for group in GROUPS:
        columns = [name for name in names if entry(name).group == group]
        if columns:
            body = [
                (leading, [_number(numbers.get(name)) for name in columns])
                for leading, numbers in rows
            ]
            tables.append(Table(group, words, [entry(name) for name in columns], body))
    return tables


def _number(value: Number) -> Cell:
    return Cell(shown(value), None if value is None or value != value else value)


def _ordered(numbers: Iterable[Mapping[str, Number]]) -> list[str]:
    """Names of the measures that have a value: in the glossary's order, for each density anew."""
    names = dict.fromkeys(
        name for each in numbers for name, value in each.items() if value is not None
    )
    place = {measure.help: rank for rank, measure in enumerate(MEASURES.values())}

    def order(name: str) -> tuple[str, int]:
        return name.partition("_at_")[2], place.get(entry(name).help, len(place))

    return sorted(names, key=order)
