"""Files of every kind hold the same rows, in folders, patterns, archives and saved data sets."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pyarrow.parquet
import pytest

from probe.config import Config, DataConfig, SubjectConfig
from probe.data import load_documents
from probe.data.document import Document, DocumentList, Stream
from probe.errors import UserError

TEXTS = ["one né", "two; and, more\tsaid", 'three "quoted"\nlines']
ROWS = [{"id": str(number), "text": text} for number, text in enumerate(TEXTS)]


def load(path: Path | str, source: str = "text", **data: Any) -> DocumentList:
    config = Config(data=DataConfig(source=source, path=str(path), **data))
    documents = load_documents(config)
    assert isinstance(documents, DocumentList)
    return documents


def texts(path: Path | str, source: str = "text", **data: Any) -> list[str]:
    return [document.text for document in load(path, source, **data)]


def separated(rows: Sequence[dict[str, str]], sign: str) -> str:
    cells = [[*rows[0]], *([*row.values()] for row in rows)]
    quoted = [['"' + cell.replace('"', '""') + '"' for cell in line] for line in cells]
    return "\n".join(sign.join(line) for line in quoted) + "\n"


KINDS: dict[str, str] = {
    "a.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS),
    "a.json": json.dumps(ROWS, indent=1),
    "lines.json": "".join(json.dumps(row) + "\n" for row in ROWS),
    "within.json": json.dumps({"data": ROWS}),
    "texts.json": json.dumps(TEXTS),
    "a.csv": separated(ROWS, ","),
    "semicolons.csv": separated(ROWS, ";"),
    "tabs.csv": separated(ROWS, "\t"),
    "a.tsv": separated(ROWS, "\t"),
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_every_kind_holds_the_rows(tmp_path: Path, name: str, zipped: bool) -> None:
    content = KINDS[name].encode()
    file = tmp_path / f"{name}{'.GZ' * zipped}"
    file.write_bytes(gzip.compress(content) if zipped else content)
    assert texts(file) == TEXTS
    assert texts(file, "openwebtext", name="web") == TEXTS
    assert texts(file, "table", template="{text}!") == [f"{text}!" for text in TEXTS]


def test_a_zipped_txt_is_one_text_in_every_data_set(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"one\r\n\r\ntwo"))
    assert texts(tmp_path / "a.txt.gz") == ["one\n\ntwo"]
    assert texts(tmp_path / "a.txt.gz", "mbpp", column="code") == ["one\n\ntwo"]


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        ("text", "one; two", "one; two"),
        ("id;text", "1;one, two", "one, two"),
        ("a,b;text", "1;one", "one"),
        ('"a;b",text', "1,one;", "one;"),
    ],
)
def test_what_separates_cells_is_seen_by_the_rows(
    tmp_path: Path, header: str, row: str, expected: str
) -> None:
    (tmp_path / "a.csv").write_text(f"{header}\n{row}\n")
    assert texts(tmp_path / "a.csv") == [expected]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "a.csv",
            "id;text\n1;a;b\n",
            r"line 2 has 3 cells and .* 2; .* contain semicolons$",
        ),
        ("a.tsv", "id\ttext\n1\ta\tb\n", r"line 2 has 3 cells and the header 2; .* contain tabs"),
        ("a.json", "[1]", r"a\.json row 1 is not a JSON object"),
        ("a.json", "3", r"a\.json is neither a JSON list nor an object"),
        ("a.json", "[{]", r"a\.json is not JSON: "),
        ("a.json", "[\n{]\n", r"a\.json is not JSON: .* at line 2 column 2"),
        ("a.json", '{"text": "a"}\n{"text": 1\n', r"a\.json line 2 is not JSON"),
        ("a.jsonl.gz", "no gzip", r"a\.jsonl\.gz is not a whole gzip file \(Not a gzipped file"),
    ],
)
def test_mistakes_in_files_cost_one_line(
    tmp_path: Path, name: str, content: str, said: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=said) as refused:
        load(tmp_path / name)
    assert len(str(refused.value).splitlines()) == 1


def test_a_zipped_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(KINDS["a.jsonl"].encode())[:-9])
    with pytest.raises(UserError, match="is not a whole gzip file"):
        load(tmp_path / "a.jsonl.gz")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder of texts, with other files."""
    for name in ("b.txt", "a.txt", "sub/c.txt", ".hidden/d.txt", ".e.txt", "notes.docx"):
        file = tmp_path / "mine" / name
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(name)
    return tmp_path / "mine"


