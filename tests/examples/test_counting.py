"""Tokens that are dropped do not count, and nothing else changes."""

import string
from pathlib import Path
from unicodedata import category

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from probe.api import compose
from probe.config import Side
from probe.data import Document
from probe.data.choices import question_document
from probe.errors import UserError
from probe.examples.batches import Together, form_batches, regrouped
from probe.examples.choose import Example, choose_examples
from probe.examples.counting import Dropped, mask, n_counted
from probe.examples.example import counted

TINY = Path(__file__).parents[2] / "probe" / "assets" / "tiny"
TOKENIZER = AutoTokenizer.from_pretrained(TINY)


@settings(derandomize=True, database=None, deadline=None, max_examples=80)
@given(
    texts=st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=9), min_size=1, max_size=6),
    dropped=st.sets(st.integers(0, 5)),
    skip=st.integers(0, 3),
    side=st.sampled_from(list(Side)),
    together=st.sampled_from(list(Together)),
    generated=st.booleans(),
)
def test_a_token_counts_where_nothing_speaks_against_it(
    texts: list[list[int]],
    dropped: set[int],
    skip: int,
    side: Side,
    together: Together,
    generated: bool,
) -> None:
    examples = [Example(str(n), ids).followed_by([1, 2]) for n, ids in enumerate(texts)]
    part, without = ("generated" if generated else None), Dropped(tuple(dropped))
    formed = form_batches(examples, 30, part=part, dropped=without)
    batches = [
        half
        for batch in regrouped(formed, 30, together)
        for half in (batch.part(slice(None, 1)), batch.part(slice(1, None)))
        if half.members
    ]
    assert sorted(member for batch in batches for member in batch.members) == [*range(len(texts))]
    for batch in batches:
        tensors = batch.tensors(7, side, skip)
        for row, member in enumerate(batch.members):
            ids = examples[member].ids
            first = len(ids) - 2 if generated else 0
            places = [
                place
                for place, token in enumerate(ids)
                if place >= max(first, skip) and token not in dropped
            ]
            read = tensors.keep[row][tensors.attended[row]]
            assert read.nonzero().flatten().tolist() == places
            assert tensors.tokens[row][tensors.attended[row]].tolist() == list(ids)
            assert not tensors.keep[row][~tensors.attended[row]].any()
            assert batch.n_counted(skip)[row] == len(places)
            span = counted((first, len(ids)), skip)
            assert n_counted(ids, span, without) == len(places)
            assert np.flatnonzero(mask(ids, span, without)).tolist() == places


def test_special_tokens_are_those_the_tokenizer_marks() -> None:
    found = Dropped.of(TOKENIZER, ["special"])
    assert found is not None
    added = TOKENIZER.added_tokens_decoder
    assert set(found.ids) == {number for number, token in added.items() if token.special}
    assert set(found.ids) >= set(TOKENIZER.all_special_ids)


def test_punctuation_is_every_token_that_decodes_to_nothing_else() -> None:
    found = Dropped.of(TOKENIZER, ["punctuation"])
    assert found is not None
    words = {n: TOKENIZER.decode([n]).strip() for n in range(len(TOKENIZER))}
    special = TOKENIZER.all_special_ids
    expected = [
        number
        for number, word in words.items()
        if word
        and number not in special
        and all(s in string.punctuation or category(s)[0] == "P" for s in word)
    ]
    assert list(found.ids) == expected
    assert {",", ".", "?"} <= {words[number] for number in found.ids}


def test_what_is_named_comes_together_and_nothing_is_none() -> None:
    special, both = Dropped.of(TOKENIZER, ["special"]), Dropped.of(TOKENIZER, [9, 3, "special"])
    assert special is not None
    assert both == Dropped(tuple(sorted({*special.ids, 9, 3})))
    assert Dropped.of(TOKENIZER, []) is None
    with pytest.raises(UserError, match=r"^data\.drop_tokens names the token 99999, but the"):
        Dropped.of(TOKENIZER, [99999])


def answered(number: int) -> Document:
    question, answer = f"Who rows boat {number}, and where?", f"The crew of boat {number}, at sea."
    return Document(
        f"boats/{number}", f"Question: {question} Answer: {answer}",
        turns=(("user", question), ("assistant", answer)),
        parts=(("question", question), ("answer", answer)),
    )  # fmt: skip


ASKED = question_document("asked", "Who?", ["a", "b"], 0, "boats")


@pytest.mark.parametrize("part", ["prompt", "answer", "question"])
@pytest.mark.parametrize("dropped", [[], ["punctuation"]], ids=["all", "words"])
def test_a_part_counts_where_it_is_known(part: str, dropped: list[str]) -> None:
    texts = [answered(number) for number in range(3)]
    config = compose("data.min_tokens=2", f"data.part={part}")
    config.data.drop_tokens = dropped
    found = choose_examples([*texts, ASKED], TOKENIZER, config, 900)
    if part == "question":
        assert "no question that is known" not in found.skipped
    else:
        assert found.skipped == {f"no {part} that is known": 1}
    for document, example in zip(texts, found.chosen[:3], strict=True):
        known = dict(document.parts)
        wanted = known.get(part) or document.text[: document.text.index(known["answer"])]
        ids = np.array(example.ids)[slice(*example.span(part))]
        assert TOKENIZER.decode(ids).strip() == wanted.strip()
        without = set(found.dropped.ids) if found.dropped else set()
        expected = [token for token in ids.tolist() if token not in without]
        assert example.n_counted(config.data, found.dropped) == len(expected)


def test_a_part_that_no_text_has_is_refused_in_one_line() -> None:
    config = compose("data.min_tokens=2", "data.part=answer")
    with pytest.raises(UserError) as refused:
        choose_examples([ASKED], TOKENIZER, config, 900)
    assert str(refused.value) == (
        "data.part=answer is not known of the texts of data=sample; leave it out, or use data "
        "whose texts have it"
    )


@pytest.mark.parametrize("role", ["user", "assistant", "system"])
def test_turns_are_found_in_a_chat_template(role: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    tokenizer.chat_template = (
        "{% for turn in messages %}[{{turn.role}}] {{turn.content | trim}}\n{% endfor %}"
    )
    talk = [("system", "Be kind. "), ("user", "Who rows?"), ("assistant", "Who rows? The crew.")]
    several = [*talk, ("user", "Why?"), ("assistant", "They like it.")]
    documents = [Document("once", "x", turns=(*talk,)), Document("twice", "x", turns=(*several,))]
    config = compose("data.min_tokens=2", "model.chat=true", f"data.part={role}")
    found = choose_examples(documents, tokenizer, config, 900)
    ids = np.array(found.chosen[0].ids)[slice(*found.chosen[0].span(role))]
    assert tokenizer.decode(ids).strip() == dict(talk)[role].strip()
    once = [] if role == "system" else ["twice"]
    assert found.skipped == ({f"no {role} that is known": 1} if once else {})
    # What is known of runs that ask for no turn stays what it was.
    usual = choose_examples([answered(1)], tokenizer, compose("model.chat=true"), 900)
    assert usual.chosen[0].spans.keys() == {"question", "answer"}
