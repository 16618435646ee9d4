"""MMLU: four-choice questions on 57 subjects (Hendrycks et al. 2021, arXiv:2009.03300)."""

from pathlib import Path
from typing import Any

from probe.config import Config
from probe.data.cells import cell_text, is_empty
from probe.data.choices import question_document
from probe.data.document import EMPTY_CELL, Document, Documents
from probe.data.files import matching, read_rows
from probe.data.hub import download
from probe.data.rows import collected
from probe.errors import UserError


def load(config: Config) -> Documents:
    """Load the questions of the chosen subjects, subject by subject."""
    subjects = config.subject.mmlu if config.subject else []
    if not subjects:
        return []
    data = config.data
    if data.path is not None:
        folder, where = Path(data.path), f"data.path={data.path}"
    else:
        folder = download(data, [f"{subject}/{data.split}-*.parquet" for subject in subjects])
        where = f"data {data.id}"
    return collected(
        _document(f"{subject}/{number}", subject, row)
        for subject in subjects
        for number, row in enumerate(
            row for file in _files(folder, where, subject, data.split) for row in read_rows(file)
        )
    )


def _files(folder: Path, where: str, subject: str, split: str) -> list[Path]:
    """Return the files of a subject: the Hub's parquet files, or a csv."""
    files = matching(folder, f"{subject}/{split}-*.parquet")
    # The authors' archive has a folder for each split.
    places = [folder / f"{subject}_{split}.csv", folder / split / f"{subject}_{split}.csv"]
    files = files or [file for file in places if file.is_file()][:1]
    if not files:
        raise UserError(
            f"{where} has neither {subject}/{split}-*.parquet nor {subject}_{split}.csv for the "
            f"subject {subject}; use another subject=, or check data.path and data.split"
        )
    return files


def _document(name: str, subject: str, row: dict[str, Any]) -> Document | str:
    try:
        choices = row["choices"] if "choices" in row else [row[f"choice{i}"] for i in range(4)]
        if isinstance(choices, str) or isinstance(row["question"], bytes):
            raise TypeError
        if any(map(is_empty, (row["question"], row["answer"], *choices))):
            return EMPTY_CELL
        if any(cell_text(choice) is None for choice in choices):
            raise TypeError
        if int(row["answer"]) not in range(len(choices)):
            raise ValueError
        return question_document(name, row["question"], choices, int(row["answer"]), subject)
    except (KeyError, TypeError, ValueError):
        raise UserError(
            f"{name} of MMLU has the columns {', '.join(map(str, row))}; expected are question, "
            "choices (or choice0 to choice3) and answer (0 to 3)"
        ) from None
