"""The result of a benchmark in `results/`: a table, and a JSON file with every measurement."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

logger = logging.getLogger("benchmarks")
RESULTS = Path(__file__).resolve().parent / "results"


@dataclass
class Report:
    """A table, with the machine it was measured on.

    Attributes
    ----------
    name : str
        Name of the files.
    title : str
        What was measured.
    facts : mapping
        The machine and the settings.
    columns, rows
        The table, all text.
    notes : list of str
        Sentences below it.
    raw : any
        Every measurement, for the JSON.
    """

    name: str
    title: str
    facts: Mapping[str, object]
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    raw: Any
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return the report as Markdown."""
        facts = ", ".join(f"{key}: {value}" for key, value in self.facts.items() if value)
        table = [self.columns, ["---"] * len(self.columns), *self.rows]
        lines = [f"# {self.title}: {self.name}", "", facts, ""]
        lines += [f"| {' | '.join(cells)} |" for cells in table]
        lines += [line for note in self.notes for line in ("", note)]
        return "\n".join(lines) + "\n"


def save(report: Report, folder: Path = RESULTS) -> None:
    """Write a report and log it."""
    folder.mkdir(exist_ok=True)
    content = json.dumps({"facts": report.facts, "measured": report.raw}, indent=1)
    (folder / f"{report.name}.json").write_text(content + "\n")
    (folder / f"{report.name}.md").write_text(report.text())
    logger.info("\n%s", report.text())