def test_a_folder_is_read_file_by_file(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        documents = load(folder)
    assert [(one.name, one.text) for one in documents] == [
        ("a.txt/0", "a.txt"), ("b.txt/0", "b.txt"), ("sub/c.txt/0", "sub/c.txt"),
    ]  # fmt: skip
    assert f"1 file in {folder} left out, such as notes.docx" in caplog.text
    assert texts(folder, "openwebtext", name="web") == ["a.txt", "b.txt", "sub/c.txt"]


def test_a_pattern_finds_files(folder: Path) -> None:
    assert [one.name for one in load(f"{folder}/*.txt")] == ["a.txt/0", "b.txt/0"]
    assert texts(f"{folder}/**/[bc].txt") == ["b.txt", "sub/c.txt"]
    (folder / "[x].txt").write_text("a name, no pattern")
    assert texts(folder / "[x].txt") == ["a name, no pattern"]
    with pytest.raises(UserError, match=r"\*\.docx has no file of \.txt, .*; give another folder"):
        load(f"{folder}/*.docx")


def test_a_folder_of_a_named_data_set_is_read_by_splits(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / f"{split}.jsonl").write_text(json.dumps({"text": split}))
    assert texts(tmp_path, "openwebtext", split="train") == ["train"]
    with pytest.raises(UserError, match=r"has no data/dev-\*\.parquet .* for data\.split=dev"):
        load(tmp_path, "openwebtext", split="dev")
    assert texts(tmp_path) == ["test", "train"], "texts of one's own have any names"


def test_what_datasets_has_saved_is_read(tmp_path: Path) -> None:
    rows = datasets.Dataset.from_list(ROWS)
    rows.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict({"train": rows}).save_to_disk(str(tmp_path / "splits"))
    assert texts(tmp_path / "one") == TEXTS
    assert texts(tmp_path / "splits", "table", template="{text}", split="train") == TEXTS
    with pytest.raises(UserError, match=r"has no split 'test'; its splits are train$"):
        load(tmp_path / "splits")
    (tmp_path / "one" / "state.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read as a saved data set: "):
        load(tmp_path / "one")


MISSING = [None, float("nan"), "", " "]


def _mmlu(folder: Path, cell: Any, column: str) -> Path:
    row = {"question": "What?", "choices": ["a", "b"], "answer": 1}
    row[column] = ["a", cell] if column == "choices" else cell
    table = pyarrow.Table.from_pylist([{"question": "Q?", "choices": ["a", "b"], "answer": 0}, row])
    (folder / "law").mkdir()
    pyarrow.parquet.write_table(table, folder / "law" / "test-0.parquet")
    return folder


def _lines(folder: Path, *rows: dict[str, Any]) -> Path:
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "a.jsonl"


@pytest.mark.parametrize("cell", MISSING, ids=repr)
@pytest.mark.parametrize("source", ["text", "hub", "table"])
def test_rows_without_a_text_are_left_out_and_counted(
    tmp_path: Path, source: str, cell: Any
) -> None:
    path = _lines(tmp_path, {"text": "one"}, {"text": cell})
    documents = load(path, source, template="{text}" if source == "table" else None)
    assert [one.text for one in documents] == ["one"]
    why = "an empty cell" if source == "table" else "no text"
    assert documents.skipped == {why: 1}


@pytest.mark.parametrize("column", ["question", "choices", "answer"])
def test_questions_with_a_missing_part_are_left_out_and_counted(
    tmp_path: Path, column: str
) -> None:
    path = _mmlu(tmp_path, None, column)
    data = DataConfig(source="mmlu", path=str(path))
    documents = load_documents(Config(data=data, subject=SubjectConfig("law", mmlu=["law"])))
    assert isinstance(documents, DocumentList)
    assert [one.name for one in documents] == ["law/0"]
    assert documents.skipped == {"an empty cell": 1}


@pytest.mark.parametrize("change", [{"question": None}, {"options": ["a", None]}])
def test_questions_of_ten_choices_likewise(tmp_path: Path, change: dict[str, Any]) -> None:
    row = {"question": "Q?", "options": ["a", "b"], "answer_index": 1, "category": "law"}
    data = DataConfig(source="mmlu_pro", path=str(_lines(tmp_path, row, row | change)))
    documents = load_documents(Config(data=data, subject=SubjectConfig("law", mmlu_pro=["law"])))
    assert isinstance(documents, DocumentList)
    assert (len(documents), documents.skipped) == (1, {"an empty cell": 1})


TRUTH = {"question": b"Is it?", "correct_answers": ["Yes"], "incorrect_answers": ["No"]}
QUESTION = {"question": b"What?", "choices": ["a", "b"], "answer": 1}
OPTIONS = {"question": b"What?", "options": ["a", "b"], "answer_index": 1, "category": "law"}


@pytest.mark.parametrize(
    ("source", "row", "said"),
    [
        ("text", {"text": b"a"}, "has bytes, not text, in column 'text' of row 1"),
        ("table", {"text": b"a"}, r"has bytes in column 'text' of row 1; data\.template accepts"),
        ("truthfulqa", TRUTH, "is not TruthfulQA in row 1"),
        ("mmlu", QUESTION, "of MMLU has the columns question, choices, answer"),
        ("mmlu_pro", OPTIONS, "is not MMLU-Pro in row 1"),
    ],
)
def test_bytes_are_no_text(tmp_path: Path, source: str, row: dict[str, Any], said: str) -> None:
    (tmp_path / "law").mkdir()
    file = tmp_path / "law" / "test-0.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), file)
    path = tmp_path if source == "mmlu" else file
    data = DataConfig(source=source, path=str(path), template="{text}")
    subject = SubjectConfig("law", mmlu=["law"], mmlu_pro=["law"])
    with pytest.raises(UserError, match=said):
        load_documents(Config(data=data, subject=subject))


def test_mmlu_is_found_above_the_folder_of_its_split(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    csv = "question,choice0,choice1,choice2,choice3,answer\nWhat?,a,b,c,d,1\n"
    (tmp_path / "test" / "law_test.csv").write_text(csv)
    data = DataConfig(source="mmlu", path=str(tmp_path))
    config = Config(data=data, subject=SubjectConfig("law", mmlu=["law"]))
    assert [one.name for one in load_documents(config)] == ["law/0"]


def test_a_stream_counts_the_rows_that_it_has_read() -> None:
    stream = Stream(lambda: iter([Document("a", "one"), "no text", Document("b", "two")]), "x")
    reading = iter(stream)
    assert [next(reading).name, stream.skipped] == ["a", {}]
    assert ([one.name for one in reading], stream.skipped) == (["b"], {"no text": 1})
    assert (len(list(stream)), stream.skipped) == (2, {"no text": 1})
