"""MMLU-Pro: questions of three to ten choices (Wang et al. 2024, arXiv:2406.01574)."""

import json
from collections.abc import Iterable, Iterator

from probe.config import Config
from probe.data.cells import is_empty
from probe.data.choices import question_document
from probe.data.document import EMPTY_CELL, Document, Documents
from probe.data.formats import Row
from probe.data.rows import documents_of, origin
from probe.errors import UserError

# Pads a question to ten choices in some versions; the authors' own scripts drop it.
_NO_CHOICE = "N/A"


def load(config: Config) -> Documents:
    """Load the questions of the chosen categories, in the order of the rows."""
    categories = config.subject.mmlu_pro if config.subject else []
    if not categories:
        return []

    def documents(rows: Iterable[Row]) -> Iterator[Document | str]:
        missing = dict.fromkeys(categories)
        for number, row in enumerate(rows):
            if row.get("category", categories[0]) in categories:
                yield _document(number, row, origin(config.data))
                missing.pop(row["category"], None)
        if missing:
            raise UserError(f"{origin(config.data)} has no questions on {', '.join(missing)}")

    return documents_of(config.data, documents)


def _document(number: int, row: Row, where: str) -> Document | str:
    try:
        options = row["options"]
        if any(map(is_empty, (row["question"], row["answer_index"], options))):
            return EMPTY_CELL
        options = json.loads(options) if isinstance(options, str) else options
        if any(map(is_empty, options)):
            return EMPTY_CELL
        answer = int(row["answer_index"])
        if not all(isinstance(text, str) for text in [row["question"], *options]):
            raise TypeError
        if answer not in range(len(options)) or options[answer] == _NO_CHOICE:
            raise ValueError
        choices = [choice for choice in options if choice != _NO_CHOICE]
        answer -= options[:answer].count(_NO_CHOICE)
        identity = str(row.get("question_id", number))
        return question_document(
            f"{row['category'].replace(' ', '_')}/{identity}",
            row["question"],
            choices,
            answer,
            row["category"],
            {"question": identity, "source": row.get("src") or ""},
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UserError(
            f"{where} is not MMLU-Pro in row {number + 1}, with the columns "
            f"{', '.join(map(str, row))}; expected are question, options (in a csv a JSON list), "
            "answer_index (from 0) and category"
        ) from None
