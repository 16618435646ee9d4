"""Every answer of TruthfulQA is a document that says whether it is correct."""

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from probe.config import Config, DataConfig
from probe.data import Document, load_documents
from probe.data.document import DocumentList
from probe.errors import UserError

CSV = (
    "\ufeffType,Category,Question,Best Answer,Correct Answers,Incorrect Answers,Source\r\n"
    "Adversarial,Myths,What if you eat seeds?,Nothing,"
    '"Nothing happens; You eat seeds, that is all;",You grow melons; ;You die ,https://a.b\r\n'
    "Adversarial,Law,Is it legal?,Yes,Yes,No,https://a.b\r\n"
)
ROWS = [
    {
        "type": "Adversarial",
        "category": "Myths",
        "question": "What if you eat seeds?",
        "best_answer": "Nothing",
        "correct_answers": ["Nothing happens", "You eat seeds, that is all"],
        "incorrect_answers": ["You grow melons", "You die"],
        "source": "https://a.b",
    },
    {
        "type": "Adversarial",
        "category": "Law",
        "question": "Is it legal?",
        "best_answer": "Yes",
        "correct_answers": ["Yes"],
        "incorrect_answers": ["No"],
        "source": "https://a.b",
    },
]


def load(path: Path) -> list[Document]:
    data = DataConfig(source="truthfulqa", path=str(path), config="generation", split="validation")
    return list(load_documents(Config(data=data)))


def check(documents: list[Document]) -> None:
    seeds, legal = "What if you eat seeds?", "Is it legal?"
    expected = [
        ("0/0", seeds, "Nothing happens", True, 0, "Myths"),
        ("0/1", seeds, "You eat seeds, that is all", True, 0, "Myths"),
        ("0/2", seeds, "You grow melons", False, 0, "Myths"),
        ("0/3", seeds, "You die", False, 0, "Myths"),
        ("1/0", legal, "Yes", True, 1, "Law"),
        ("1/1", legal, "No", False, 1, "Law"),
    ]
    assert documents == [
        Document(
            name=f"truthfulqa/{name}",
            text=f"Question: {question} Answer: {answer}",
            turns=(("user", question), ("assistant", answer)),
            labels={"correct": correct, "question": number, "category": category},
            group=f"truthfulqa/{number}",  # answers to one question are alike
            parts=(("question", question), ("answer", answer)),
        )
        for name, question, answer, correct, number, category in expected
    ]


def test_the_authors_csv_is_taken_apart_at_semicolons(tmp_path: Path) -> None:
    path = tmp_path / "TruthfulQA.csv"
    path.write_bytes(CSV.encode())
    check(load(path))


def test_the_hubs_copy_has_lists(tmp_path: Path) -> None:
    path = tmp_path / "generation/validation-00000-of-00001.parquet"
    path.parent.mkdir()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    check(load(tmp_path))
    check(load(path))


@pytest.mark.parametrize(
    "change",
    [
        {"question": 3},
        {"incorrect_answers": 3},
        {"incorrect_answers": ["No", 3]},
        {"correct_answers": "['Yes' 'No']"},
    ],
    ids=str,
)
def test_what_is_no_truthfulqa_is_placed_with_the_columns_wanted(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps(ROWS[0]) + "\n" + json.dumps(ROWS[1] | change) + "\n")
    with pytest.raises(UserError, match=r"is not TruthfulQA in row 2, .* correct_answers and"):
        load(path)


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ({"question": None}, 0),
        ({"question": float("nan")}, 0),
        ({"question": " "}, 0),
        ({"correct_answers": None}, 0),
        ({"incorrect_answers": ["No", None]}, len(ROWS[1]["correct_answers"]) + 1),
    ],
    ids=str,
)
def test_what_is_missing_is_left_out_and_counted(
    tmp_path: Path, change: dict[str, Any], left: int
) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps(ROWS[1] | change) + "\n" + json.dumps(ROWS[0]) + "\n")
    config = Config(data=DataConfig(source="truthfulqa", name="truthfulqa", path=str(path)))
    documents = load_documents(config)
    assert isinstance(documents, DocumentList)
    assert sum(document.group == "truthfulqa/0" for document in documents) == left
    assert documents.skipped == {"an empty cell": 1}


def test_the_multiple_choice_part_is_answered_with_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"question": "Is it legal?", "mc1_targets": {}}\n')
    with pytest.raises(UserError, match="with the columns question, mc1_targets; expected are"):
        load(path)
