"""MMLU-Pro is read from local copies of three kinds, with MMLU's prompt and up to ten choices."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from probe.config import Config, DataConfig, SubjectConfig
from probe.config.subjects import subject_options
from probe.data import Document, load_documents
from probe.errors import UserError

LETTERS = "ABCDEFGHIJ"


def load(path: Path, *categories: str, split: str = "test") -> list[Document]:
    config = Config(
        data=DataConfig(source="mmlu_pro", name="mmlu_pro", path=str(path), split=split),
        subject=SubjectConfig(name="chosen", mmlu_pro=list(categories)),
    )
    return list(load_documents(config))


def row(number: int, category: str, options: list[str], answer: int) -> dict[str, Any]:
    return {
        "question_id": number,
        "question": f"What of {number}, né?",
        "options": options,
        "answer": LETTERS[answer],
        "answer_index": answer,
        "cot_content": "",
        "category": category,
        "src": f"ori_mmlu-{category}",
    }


ROWS = [
    row(70, "business", [f"choice {i}" for i in range(10)], 8),
    row(71, "computer science", ["one", "two", "three"], 2),
    row(72, "business", ["yes", "no", "maybe", "never"], 0),
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows({**row, "options": json.dumps(row["options"])} for row in rows)
    return path


@pytest.mark.parametrize("name", ["pro.parquet", "pro.jsonl", "pro.csv"])
def test_every_kind_of_file_gives_the_same_questions(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, ROWS)
    text = "Question: What of 71, né?\nA) one\nB) two\nC) three\nAnswer:"
    assert load(path, "computer science") == [
        Document(
            name="computer_science/71",
            text=text,
            subject="computer science",
            answer=2,
            turns=(("system", "You are a helpful assistant."), ("user", text)),
            labels={
                "letter": "C",
                "choices": 3,
                "question": "71",
                "source": "ori_mmlu-computer science",
            },
            choices=("one", "two", "three"),
            parts=(("question", "What of 71, né?"),),
        )
    ]


def test_ten_choices_have_ten_letters(tmp_path: Path) -> None:
    (question, _) = load(write(tmp_path / "pro.jsonl", ROWS), "business")
    assert question.text.splitlines()[1:] == [
        *(f"{letter}) choice {i}" for i, letter in enumerate(LETTERS)),
        "Answer:",
    ]
    assert question.labels["letter"] == "I"


def test_questions_keep_the_order_of_the_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "pro.jsonl", ROWS)
    names = [document.name for document in load(path, "computer science", "business")]
    assert names == ["business/70", "computer_science/71", "business/72"]


def test_a_folder_is_read_as_the_hub_lays_it_out(tmp_path: Path) -> None:
    write(tmp_path / "data/test-00000-of-00001.parquet", ROWS[:1])
    write(tmp_path / "data/validation-00000-of-00001.parquet", ROWS[2:])
    assert [document.name for document in load(tmp_path, "business")] == ["business/70"]
    (document,) = load(tmp_path, "business", split="validation")
    assert document.name == "business/72"


@pytest.mark.parametrize(
    ("options", "answer", "expected"),
    [
        (["a", "b", "c", "N/A", "N/A"], 1, ("B", 1, 3)),
        (["N/A", "a", "N/A", "b"], 3, ("B", 1, 2)),
        (["a", "a", "b"], 1, ("B", 1, 3)),
    ],
)
def test_padding_is_no_choice_and_the_answer_stays_the_same(
    tmp_path: Path, options: list[str], answer: int, expected: tuple[str, int, int]
) -> None:
    (document,) = load(write(tmp_path / "a.jsonl", [row(1, "law", options, answer)]), "law")
    assert (document.labels["letter"], document.answer, document.labels["choices"]) == expected
    assert "N/A" not in document.text


def test_a_category_without_questions_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "pro.jsonl", ROWS)
    with pytest.raises(UserError, match=r"pro\.jsonl has no questions on physics, law$"):
        load(path, "business", "physics", "law")


@pytest.mark.parametrize(
    "change",
    [
        {"options": "['one' 'two']"},
        {"options": 3},
        {"options": ["one", 2]},
        {"question": 3},
        {"answer_index": 3},
        {"answer_index": -1},
        {"answer_index": "C"},
        {"options": ["one", "two", "N/A"]},
    ],
    ids=str,
)
def test_what_is_no_question_is_placed_with_the_columns_wanted(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    path = write(tmp_path / "pro.jsonl", [ROWS[0], ROWS[1] | change])
    with pytest.raises(UserError, match=r"not MMLU-Pro in row 2, .* expected are question, opt"):
        load(path, "business", "computer science")


def test_rows_without_a_category_are_refused_not_passed_over(tmp_path: Path) -> None:
    rows = [{name: value for name, value in ROWS[0].items() if name != "category"}]
    with pytest.raises(UserError, match=r"is not MMLU-Pro in row 1, .* and category$"):
        load(write(tmp_path / "pro.jsonl", rows), "business")


def test_a_subject_that_mmlu_pro_has_not_is_an_error(tmp_path: Path) -> None:
    meaning = subject_options()["geography"]
    config = Config(
        data=DataConfig(source="mmlu_pro", name="mmlu_pro", path=str(tmp_path)),
        subject=SubjectConfig(name="geography", **meaning),
    )
    with pytest.raises(UserError) as raised:
        load_documents(config)
    assert str(raised.value) == (
        "subject=geography has no texts in data=mmlu_pro; use another subject or subject=all"
    )
