"""MMLU: four-choice questions on 57 subjects (Hendrycks et al. 2021, arXiv:2009.03300)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from probe.config import Config
from probe.data.choices import prompt
from probe.data.document import Document
from probe.data.files import read_rows
from probe.data.hub import read_hub
from probe.errors import UserError


def load(config: Config) -> list[Document]:
    """Load the questions of the chosen subjects, subject by subject."""
    subjects = config.subject.mmlu if config.subject else []
    if not subjects:
        return []
    if config.data.path is not None:
        rows = {
            subject: _local(Path(config.data.path), subject, config.data.split)
            for subject in subjects
        }
    else:
        files = [f"{subject}/{config.data.split}-*.parquet" for subject in subjects]
        rows = {subject: [] for subject in subjects}
        for row in read_hub(config.data, files):
            rows[row["subject"]].append(row)
    for subject in subjects:
        if not rows[subject] and config.data.path is None:
            raise UserError(
                f"data {config.data.id}, split {config.data.split}, has no questions on {subject}"
            )
    return [
        _document(f"{subject}/{number}", subject, row)
        for subject in subjects
        for number, row in enumerate(rows[subject])
    ]


def _local(folder: Path, subject: str, split: str) -> list[dict[str, Any]]:
    """Rows of a local copy: the Hub's parquet files, or a csv for each subject."""
    files = sorted(folder.glob(f"{subject}/{split}-*.parquet"))
    files = files or [file for file in [folder / f"{subject}_{split}.csv"] if file.is_file()]
    if not files:
        raise UserError(
            f"data.path={folder} has neither {subject}/{split}-*.parquet nor "
            f"{subject}_{split}.csv for the subject {subject}"
        )
    return [row for file in files for row in read_rows(file)]


def _document(name: str, subject: str, row: dict[str, Any]) -> Document:
    try:
        choices = row["choices"] if "choices" in row else [row[f"choice{i}"] for i in range(4)]
        if isinstance(choices, str) or int(row["answer"]) not in range(len(choices)):
            raise ValueError
        return Document(name, prompt(row["question"], choices), subject, int(row["answer"]))
    except (KeyError, TypeError, ValueError):
        raise UserError(
            f"{name} of MMLU has the columns {', '.join(map(str, row))}; wanted are question, "
            "choices (or choice0 to choice3) and answer (0 to 3)"
        ) from None
