"""MMLU is read from local copies in both layouts, subject by subject, with the paper's prompt."""

from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from probe.config import Config, DataConfig, SubjectConfig
from probe.data import Document, load_documents
from probe.errors import UserError

HEADER = "question,choice0,choice1,choice2,choice3,answer"


def load(folder: Path, *subjects: str, split: str = "test") -> list[Document]:
    return load_documents(
        Config(
            data=DataConfig(source="mmlu", name="mmlu", path=str(folder), split=split),
            subject=SubjectConfig(name="chosen", mmlu=list(subjects)),
        )
    )


def write_csv(folder: Path, subject: str, *lines: str, split: str = "test") -> None:
    (folder / f"{subject}_{split}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def row(question: str, answer: int) -> dict[str, Any]:
    return {
        "question": question,
        "subject": "anatomy",
        "choices": ["one", "two", "three", "four"],
        "answer": answer,
    }


def test_a_csv_with_a_header_becomes_the_papers_prompt(tmp_path: Path) -> None:
    write_csv(tmp_path, "anatomy", HEADER, '"Which, né?",rib,"a, b",hip,toe,2')
    assert load(tmp_path, "anatomy") == [
        Document(
            name="anatomy/0",
            text="Question: Which, né?\nA) rib\nB) a, b\nC) hip\nD) toe\nAnswer:",
            subject="anatomy",
            answer=2,
            turns=(
                ("system", "You are a helpful assistant."),
                ("user", "Question: Which, né?\nA) rib\nB) a, b\nC) hip\nD) toe\nAnswer:"),
            ),
            labels={"letter": "C", "choices": 4},
            choices=("rib", "a, b", "hip", "toe"),
            parts=(("question", "Which, né?"),),
        )
    ]


def test_parquet_in_the_hubs_layout_is_read_shard_after_shard(tmp_path: Path) -> None:
    for shard in (3, 0, 5, 1, 4, 2):
        rows = [row(f"{shard}{number}?", number) for number in range(3)]
        write_parquet(tmp_path / "anatomy" / f"test-0000{shard}-of-00006.parquet", rows)
    write_parquet(tmp_path / "anatomy" / "dev-00000-of-00001.parquet", [row("dev?", 3)])

    documents = load(tmp_path, "anatomy")
    assert [document.text.splitlines()[0] for document in documents] == [
        f"Question: {shard}{number}?" for shard in range(6) for number in range(3)
    ]
    assert documents[0].text == "Question: 00?\nA) one\nB) two\nC) three\nD) four\nAnswer:"
    assert [document.answer for document in documents] == [0, 1, 2] * 6
    assert [document.name for document in documents] == [f"anatomy/{i}" for i in range(18)]


def test_the_split_is_honoured(tmp_path: Path) -> None:
    write_csv(tmp_path, "anatomy", HEADER, "test?,a,b,c,d,0")
    write_csv(tmp_path, "anatomy", HEADER, "dev?,a,b,c,d,0", split="dev")
    (document,) = load(tmp_path, "anatomy", split="dev")
    assert document.text.startswith("Question: dev?\n")


def test_questions_come_subject_by_subject_in_the_order_asked_for(tmp_path: Path) -> None:
    for subject in ("anatomy", "virology", "marketing"):
        lines = [f"{subject} {number}?,a,b,c,d,{number}" for number in range(2)]
        write_csv(tmp_path, subject, HEADER, *lines)
    documents = load(tmp_path, "virology", "anatomy")
    assert [document.name for document in documents] == [
        "virology/0",
        "virology/1",
        "anatomy/0",
        "anatomy/1",
    ]
    assert [document.subject for document in documents] == ["virology"] * 2 + ["anatomy"] * 2
    assert documents[3].text.startswith("Question: anatomy 1?\n")


def test_a_subject_without_a_file_is_named_with_the_files_looked_for(tmp_path: Path) -> None:
    write_csv(tmp_path, "anatomy", HEADER, "Which?,a,b,c,d,0")
    with pytest.raises(UserError) as raised:
        load(tmp_path, "anatomy", "virology")
    message = str(raised.value)
    assert "virology/test-*.parquet" in message
    assert "virology_test.csv" in message
    assert str(tmp_path) in message


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("question,choice0,choice1,choice2,answer", "Which?,a,b,c,0"),
        ("query,choice0,choice1,choice2,choice3,answer", "Which?,a,b,c,d,0"),
        ("question,choice0,choice1,choice2,choice3,key", "Which?,a,b,c,d,0"),
        ("What?,a,b,c,d,A", "Which?,a,b,c,d,B"),
        (HEADER, "Which?,a,b,c,d,B"),
    ],
    ids=["three choices", "no question", "no answer", "no header", "letter"],
)
def test_other_columns_are_listed_beside_those_wanted(
    tmp_path: Path, header: str, line: str
) -> None:
    write_csv(tmp_path, "anatomy", header, line)
    with pytest.raises(UserError) as raised:
        load(tmp_path, "anatomy")
    message = str(raised.value)
    assert "anatomy/0" in message
    assert all(column in message for column in header.split(","))
    assert "answer (0 to 3)" in message


@pytest.mark.parametrize("answer", ["4", "-1"])
def test_an_answer_that_is_no_choice_is_refused(tmp_path: Path, answer: str) -> None:
    write_csv(tmp_path, "anatomy", HEADER, "Which?,a,b,c,d,0", f"What?,a,b,c,d,{answer}")
    with pytest.raises(UserError, match=r"anatomy/1 .*answer \(0 to 3\)"):
        load(tmp_path, "anatomy")


def test_choices_written_out_as_one_text_are_refused_not_spelled_letter_by_letter(
    tmp_path: Path,
) -> None:
    # What pandas makes of the Hub's rows: the list becomes one cell.
    write_csv(tmp_path, "anatomy", "question,choices,answer", "Which?,\"['a' 'b' 'c' 'd']\",0")
    with pytest.raises(UserError, match=r"anatomy/0 .*choices"):
        load(tmp_path, "anatomy")


def test_a_subject_that_means_nothing_in_mmlu_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="subject=chosen has no texts in data=mmlu"):
        load(tmp_path)
