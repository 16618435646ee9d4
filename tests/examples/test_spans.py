"""The tokens of a question and of an answer are those that spell them."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from probe.api import compose
from probe.data import Document
from probe.data.choices import question_document
from probe.examples.choose import choose_examples
from probe.examples.spans import token_spans

TINY = Path(__file__).parents[2] / "probe" / "assets" / "tiny"


@given(text=st.text("ab ", max_size=30), cuts=st.lists(st.integers(0, 30), max_size=6))
@settings(derandomize=True, database=None, deadline=None, max_examples=80)
def test_every_token_that_overlaps_a_part_is_in_its_span(text: str, cuts: list[int]) -> None:
    ends = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    offsets = list(pairwise(ends))
    part = text[len(text) // 3 : 2 * len(text) // 3]
    found = token_spans(text, [("part", part)], offsets)
    if not part:
        assert found == {}
        return
    at = text.index(part)
    letters = set(range(at, at + len(part)))
    overlapping = [n for n, span in enumerate(offsets) if letters & set(range(*span))]
    assert found == {"part": (overlapping[0], overlapping[-1] + 1)}


def test_parts_are_looked_for_one_behind_the_other() -> None:
    offsets = [(n, n + 1) for n in range(7)]
    parts = [("question", "ab"), ("missing", "x"), ("answer", "ab")]
    assert token_spans("ab ab c", parts, offsets) == {"question": (0, 2), "answer": (3, 5)}


QUESTION = "How many boats cross the river?"


def document() -> Document:
    return question_document("boats/0", QUESTION, ["One", "Two"], 0, "boats")


@pytest.mark.parametrize("special", ["true", "false"])
@pytest.mark.parametrize("chat", [False, True])
def test_the_question_of_a_prompt_is_found_in_text_and_chat(special: str, chat: bool) -> None:
    words = ["data.min_tokens=2", f"data.special_tokens={special}", f"model.chat={chat}"]
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    tokenizer.chat_template = (
        "{% for turn in messages %}[{{turn.role}}] {{turn.content}}{% endfor %}"
    )
    [example] = choose_examples([document()], tokenizer, compose(*words), 900).chosen
    start, stop = example.spans["question"]
    assert tokenizer.decode(example.ids[start:stop]).strip() == QUESTION
    assert "[user]" in tokenizer.decode(example.ids) or not chat


def test_pieces_of_a_text_and_slow_tokenizers_have_no_spans(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    config = compose("data.cut=tokens", "data.window=12", "data.min_tokens=2")
    pieces = choose_examples([document()], tokenizer, config, 900).chosen
    assert len(pieces) > 1
    assert [piece.spans for piece in pieces] == [{}] * len(pieces)
    monkeypatch.setattr(type(tokenizer), "is_fast", False)
    [whole] = choose_examples([document()], tokenizer, compose("data.min_tokens=2"), 900).chosen
    assert whole.spans == {}
