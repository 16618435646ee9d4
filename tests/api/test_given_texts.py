"""Texts that are given in place of the configuration's: read whole, in order, kept by content."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from probe import api
from probe.api import Document, UserError
from probe.data.document import fingerprint
from probe.models import load_tokenizer

WORDS = ["data.min_tokens=4", "layers=[1]", "runtime.device=cpu", "tracking=none"]
TEXTS = [
    Document("b", "The sea carries sand back to the shore.", "sea", labels={"wet": True}),
    Document("a", "A river carries sand to the sea and back.", "river", group="g"),
    Document("c", "Boats cross the river in the morning.", "river"),
]


@pytest.fixture
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return [*WORDS, f"output={tmp_path_factory.mktemp('out')}"]


def test_they_are_read_as_the_same_texts_in_a_file_are(words: list[str]) -> None:
    tokenizer = load_tokenizer(api.compose().model)
    read = sorted(api.iterate(*words, texts=TEXTS), key=lambda one: one.example)
    assert [one.document for one in read] == ["b", "a", "c"]
    for one, text in zip(read, TEXTS, strict=True):
        assert one.tokens.tolist() == tokenizer(text.text)["input_ids"]
    store = api.series(*words, texts=TEXTS)
    for one, kept in zip(read, store.examples, strict=True):
        text = TEXTS[one.example]
        assert np.array_equal(store.read(kept.example, 1), one.layers[1].numpy())
        assert (kept.subject, kept.labels) == (text.subject, text.labels)
        assert kept.group == (text.group or text.name)


def test_what_chooses_among_the_configurations_texts_chooses_none_of_them(
    words: list[str],
) -> None:
    chosen = [*words, "data.limit=1", "data.offset=2", "data.shuffle=true", "data.seed=1"]
    read = api.iterate(*chosen, texts=TEXTS)
    assert sorted(one.document for one in read) == ["a", "b", "c"]
    usual = api.series(*words, texts=TEXTS)
    scored = api.series(*words, "data.perplexity=[0,50]", "data.limit=1", texts=TEXTS)
    assert [one.document for one in scored.examples] == ["b", "a", "c"]
    assert scored.folder == usual.folder


def test_bounds_on_tokens_remain(words: list[str]) -> None:
    read = api.series(*words, "data.max_tokens=35", texts=[*TEXTS, Document("d", "sand " * 40)])
    assert [one.document for one in read.examples] == ["b", "a", "c"]


def test_only_what_is_left_out_of_them_is_said(
    words: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever gives texts knows them, and whether they are short."""
    with caplog.at_level(logging.INFO):
        api.series(*words, texts=TEXTS)
        assert "3 examples of" not in caplog.text
        api.series(*words, "data.max_tokens=35", texts=[*TEXTS, Document("d", "sand " * 40)])
        assert "3 examples of" in caplog.text
    assert "1 left out: " in caplog.text
    assert "have fewer than" not in caplog.text


def test_other_texts_are_other_series(words: list[str]) -> None:
    folders = {
        api.series(*words, texts=texts).folder
        for texts in (TEXTS, TEXTS[:2], TEXTS[::-1], [replace(TEXTS[0], text="Boats on the sea.")])
    }
    assert len(folders) == 4
    assert api.series(*words, texts=tuple(TEXTS)).folder in folders
    assert api.series(*words, "data.limit=2").folder not in folders


def test_continuations_are_read_as_those_of_the_configuration(words: list[str]) -> None:
    given = [*words, "data.limit=3", "data.split=questions", "data.generate=4"]
    for drawn in ([], ["data.temperature=1"]):
        for part in ([], ["data.part=generated"]):
            both = [*given, *drawn, *part]
            usual = api.series(*both)
            found = api.series(*both, texts=api.generate(*both))
            for example in range(len(usual)):
                assert np.array_equal(found.tokens(example), usual.tokens(example))
                assert np.array_equal(found.read(example, 1), usual.read(example, 1))
                assert found.examples[example].spans == usual.examples[example].spans
                assert found.examples[example].answer == usual.examples[example].answer


def test_token_ids_are_in_the_fingerprint_and_their_absence_is_not() -> None:
    plain, given = TEXTS[0], replace(TEXTS[0], ids=(5, 6, 7), spans={"generated": (1, 3)})
    changed = [
        given,
        replace(given, ids=(5, 6, 8)),
        replace(given, spans={"generated": (2, 3)}),
        replace(given, text="other"),
    ]
    assert len({fingerprint([one]) for one in [plain, *changed]}) == 5
    # What it was before documents could have ids.
    assert fingerprint([Document("b", "One.", "sea")]) == (
        "40d8f2383f481e49e36ef3f5960e19290ff283b4e6751280f8b35fe63d2c22eb"
    )


@pytest.mark.parametrize("call", [api.iterate, api.series])
def test_what_is_no_list_of_documents_is_told(call, words: list[str]) -> None:  # type: ignore[no-untyped-def]
    for texts, said in (
        ([], "texts is empty; give documents, or leave it out"),
        (["sand"], r"texts has a value of type str; give documents, e\.g\. api\.Document"),
        ([*TEXTS, TEXTS[1]], "2 texts are named a; give each a name of its own"),
    ):
        with pytest.raises(UserError, match=said):
            list(call(*words, texts=texts))
    with pytest.raises(UserError, match="2 texts are named a"):
        api.generate(*words, "data.generate=2", prompts=[TEXTS[1], TEXTS[1]])
