"""The bundled text: passages and questions on eight subjects, written for probe."""

from pathlib import Path

from probe.config import Config
from probe.data.choices import question_document
from probe.data.document import Document
from probe.data.files import read_rows
from probe.errors import UserError, nearest

FILE = Path(__file__).resolve().parent.parent / "assets" / "sample.jsonl"
KINDS = {"passages": "passage", "questions": "question"}


def load(config: Config) -> list[Document]:
    """Load the passages or the questions (`data.split`) of the chosen subjects."""
    split = config.data.split
    if split not in KINDS:
        hint = nearest(split, KINDS) or f"; use {' or '.join(KINDS)}"
        raise UserError(f"data.split={split} is not a part of the sample text{hint}")
    subjects = config.subject.sample if config.subject else []
    documents = []
    for number, row in enumerate(read_rows(FILE)):
        if row["kind"] == KINDS[split] and row["subject"] in subjects:
            name, subject = f"{row['subject']}/{number}", row["subject"]
            documents.append(
                Document(name, row["text"], subject)
                if "text" in row
                else question_document(
                    name, row["question"], row["choices"], row["answer"], subject
                )
            )
    return documents
