"""The bundled text is what its page promises, and its parts and subjects can be chosen."""

import json
from collections import Counter
from pathlib import Path

import pytest

import probe
from probe.config import Config, DataConfig, SubjectConfig
from probe.config.subjects import subject_options
from probe.data import Document, load_documents
from probe.errors import UserError

SUBJECTS = {
    "psychology",
    "mathematics",
    "macroeconomics",
    "moral_disputes",
    "biology",
    "history",
    "law",
    "computing",
}


def sample(split: str, subject: str = "all") -> list[Document]:
    chosen = SubjectConfig(name=subject, sample=subject_options()[subject]["sample"])
    return load_documents(Config(data=DataConfig(source="sample", split=split), subject=chosen))


def test_passages_have_200_to_500_words_and_cover_exactly_eight_subjects() -> None:
    passages = sample("passages")
    counts = Counter(passage.subject for passage in passages)
    assert len(passages) >= 96
    assert set(counts) == SUBJECTS
    assert min(counts.values()) >= 12
    assert all(200 <= len(passage.text.split()) <= 500 for passage in passages)
    assert {passage.answer for passage in passages} == {None}
    assert {passage.turns for passage in passages} == {()}


def test_there_are_64_questions_whose_answers_are_spread_over_0_to_3() -> None:
    questions = sample("questions")
    assert len(questions) == 64
    assert set(Counter(question.subject for question in questions).values()) == {8}
    assert Counter(question.answer for question in questions) == {0: 16, 1: 16, 2: 16, 3: 16}


def test_no_text_and_no_name_comes_twice() -> None:
    documents = sample("passages") + sample("questions")
    assert len({document.text for document in documents}) == len(documents)
    assert len({document.name for document in documents}) == len(documents)


def test_every_question_is_put_as_the_paper_puts_it() -> None:
    file = Path(str(probe.__file__)).parent / "assets" / "sample.jsonl"
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    expected = [
        "Question: {}\nA) {}\nB) {}\nC) {}\nD) {}\nAnswer:".format(row["question"], *row["choices"])
        for row in rows
        if row["kind"] == "question"
    ]
    questions = sample("questions")
    assert [question.text for question in questions] == expected
    assert [question.turns for question in questions] == [
        (("system", "You are a helpful assistant."), ("user", text)) for text in expected
    ]
    assert all(question.labels["choices"] == 4 for question in questions)
    assert [question.labels["letter"] for question in questions] == [
        "ABCD"[question.answer or 0] for question in questions
    ]


@pytest.mark.parametrize("split", ["passages", "questions"])
def test_a_subject_selects_its_own_texts_and_no_others(split: str) -> None:
    everything = sample(split)
    law = sample(split, "law")
    assert law == [document for document in everything if document.subject == "law"]
    assert law
    stem = {document.subject for document in sample(split, "stem")}
    assert stem == {"mathematics", "biology", "computing"}


def test_an_unknown_split_is_answered_with_the_parts_there_are() -> None:
    with pytest.raises(UserError, match=r"data\.split=test .*; use passages or questions"):
        sample("test")
    with pytest.raises(UserError, match=r"data\.split=question .*did you mean 'questions'"):
        sample("question")


def test_a_subject_without_texts_is_named() -> None:
    with pytest.raises(UserError, match=r"subject=virology has no texts in data=sample"):
        sample("passages", "virology")
