"""Tables of the page: rounded for reading, exact for sorting."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from probe.report.glossary import GROUPS, MEASURES, Entry, entry
from probe.report.records import Csv, Number, Run, Study, Sweep, TopologySummary
from probe.runs.measures_files import outlier_tokens


@dataclass(frozen=True)
class Cell:
    """The text of a cell, and the number or word that it is sorted by."""

    text: str
    value: float | str | None


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes
    ----------
    caption : str
        Title of the table.
    words : list of str
        Heads of the leading columns, which identify the row.
    columns : list of Entry
        Measures in the other columns.
    rows : list of (list of Cell, list of Cell)
        The leading cells and the measures of each row.
    """

    caption: str
    words: list[str]
    columns: list[Entry]
    rows: list[tuple[list[Cell], list[Cell]]]


def format_number(value: Number) -> str:
    """Format a number to four digits, integers without decimals.

    Examples
    --------
    >>> [format_number(value) for value in (0.123456, 128.0, 12345.6, 3e-9, None)]
    ['0.1235', '128', '12,346', '3e-09', '–']
    """
    if value is None or value != value:
        return "–"
    if value == round(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def page_tables(content: Run | Study | Sweep) -> list[Table]:
    """Return the tables of a page."""
    if isinstance(content, Run):
        return run_tables(content)
    if isinstance(content, Study):
        return [csv_table(one) for one in content.csvs]
    return ([csv_table(content.headline)] if content.headline else []) + sweep_tables(content)


def csv_table(content: Csv) -> Table:
    """Return a table of a file, columns of words before those of numbers."""
    cells = [[_typed(row[place]) for row in content.rows] for place in range(len(content.columns))]
    words = [
        place for place, column in enumerate(cells) if any(isinstance(c.value, str) for c in column)
    ] or [0]
    numbers = [place for place in range(len(cells)) if place not in words]
    cut = f" (the first {len(content.rows)} of {content.total} rows)"
    caption = content.name.replace("_", " ") + cut * (content.total > len(content.rows))
    rows = [
        ([cells[place][row] for place in words], [cells[place][row] for place in numbers])
        for row in range(len(content.rows))
    ]
    heads = [name.replace("_", " ") for name in content.columns]
    return Table(caption, [heads[p] for p in words], [Entry(heads[p]) for p in numbers], rows)


def _typed(text: str) -> Cell:
    if not text:
        return Cell("–", None)
    try:
        return _number(float(text))
    except ValueError:
        return word(text)


def run_tables(run: Run) -> list[Table]:
    """Return the measures of a run's topologies, one table per group of measures."""
    rows = [([word(topology.name)], topology.numbers) for topology in run.topologies]
    return _tables(["topology"], rows) + _tokens(run)


def _tokens(run: Run) -> list[Table]:
    """Return the table of the tokens whose norm is an outlier, if there are any."""
    norms = run.manifest.get("token_norms")
    rows = [
        (
            [_number(one["layer"]), word(repr(one["text"])), _number(one["token"])],
            [_number(one["count"]), _number(one["largest_norm"])],
        )
        for one in outlier_tokens(norms)
    ]
    if norms is None or not rows:
        return []
    caption = f"Tokens with more than {norms['above']:g} times the median norm of their text"
    numbers = [Entry("number"), Entry("largest, over the median")]
    return [Table(caption, ["layer", "token", "id"], numbers, rows)]


def sweep_tables(sweep: Sweep) -> list[Table]:
    """Return the measures of all topologies of all jobs, with the values that vary."""
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


def halves_table(topology: TopologySummary) -> Table:
    """Return the measures of the two halves of the documents, next to those of all documents."""
    columns: list[Mapping[str, Number]] = [topology.numbers, *topology.halves]
    heads = ["all documents", "first half", "second half"]
    rows = [
        ([word(entry(name).label)], [_number(numbers.get(name)) for numbers in columns])
        for name in _ordered(topology.halves)
    ]
    caption = f"Two halves of the documents of {topology.name}"
    return Table(caption, ["measure"], [Entry(head) for head in heads], rows)


def headlines(topologies: Sequence[TopologySummary]) -> list[tuple[Entry, list[tuple[str, str]]]]:
    """Return the labelled value of each headline measure, or its range over the topologies."""
    lines = []
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
            texts = [("", format_number(low[0]))]
        elif low[0] == high[0]:
            texts = [("the same in all:", format_number(low[0]))]
        else:
            texts = [
                (f"lowest, {low[1]}:", format_number(low[0])),
                ("median:", format_number(median(value for value, _ in values))),
                (f"highest, {high[1]}:", format_number(high[0])),
            ]
        lines.append((measure, texts))
    return lines


def word(text: str) -> Cell:
    """Return a cell that holds a word."""
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
    return Cell(format_number(value), None if value is None or value != value else value)


def _ordered(numbers: Iterable[Mapping[str, Number]]) -> list[str]:
    """Return the names of measures with a value, by density, in the order of the glossary."""
    names = dict.fromkeys(
        name for each in numbers for name, value in each.items() if value is not None
    )
    place = {measure.help: rank for rank, measure in enumerate(MEASURES.values())}

    def order(name: str) -> tuple[str, int]:
        return name.partition("_at_")[2], place.get(entry(name).help, len(place))

    return sorted(names, key=order)
