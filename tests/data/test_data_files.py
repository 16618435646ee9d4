"""Texts of the user's own are read from four kinds of files, and mistakes in them are placed."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from probe.config import Config, DataConfig, SubjectConfig
from probe.data import Document, Stream, fingerprint, load_documents
from probe.errors import UserError

TEXTS = ["one né", 'two\nlines, "quoted"', "three\u2028more"]


def load(path: Path, source: str = "text", column: str = "text") -> list[Document]:
    return load_documents(Config(data=DataConfig(source=source, path=str(path), column=column)))


def _jsonl(path: Path, column: str) -> None:
    lines = [json.dumps({"id": i, column: text}) for i, text in enumerate(TEXTS)]
    path.write_text("\n".join([lines[0], "", *lines[1:]]) + "\n", encoding="utf-8")


def _csv(path: Path, column: str) -> None:
    cells = ['"' + text.replace('"', '""') + '"' for text in TEXTS]
    lines = [f"id,{column}", *(f"{i},{cell}" for i, cell in enumerate(cells))]
    path.write_bytes("\r\n".join(lines).encode())


def _parquet(path: Path, column: str) -> None:
    rows = [{"id": i, column: text} for i, text in enumerate(TEXTS)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


WRITERS: dict[str, Callable[[Path, str], None]] = {
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".parquet": _parquet,
}


@pytest.mark.parametrize("ending", WRITERS)
@pytest.mark.parametrize("column", ["text", "body"])
def test_every_row_of_a_table_is_a_document(tmp_path: Path, ending: str, column: str) -> None:
    path = tmp_path / f"mine{ending}"
    WRITERS[ending](path, column)
    assert load(path, column=column) == [
        Document(f"mine{ending}/{number}", text) for number, text in enumerate(TEXTS)
    ]


def test_a_txt_is_one_document_whatever_the_column(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_bytes("first né\n\nsecond\n".encode())
    expected = [Document("mine.txt/0", "first né\n\nsecond\n")]
    assert load(path) == expected
    assert load(path, column="body") == expected


def test_a_txt_from_windows_has_blank_lines_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_bytes(b"first\r\n\r\nsecond\r\n")
    assert [document.text for document in load(path)] == ["first\n\nsecond\n"]


def test_the_ending_may_be_written_in_capitals(tmp_path: Path) -> None:
    path = tmp_path / "MINE.TXT"
    path.write_text("one")
    assert [document.text for document in load(path)] == ["one"]


@pytest.mark.parametrize("source", ["text", "openwebtext"])
def test_empty_rows_are_dropped_and_the_others_keep_their_number(
    tmp_path: Path, source: str
) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(json.dumps({"text": t}) for t in ["a", "", " \n\t", None, "b"]))
    documents = load(path, source)
    assert [document.text for document in documents] == ["a", "b"]
    assert [document.name.rpartition("/")[2] for document in documents] == ["0", "4"]


def test_openwebtext_reads_a_local_copy(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    _parquet(path, "text")
    assert load(path, "openwebtext") == [
        Document(f"openwebtext/{number}", text) for number, text in enumerate(TEXTS)
    ]


@pytest.mark.parametrize("name", ["mine.docx", "mine", "mine.docx.gz", "mine.parquet.gz"])
def test_another_ending_is_answered_with_those_that_are_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("[]")
    with pytest.raises(UserError, match=re.escape(str(path))) as raised:
        load(path)
    assert ".txt, .jsonl, .csv, .parquet" in str(raised.value)


@pytest.mark.parametrize("ending", WRITERS)
def test_a_missing_column_is_answered_with_the_nearest(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"mine{ending}"
    WRITERS[ending](path, "texts")
    with pytest.raises(UserError, match=r"no column 'text' in row 1; did you mean 'texts'\?"):
        load(path)


def test_a_missing_column_with_none_near_is_answered_with_all_of_them(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"prompt": "a", "page": "b"}\n')
    with pytest.raises(UserError, match="no column 'text' in row 1; its columns are prompt, page"):
        load(path)


def test_a_row_that_lacks_the_column_of_the_others_is_numbered(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"text": "a"}\n{"text": "b"}\n{"txt": "c"}\n')
    with pytest.raises(UserError, match="no column 'text' in row 3"):
        load(path)


@pytest.mark.parametrize("ending", [".txt", ".jsonl", ".csv"])
def test_text_that_is_not_utf8_is_placed_in_the_whole_file(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"mine{ending}"
    # Far behind what is decoded at a time.
    line = b'{"text": "aaaa"}\n' if ending == ".jsonl" else b"text\n"
    before = line * 5000
    path.write_bytes(before + b"\xff\n")
    with pytest.raises(UserError, match="is not UTF-8 text") as raised:
        load(path)
    assert str(path) in str(raised.value)
    assert f"byte {len(before)})" in str(raised.value)


@pytest.mark.parametrize("ending", [".txt", ".jsonl", ".csv"])
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"mine{ending}"
    content = {".txt": "hello", ".jsonl": '{"text": "hello"}\n', ".csv": "text\r\nhello\r\n"}
    path.write_bytes(b"\xef\xbb\xbf" + content[ending].encode())
    assert [document.text for document in load(path)] == ["hello"]


@pytest.mark.parametrize(
    ("line", "what"), [("{'text': 1}", "not JSON"), ("[1]", "not a JSON object")]
)
def test_a_bad_json_line_is_numbered(tmp_path: Path, line: str, what: str) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"text": "a"}\n\n' + line + "\n")
    with pytest.raises(UserError, match=rf"mine\.jsonl line 3 is {what}"):
        load(path)


@pytest.mark.parametrize(("value", "kind"), [(3, "int"), (["a"], "list"), (True, "bool")])
def test_a_column_that_holds_no_text_is_refused(tmp_path: Path, value: Any, kind: str) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({"text": "a"}) + "\n" + json.dumps({"text": value}) + "\n")
    with pytest.raises(UserError, match=f"has {kind}, not text, in column 'text' of row 2"):
        load(path)


def test_text_that_no_tokenizer_takes_is_numbered(tmp_path: Path) -> None:
    # Half of a surrogate pair, which JSON can spell and UTF-8 cannot.
    path = tmp_path / "mine.jsonl"
    path.write_text('{"text": "a"}\n{"text": "cut \\ud83d"}\n')
    with pytest.raises(UserError, match="row 2"):
        load(path)


@pytest.mark.parametrize("ending", [".txt", ".jsonl", ".csv"])
def test_a_file_without_text_is_an_error(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"mine{ending}"
    path.write_text(" \n")
    with pytest.raises(UserError, match="data=mine has no non-empty text"):
        load(path, column=" ")


def test_a_file_that_only_calls_itself_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    path.write_text("no parquet at all")
    with pytest.raises(UserError, match=r"mine\.parquet is not a parquet file"):
        load(path)


@pytest.mark.parametrize(
    ("source", "hint"),
    [("openwebtxt", "did you mean 'openwebtext'?"), ("zzz", "choose from hub, mbpp, mmlu,")],
)
def test_an_unknown_source_is_answered_with_those_there_are(source: str, hint: str) -> None:
    with pytest.raises(UserError, match=re.escape(f"data.source={source} is unknown; {hint}")):
        load_documents(Config(data=DataConfig(source=source)))


def test_a_subject_of_data_that_has_no_text_in_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("")
    config = Config(
        data=DataConfig(source="text", path=str(path)), subject=SubjectConfig(name="law")
    )
    with pytest.raises(UserError, match="subject=law has no texts in data=mine"):
        load_documents(config)


DOCUMENTS = [Document("a/0", "one", "law", 1), Document("a/1", "two", "law", 2)]


def test_the_fingerprint_is_the_same_for_the_same_documents() -> None:
    again = [Document("a/0", "one", "law", 1), Document("a/1", "two", "law", 2)]
    assert fingerprint(again) == fingerprint(DOCUMENTS)


@pytest.mark.parametrize(
    "changed",
    [
        [Document("a/0", "One", "law", 1), DOCUMENTS[1]],
        [Document("b/0", "one", "law", 1), DOCUMENTS[1]],
        [Document("a/0", "one", "biology", 1), DOCUMENTS[1]],
        [Document("a/0", "one", None, 1), DOCUMENTS[1]],
        [Document("a/0", "one", "law", 3), DOCUMENTS[1]],
        [Document("a/0", "one", "law", None), DOCUMENTS[1]],
        [Document("a/0", "one", "law", 1, (("user", "one"),)), DOCUMENTS[1]],
        [Document("a/0", "one", "law", 1, labels={"year": 1}), DOCUMENTS[1]],
        DOCUMENTS[::-1],
        DOCUMENTS[:1],
        [*DOCUMENTS, DOCUMENTS[1]],
    ],
    ids=[
        "text",
        "name",
        "subject",
        "no subject",
        "answer",
        "no answer",
        "turns",
        "labels",
        "order",
        "fewer",
        "more",
    ],
)
def test_the_fingerprint_changes_with_every_part_of_the_documents(changed: list[Document]) -> None:
    assert fingerprint(changed) != fingerprint(DOCUMENTS)


def test_what_is_streamed_is_known_by_its_commit_and_not_read_for_it() -> None:
    def read() -> Iterator[Document]:
        raise AssertionError("nothing is to be read")
        yield

    assert fingerprint(Stream(read, "org/name at commit abc")) == "org/name at commit abc"


def test_a_document_with_labels_can_stand_in_a_set() -> None:
    document = Document("a", "b", labels={"year": 1})
    assert document in {document}


@pytest.mark.parametrize("folder", ["data", "train", "."])
def test_a_folder_is_read_as_the_hub_lays_it_out_split_by_split(
    tmp_path: Path, folder: str
) -> None:
    (tmp_path / folder).mkdir(exist_ok=True)
    for name in ("train-00001-of-00002", "train-00000-of-00002", "test-00000-of-00001"):
        rows = [{"code": name}]
        table = pyarrow.Table.from_pylist(rows)
        pyarrow.parquet.write_table(table, tmp_path / folder / f"{name}.parquet")
    data = DataConfig(
        source="mbpp", name="mbpp", path=str(tmp_path), config="train", split="train", column="code"
    )
    assert load_documents(Config(data=data)) == [
        Document("mbpp/0", "train-00000-of-00002"),
        Document("mbpp/1", "train-00001-of-00002"),
    ]


def test_a_folder_without_the_split_is_answered_with_the_files_looked_for(tmp_path: Path) -> None:
    data = DataConfig(source="mbpp", path=str(tmp_path), config="full", split="dev", column="code")
    with pytest.raises(UserError) as raised:
        load_documents(Config(data=data))
    message = str(raised.value)
    assert "full/dev-*.parquet or data/dev-*.parquet or dev-*.parquet" in message
    assert str(tmp_path) in message


def test_columns_that_do_hold_text_are_named(tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    turns = [{"role": "user", "content": "hello"}]
    path.write_text(json.dumps({"text": turns, "prompt": "a", "answer": "b"}) + "\n")
    with pytest.raises(UserError, match=r"has list, .* of row 1; text is in prompt, answer$"):
        load(path)
    path.write_text('{"text": 3}\n')
    with pytest.raises(UserError, match=r"none of its columns has text$"):
        load(path)
