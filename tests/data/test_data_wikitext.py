"""Articles of WikiText are put together from its lines."""

import json
from pathlib import Path

import pytest

from probe.config import Config, DataConfig
from probe.data import Document, load_documents
from probe.data.wikitext import articles
from probe.errors import UserError

# Blank rows stand around titles and headings only; formulas can look like titles.
LINES = [
    "",
    " = Robert Boulter = \n",
    "",
    " Robert Boulter is an actor . \n",
    " He was born in 1979 . \n",
    "",
    " = = Career = = \n",
    "",
    " He had a role : \n",
    " = 1 / s and a nominal k = \n",
    " In 2002 he played Marcus . \n",
    "",
    " = = = 2003 = = = \n",
    "",
    " 2003 . \n",
    "",
    " = Du Fu = \n",
    "",
    " Du Fu was a poet . \n",
]
BOULTER = [
    "= Robert Boulter =",
    "Robert Boulter is an actor .",
    "He was born in 1979 .",
    "= = Career = =",
    "He had a role :",
    "= 1 / s and a nominal k =",
    "In 2002 he played Marcus .",
    "= = = 2003 = = =",
    "2003 .",
]
ARTICLES = ["\n\n".join(BOULTER), "= Du Fu =\n\nDu Fu was a poet ."]


def load(path: Path) -> list[Document]:
    return list(load_documents(Config(data=DataConfig(source="wikitext", path=str(path)))))


def test_rows_of_lines_become_articles(tmp_path: Path) -> None:
    path = tmp_path / "wiki.jsonl"
    path.write_text("".join(json.dumps({"text": line}) + "\n" for line in LINES))
    assert load(path) == [Document(f"wikitext/{i}", text) for i, text in enumerate(ARTICLES)]


def test_the_original_file_gives_the_same_articles(tmp_path: Path) -> None:
    path = tmp_path / "wiki.test.txt"
    path.write_text("".join(line if line else " \n" for line in LINES))
    assert [document.text for document in load(path)] == ARTICLES


def test_articles_are_no_conversations(tmp_path: Path) -> None:
    path = tmp_path / "wiki.txt"
    path.write_text(" = A = \n \n a \n")
    assert load(path)[0].turns == ()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], []),
        (["", " "], []),
        ([" = A = "], ["= A ="]),
        (["before", "", " = A = ", "", "a"], ["before", "= A =\n\na"]),
        ([" = A = ", "", " = B = ", "", "b"], ["= A =", "= B =\n\nb"]),
        ([" = A = B = ", "", "a"], ["= A = B =\n\na"]),
        (["a", "", " = b = ", "c"], ["a\n\n= b =\n\nc"]),
        (["a", " = b = ", "", "c"], ["a\n\n= b =\n\nc"]),
        (["a", "", " = = b = = ", "", "c"], ["a\n\n= = b = =\n\nc"]),
        (["a", "", " == b == ", "", "c"], ["a\n\n== b ==\n\nc"]),
        (["a", "", " = ", "", "c"], ["a\n\n=\n\nc"]),
    ],
)
def test_only_a_title_between_blank_lines_begins_an_article(
    lines: list[str], expected: list[str]
) -> None:
    assert list(articles(lines)) == expected


def test_an_article_is_there_before_the_lines_after_the_next_title_are_read() -> None:
    read = []

    def lines() -> object:
        for line in [" = A = ", "", "a", "", " = B = ", "", "b", "c", "d"]:
            read.append(line)
            yield line

    assert next(articles(lines())) == "= A =\n\na"  # type: ignore[arg-type]
    assert read[-2:] == [" = B = ", ""]


def test_another_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "wiki.jsonl"
    path.write_text('{"page": " = A = "}\n')
    with pytest.raises(UserError, match="has no column 'text' in row 1; its columns are page"):
        load(path)
