"""A template makes a text of every row of a table; columns that it names must be there."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from probe.config import Config, DataConfig
from probe.data import Document, fingerprint, load_documents
from probe.errors import UserError

WHEN = "When was the release date of {creator}'s {title}?"
ART = 'title,creator,release_date\nIt,Stephen King,1986-09-15\n"Catch-22, né",Heller,\n'


def load(path: Path, template: str) -> list[Document]:
    data = DataConfig(source="table", path=str(path), template=template)
    return list(load_documents(Config(data=data)))


def table(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_row_becomes_a_text_and_its_columns_labels(tmp_path: Path) -> None:
    path = tmp_path / "art.csv"
    path.write_text(ART, encoding="utf-8")
    labels = {"title": "It", "creator": "Stephen King", "release_date": "1986-09-15"}
    assert load(path, WHEN) == [
        Document("art.csv/0", "When was the release date of Stephen King's It?", labels=labels),
        Document(
            "art.csv/1",
            "When was the release date of Heller's Catch-22, né?",
            labels={"title": "Catch-22, né", "creator": "Heller"},
        ),
    ]


def test_labels_of_other_kinds_keep_their_kind_where_they_can(tmp_path: Path) -> None:
    path = tmp_path / "places.parquet"
    row = {"name": "Sembuwatta", "latitude": 7.5, "people": 3, "open": True, "also": ["a"]}
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), path)
    (document,) = load(path, "{name} has {people} people at {latitude}.")
    assert document.text == "Sembuwatta has 3 people at 7.5."
    assert document.labels == {**row, "also": "['a']"}


def test_a_cell_is_never_read_as_a_template(tmp_path: Path) -> None:
    path = table(tmp_path, {"a": "{b}", "b": "{a.__class__}"})
    assert load(path, "{a}{b}{{a}}")[0].text == "{b}{a.__class__}{a}"


def test_names_of_columns_may_hold_anything_but_a_templates_signs(tmp_path: Path) -> None:
    path = table(tmp_path, {"Best Answer": "x", "a.b": "y", "a": "z"})
    assert load(path, "{Best Answer} {a.b}")[0].text == "x y"


def test_rows_with_an_empty_cell_in_the_template_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = table(
        tmp_path,
        *({"a": value, "b": ""} for value in ["one", "", None, " ", 0]),
        {"b": "no a at all"},
    )
    with caplog.at_level(logging.INFO):
        documents = load(path, "{a}!")
    assert [(document.name, document.text) for document in documents] == [
        ("mine.jsonl/0", "one!"),
        ("mine.jsonl/4", "0!"),
    ]
    assert "4 of 6 rows left out: an empty cell" in caplog.text


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{creater}?", "a column 'creater' that .* lacks; did you mean 'creator'"),
        ("{zzz}?", "a column 'zzz' that .* lacks; its columns are title, creator"),
        ("{title.__class__}", r"a column 'title.__class__' that .* lacks"),
        ("{title[0]}", r"a column 'title\[0\]' that .* lacks"),
        (
            "{}",
            r"braces around something other than a column's plain name \(''\); write e.g. {title}",
        ),
        ("{0}", r"plain name \('0'\)"),
        ("{title!r}", r"plain name \('title', formatted\)"),
        ("{title:>99999999999}", r"plain name \('title', formatted\)"),
        ("{title", "is not a template: expected '}'"),
        ("title}", "is not a template: Single '}'"),
        ("What is it?", "names no column"),
        ("", "names no column"),
    ],
)
def test_a_bad_template_is_refused_in_a_line(tmp_path: Path, template: str, said: str) -> None:
    path = tmp_path / "art.csv"
    path.write_text(ART, encoding="utf-8")
    with pytest.raises(UserError, match=said) as raised:
        load(path, template)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("value", [["a"], {"b": 1}])
def test_a_cell_that_is_no_text_is_placed(tmp_path: Path, value: Any) -> None:
    path = table(tmp_path, {"a": "x"}, {"a": value})
    kind = type(value).__name__
    with pytest.raises(UserError, match=f"has {kind} in column 'a' of row 2"):
        load(path, "{a}")


def test_a_table_without_rows_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "art.csv"
    path.write_text("title,creator\n")
    with pytest.raises(UserError, match="data=art has no non-empty text"):
        load(path, "{title}")


def asked(path: Path, choices: list[str], answer: str = "label") -> list[Document]:
    data = DataConfig("table", path=str(path), template="{text}", choices=choices, answer=answer)
    return list(load_documents(Config(data=data)))


def test_rows_with_choices_are_questions(tmp_path: Path) -> None:
    path = table(tmp_path, {"text": "Fine.", "label": "good"}, {"text": "Bad.", "label": 0})
    first, second = asked(path, ["bad", "good"])
    assert (first.choices, first.answer) == (("bad", "good"), 1)
    assert (second.choices, second.answer) == (("bad", "good"), 0)
    assert first.labels == {"text": "Fine.", "label": "good"}


def test_choices_are_templates_of_a_row(tmp_path: Path) -> None:
    row = {"text": "1 + 1?", "a": "two", "b": 11, "label": "11"}
    (document,) = asked(table(tmp_path, row), ["{a}", "{b}", "none"])
    assert (document.choices, document.answer) == (("two", "11", "none"), 1)


def test_choices_leave_the_fingerprint_alone() -> None:
    """Runs of before there were choices are found again."""
    known = "388d1b0e"  # sha256 of the document's repr in those days
    document = Document("a/0", "text", "a", 1, (("user", "text"),), {"letter": "B", "choices": 2})
    with_choices = replace(document, choices=("x", "y"))
    assert fingerprint([document]) == fingerprint([with_choices])
    assert fingerprint([document]).startswith(known)


@pytest.mark.parametrize(
    ("choices", "answer", "said"),
    [
        (["bad", "good"], "label", "mine.jsonl has the answer 'fine' in row 1; it must be one of"),
        (["bad", "{good}"], "label", "data.choices names a column 'good' that "),
        (["bad", "good"], "labels", "data.answer names a column 'labels' that "),
        (["bad", "{"], "label", "data.choices='{' is not a template"),
    ],
)
def test_choices_that_no_row_has_are_told(
    tmp_path: Path, choices: list[str], answer: str, said: str
) -> None:
    path = table(tmp_path, {"text": "Fine.", "label": "fine"})
    with pytest.raises(UserError) as error:
        asked(path, choices, answer)
    assert said in str(error.value)
