"""TruthfulQA: questions that some people answer falsely (Lin et al. 2022, arXiv:2109.07958)."""

from collections.abc import Iterable, Iterator
from typing import Any

from probe.config import Config
from probe.data.cells import cell_text, is_empty
from probe.data.document import EMPTY_CELL, Document, Documents, Label
from probe.data.formats import Row
from probe.data.rows import documents_of, origin
from probe.errors import UserError

_ANSWERS = {"correct_answers": True, "incorrect_answers": False}


def load(config: Config) -> Documents:
    """Load a document from every answer, correct or not, to every question.

    Its labels are `correct`, `question` (the number that groups a question's answers) and
    `category`.
    """

    def documents(rows: Iterable[Row]) -> Iterator[Document | str]:
        for number, row in enumerate(rows):
            yield from _answers(number, row, origin(config.data))

    return documents_of(config.data, documents)


def _answers(number: int, row: Row, where: str) -> Iterator[Document | str]:
    # The authors' csv has "Correct Answers" where the Hub has correct_answers.
    fields = {name.lower().replace(" ", "_"): value for name, value in row.items()}
    try:
        wanted = [fields["question"], *(fields[name] for name in _ANSWERS)]
        if any(map(is_empty, wanted)):
            yield EMPTY_CELL
            return
        question = fields["question"].strip()
        answers = [
            (text, true) for name, true in _ANSWERS.items() for text in _listed(fields[name])
        ]
        if not all(isinstance(text, str) for text in (question, *(text for text, _ in answers))):
            raise TypeError
    except (AttributeError, KeyError, TypeError):
        raise UserError(
            f"{where} is not TruthfulQA in row {number + 1}, with the columns "
            f"{', '.join(map(str, row))}; expected are question, correct_answers and "
            "incorrect_answers (lists, or texts with semicolons between the answers)"
        ) from None
    if not question or not answers:
        yield EMPTY_CELL
        return
    category = fields.get("category")
    for place, (answer, true) in enumerate(answers):
        if not answer:
            yield EMPTY_CELL
            continue
        labels: dict[str, Label] = {
            "correct": true,
            "question": number,
            "category": cell_text(category) or "",
        }
        yield Document(
            name=f"truthfulqa/{number}/{place}",
            text=f"Question: {question} Answer: {answer}",
            turns=(("user", question), ("assistant", answer)),
            group=f"truthfulqa/{number}",
            labels=labels,
            parts=(("question", question), ("answer", answer)),
        )


def _listed(answers: Any) -> list[str]:
    """List the answers, which the authors' csv separates by semicolons; a missing one is empty."""
    if isinstance(answers, str) and answers.startswith("["):
        raise TypeError  # a list written as one text, without semicolons
    if isinstance(answers, str):
        return [part.strip() for part in answers.split(";") if part.strip()]
    return [
        "" if is_empty(part) else part.strip() for part in answers if is_empty(part) or part.strip()
    ]
