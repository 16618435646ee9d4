"""TruthfulQA: questions that some people answer falsely (Lin et al. 2022, arXiv:2109.07958)."""

from collections.abc import Iterable, Iterator
from typing import Any

from probe.config import Config
from probe.data.document import Document, Documents
from probe.data.files import Row
from probe.data.rows import documents_of, origin
from probe.errors import UserError

_ANSWERS = {"correct_answers": True, "incorrect_answers": False}


def load(config: Config) -> Documents:
    """Load a document from every answer, correct or not, to every question.

    Its labels are `correct`, `question` (the number that groups a question's answers) and
    `category`.
    """

    def documents(rows: Iterable[Row]) -> Iterator[Document]:
        for number, row in enumerate(rows):
            yield from _answers(number, row, origin(config.data))

    return documents_of(config.data, documents)


def _answers(number: int, row: Row, where: str) -> Iterator[Document]:
    # The authors' csv has "Correct Answers" where the Hub has correct_answers.
    fields = {name.lower().replace(" ", "_"): value for name, value in row.items()}
    try:
        question = fields["question"].strip()
        answers = [
            (text, true) for name, true in _ANSWERS.items() for text in _listed(fields[name])
        ]
    except (AttributeError, KeyError, TypeError):
        raise UserError(
            f"{where} is not TruthfulQA in row {number + 1}, with the columns "
            f"{', '.join(map(str, row))}; expected are question, correct_answers and "
            "incorrect_answers (lists, or texts with semicolons between the answers)"
        ) from None
    for place, (answer, true) in enumerate(answers):
        labels = {"correct": true, "question": number, "category": fields.get("category") or ""}
        yield Document(
            name=f"truthfulqa/{number}/{place}",
            text=f"Question: {question} Answer: {answer}",
            turns=(("user", question), ("assistant", answer)),
            group=f"truthfulqa/{number}",
            labels=labels,
            parts=(("question", question), ("answer", answer)),
        )


def _listed(answers: Any) -> list[str]:
    """List the answers, which the authors' csv separates by semicolons."""
    if isinstance(answers, str) and answers.startswith("["):
        raise TypeError  # a list written as one text, without semicolons
    parts = answers.split(";") if isinstance(answers, str) else answers
    return [part.strip() for part in parts if part.strip()]
