"""The bundled text: passages and questions written for probe, on eight subjects."""

from __future__ import annotations

from pathlib import Path

from probe.config import Config
from probe.data.choices import prompt
from probe.data.document import Document
from probe.data.files import read_rows
from probe.errors import UserError, nearest

FILE = Path(__file__).resolve().parent.parent / "assets" / "sample.jsonl"
KINDS = {"passages": "passage", "questions": "question"}


def load(config: Config) -> list[Document]:
    """Load the passages or the questions (`data.split`) of the chosen subjects."""
    split = config.data.split
    if split not in KINDS:
        hint = nearest(split, KINDS) or f"; take {' or '.join(KINDS)}"
        raise UserError(f"data.split={split} is no part of the sample text{hint}")
    subjects = config.subject.sample if config.subject else []
    documents = []
    for number, row in enumerate(read_rows(FILE)):
        if row["kind"] == KINDS[split] and row["subject"] in subjects:
            text = row["text"] if "text" in row else prompt(row["question"], row["choices"])
            name = f"{row['subject']}/{number}"
            documents.append(Document(name, text, row["subject"], row.get("answer")))
    return documents
