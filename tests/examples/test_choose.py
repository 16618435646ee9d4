"""Examples are chosen in the documented order."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import TemplateError

from probe.config import AverageConfig, Config, Cut, DataConfig, ModelConfig
from probe.data import Document
from probe.errors import UserError
from probe.examples.choose import Example, Examples, choose_examples
from probe.examples.cut import merge_paragraphs
from tests.tiny_models import LINES, tiny_tokenizer

BEGIN = 999
# The same cases in every run, however busy the machine.
ENDLESS = 1 << 62
steady = settings(derandomize=True, database=None, deadline=None)


class Numbers:
    """A tokenizer whose tokens are the numbers in a text, and which begins with a special one."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(
        self, texts: Sequence[str], *, add_special_tokens: bool, **_: Any
    ) -> dict[str, list[list[int]]]:
        self.texts += texts
        first = [BEGIN] if add_special_tokens else []
        return {"input_ids": [[*first, *map(int, text.split())] for text in texts]}


def numbered(*lengths: int) -> list[Document]:
    """Make documents of so many numbers, all different."""
    starts = np.cumsum([0, *lengths])
    return [
        Document(f"d{i}", " ".join(str(starts[i] + k) for k in range(length)))
        for i, length in enumerate(lengths)
    ]


def choose(
    documents: Sequence[Document],
    context: int = 1000,
    average: AverageConfig | None = None,
    **data: Any,
) -> Examples:
    data = {"source": "text", "special_tokens": False, "min_tokens": 2} | data
    config = Config(data=DataConfig(**data), average=average or AverageConfig())
    return choose_examples(documents, Numbers(), config, context)


def names(examples: Examples) -> list[str]:
    return [example.document for example in examples.chosen]


# Words and blank lines in any number, the ends included.
texts = st.lists(st.sampled_from(["a", "bb", " ", "\n", "\n\n", "\n\n\n"]), max_size=40).map(
    "".join
)


@steady
@given(texts, st.integers(1, 6), st.sampled_from(["\n", "\r\n", "\r"]))
def test_paragraphs_are_merged_as_far_as_the_words_allow(
    text: str, max_words: int, end: str
) -> None:
    # A blank line is two ends of lines with nothing but spaces between; the first two of three.
    marked = re.sub(r"\n( *)\n", "\x00\\1\x01", text)
    paragraphs = re.split(r"\x00 *\x01", marked)
    blanks = re.findall(r"\x00 *\x01", marked)
    expected, start = [], 0
    while start < len(paragraphs):
        ends = range(start + 1, len(paragraphs) + 1)
        fits = [e for e in ends if len(" ".join(paragraphs[start:e]).split()) <= max_words]
        last = max(fits, default=start + 1)
        piece = paragraphs[start]
        for blank, paragraph in zip(
            blanks[start : last - 1], paragraphs[start + 1 : last], strict=True
        ):
            piece += blank + paragraph
        expected.append(re.sub(r"[\x00\x01]", "\n", piece).replace("\n", end))
        start = last
    assert merge_paragraphs(text.replace("\n", end), max_words) == expected


@steady
@given(texts.filter(lambda text: "\n \n" not in text and "\n  " not in text), st.integers(1, 6))
def test_merged_paragraphs_put_together_are_the_text(text: str, max_words: int) -> None:
    assert "\n\n".join(merge_paragraphs(text, max_words)) == text


def test_a_paragraph_that_is_too_long_stays_whole_and_a_short_tail_is_a_piece() -> None:
    text = "a b c d e\n\nf\n\ng h\n\ni"
    assert merge_paragraphs(text, max_words=3) == ["a b c d e", "f\n\ng h", "i"]


def test_a_whole_document_is_the_tokenizers_ids() -> None:
    tokenizer = tiny_tokenizer()
    documents = [Document(str(i), line) for i, line in enumerate(LINES)]
    examples = choose_examples(documents, tokenizer, Config(data=DataConfig(source="text")), 128)
    assert [example.ids for example in examples.chosen] == [tokenizer(t).input_ids for t in LINES]
    assert names(examples) == ["0", "1", "2", "3", "4"]
    assert examples.skipped == {}


@pytest.mark.parametrize("special", [True, False])
def test_special_tokens_are_added_only_where_wanted(special: bool) -> None:
    examples = choose(numbered(3), special_tokens=special)
    assert examples.chosen[0].ids == ([BEGIN] if special else []) + [0, 1, 2]


def test_bounds_are_inclusive_and_what_falls_out_is_counted() -> None:
    examples = choose(numbered(3, 4, 5, 6, 7, 2), min_tokens=4, max_tokens=6)
    assert [len(example.ids) for example in examples.chosen] == [4, 5, 6]
    assert examples.skipped == {"fewer than 4 tokens": 2, "more than 6 tokens": 1}


@pytest.mark.parametrize(
    ("max_tokens", "context", "most"),
    [(None, 6, 6), (4, 6, 4), (6, 4, 4), (5, ENDLESS, 5), (None, ENDLESS, 7)],
)
def test_no_example_is_longer_than_the_context_or_max_tokens(
    max_tokens: int | None, context: int, most: int
) -> None:
    examples = choose(numbered(*range(2, 8)), context=context, max_tokens=max_tokens)
    assert [len(example.ids) for example in examples.chosen] == list(range(2, most + 1))
    assert sum(examples.skipped.values()) == 7 - most


def test_min_tokens_counts_the_tokens_after_those_left_out() -> None:
    examples = choose(numbered(5, 6, 7, 8), min_tokens=4, skip_first=3, max_tokens=7)
    assert [len(example.ids) for example in examples.chosen] == [7]
    assert examples.skipped == {"fewer than 7 tokens": 2, "more than 7 tokens": 1}


def test_cut_paragraphs_bounds_the_pieces_not_the_documents() -> None:
    document = Document("d", "1 2 3\n\n4 5\n\n6 7 8 9 10 11 12\n\n13")
    examples = choose([document], cut=Cut.paragraphs, max_words=5, min_tokens=2, max_tokens=6)
    assert [example.ids for example in examples.chosen] == [[1, 2, 3, 4, 5]]
    assert examples.skipped == {"more than 6 tokens": 1, "fewer than 2 tokens": 1}


@pytest.mark.parametrize(
    ("window", "max_tokens", "context", "lengths"),
    [
        (4, None, 100, [4, 4, 3, 4, 2]),
        (None, 5, 100, [5, 5, 5]),
        (None, None, 6, [6, 5, 6]),
        (50, None, 6, [6, 5, 6]),
        (4, 3, 100, [3, 3, 3, 2, 3, 3]),
        (None, None, ENDLESS, [11, 6]),
    ],
)
def test_cut_tokens_makes_windows_and_keeps_tails_that_are_long_enough(
    window: int | None, max_tokens: int | None, context: int, lengths: list[int]
) -> None:
    documents = numbered(11, 6)
    examples = choose(documents, context, cut=Cut.tokens, window=window, max_tokens=max_tokens)
    assert [len(example.ids) for example in examples.chosen] == lengths
    kept = [token for example in examples.chosen for token in example.ids]
    assert sum(examples.skipped.values()) == 17 - len(kept)  # tails of one token
    assert kept == sorted(kept)
    assert set(kept) <= set(range(17))
    for example in examples.chosen:
        text = documents[int(example.document[1])].text.split()
        assert set(map(str, example.ids)) <= set(text)


def test_limit_counts_survivors_from_the_offset_on() -> None:
    documents = numbered(5, 1, 5, 1, 5, 5, 5)
    assert names(choose(documents, limit=2)) == ["d0", "d2"]
    assert names(choose(documents, offset=1, limit=3)) == ["d2", "d4", "d5"]
    assert names(choose(documents, offset=4)) == ["d6"]
    assert names(choose(documents, limit=100)) == ["d0", "d2", "d4", "d5", "d6"]


def test_the_shuffle_comes_after_the_bounds_and_before_offset_and_limit() -> None:
    documents = numbered(*[5, 1] * 20)
    shuffled = choose(documents, shuffle=True, seed=1)
    assert names(shuffled) != names(choose(documents))
    assert sorted(names(shuffled)) == sorted(names(choose(documents)))
    assert shuffled.skipped == {"fewer than 2 tokens": 20}
    part = choose(documents, shuffle=True, seed=1, offset=3, limit=7)
    assert part.chosen == shuffled.chosen[3:10]
    assert part.skipped == shuffled.skipped


def test_the_shuffle_is_its_seeds_alone() -> None:
    documents = numbered(*[5] * 30)
    first = choose(documents, shuffle=True, seed=1)
    np.random.seed(0)
    torch.manual_seed(0)
    assert choose(documents, shuffle=True, seed=1) == first
    assert choose(documents, shuffle=True, seed=2) != first


def test_documents_beyond_a_tokenizer_call_keep_order_and_names() -> None:
    documents = numbered(*[2] * 2500)
    examples = choose(documents)
    assert [(e.document, e.ids) for e in examples.chosen] == [
        (f"d{i}", [2 * i, 2 * i + 1]) for i in range(2500)
    ]


def test_what_a_limit_makes_needless_is_not_tokenized() -> None:
    tokenizer = Numbers()
    config = Config(data=DataConfig(source="text", min_tokens=2, limit=5, offset=5))
    choose_examples(numbered(*[2] * 5000), tokenizer, config, ENDLESS)
    assert len(tokenizer.texts) < 2500


def test_average_example_keeps_that_one_of_the_chosen() -> None:
    documents = numbered(5, 1, 5, 5)
    examples = choose(documents, average=AverageConfig(example=1), offset=1)
    assert names(examples) == ["d3"]


def test_an_example_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(UserError, match=r"average\.example=3 .* the examples are 0 to 2"):
        choose(numbered(5, 5, 5), average=AverageConfig(example=3))


def test_as_many_parts_as_examples_are_allowed_and_no_more() -> None:
    assert len(choose(numbered(5, 5, 5), average=AverageConfig(parts=3)).chosen) == 3
    with pytest.raises(UserError, match=r"average\.parts=4 is more than the 3 examples"):
        choose(numbered(5, 5, 5), average=AverageConfig(parts=4))


def test_where_nothing_is_left_the_reasons_are_counted() -> None:
    with pytest.raises(UserError) as raised:
        choose(numbered(3, 3, 9), min_tokens=5, max_tokens=8)
    message = str(raised.value)
    assert "no example is left of data=text" in message
    assert "2 had fewer than 5 tokens, 1 had more than 8 tokens" in message
    assert "data.min_tokens" in message
    assert "data.cut=tokens" in message
    with pytest.raises(UserError, match="offset too large"):
        choose(numbered(3, 3), offset=2)


def scored(*perplexity: float) -> Any:
    """Give the examples these perplexities, in their order."""

    def score(examples: list[Example]) -> np.ndarray:
        assert len(examples) == len(perplexity)
        return np.array(perplexity)

    return score


def test_the_perplexity_filter_comes_after_the_bounds_and_before_the_limit() -> None:
    documents = numbered(5, 1, 5, 5, 5, 5)
    perplexity = [3.0, 9.0, 1.0, 7.0, 5.0]  # of d0, d2, d3, d4, d5
    low, high = np.percentile(perplexity, [20, 80])
    config = Config(
        data=DataConfig(
            source="text", special_tokens=False, min_tokens=2, limit=2, perplexity=[20.0, 80.0]
        )
    )
    examples = choose_examples(documents, Numbers(), config, 1000, scored(*perplexity))
    kept = [
        name
        for name, value in zip(["d0", "d2", "d3", "d4", "d5"], perplexity, strict=True)
        if low <= value <= high
    ]
    assert names(examples) == kept[:2] == ["d0", "d4"]
    assert examples.skipped == {
        "fewer than 2 tokens": 1,
        "perplexity outside percentiles 20 to 80": 2,
    }


def choose_continued(
    documents: Sequence[Document], lengths: Sequence[int], context: int = 100, **data: Any
) -> Examples:
    """Let a model continue prompts by so many 7s, and no others."""

    def generate(prompts: list[Example]) -> list[list[int]]:
        assert len(prompts) == len(lengths)
        return [[7] * n for n in lengths]

    data = {"source": "text", "special_tokens": False} | data
    config = Config(data=DataConfig(**data))
    return choose_examples(documents, Numbers(), config, context, generate=generate)


@pytest.mark.parametrize(
    ("data", "kept", "skipped"),
    [
        # What is generated counts towards the tokens of a text, in both bounds.
        ({"min_tokens": 9}, ["d2", "d3"], {"fewer than 5 tokens": 2, "no tokens": 1}),
        ({"min_tokens": 2, "max_tokens": 9}, ["d0", "d1", "d2"],
         {"more than 5 tokens": 1, "no tokens": 1}),
        # Where it alone counts, a prompt of one token will do.
        ({"min_tokens": 16, "part": "generated"}, ["d0", "d1", "d2", "d3"], {"no tokens": 1}),
        ({"min_tokens": 16, "part": "generated", "limit": 2}, ["d0", "d1"], {}),
    ],
)  # fmt: skip
def test_bounds_on_prompts_leave_room_for_what_the_model_writes(
    data: dict[str, Any], kept: list[str], skipped: dict[str, int]
) -> None:
    documents = numbered(1, 4, 5, 6, 0)
    found = choose_continued(documents, [4] * len(kept), generate=4, **data)
    assert names(found) == kept
    assert found.skipped == skipped
    assert {tuple(example.ids[-4:]) for example in found.chosen} == {(7,) * 4}


def test_windows_leave_room_as_well() -> None:
    found = choose_continued(numbered(20), [3, 3, 3], 10, generate=3, cut=Cut.tokens, min_tokens=2)
    assert [len(example.ids) for example in found.chosen] == [10, 10, 9]


def test_where_all_is_taken_by_what_the_model_writes_it_is_told() -> None:
    with pytest.raises(UserError, match=r"data\.generate=10 leaves no room for a prompt: .* 10 to"):
        choose_continued(numbered(5), [], 10, generate=10)
    with pytest.raises(UserError, match=r"no example is left .*2 had an empty continuation"):
        choose_continued(numbered(5, 6), [0, 0], generate=4, part="generated")


def test_given_token_ids_are_read_as_they_are() -> None:
    class Words(Numbers):
        def decode(self, ids: list[int], **_: Any) -> str:
            return " ".join(map(str, ids))

    text = Document("a", "1 2 3", group="g", turns=(("user", "1"),))
    parts, spans = (("generated", " 9 4"),), {"generated": (1, 3)}
    given = Document("b", "1 2 3", parts=parts, ids=(8, 9, 4), spans=spans)
    config = Config(data=DataConfig(source="text", special_tokens=False, min_tokens=2))
    found = choose_examples([text, given, text], Words(), config, 100).chosen
    assert [example.ids for example in found] == [[1, 2, 3], [8, 9, 4], [1, 2, 3]]
    assert found[1].spans == {"generated": (1, 3)}
    other = Document("b", "1 2 3", parts=(("generated", " 9 5"),), ids=(8, 9, 4), spans=spans)
    with pytest.raises(UserError, match="b has token ids that are not those of this model's"):
        choose_examples([other], Words(), config, 100)


class Chat(Numbers):
    """A tokenizer with a chat template that writes roles as numbers."""

    chat_template: str | None = "there is one"

    def apply_chat_template(
        self, turns: list[dict[str, str]], *, tokenize: bool, add_generation_prompt: bool, **_: Any
    ) -> str:
        assert not tokenize
        roles = {"system": 101, "user": 102, "assistant": 103}
        text = " ".join(f"{roles[turn['role']]} {turn['content']}" for turn in turns)
        return f"{text} 103" if add_generation_prompt else text


def test_a_chat_model_reads_the_turns_of_a_document_and_the_text_of_others() -> None:
    asked = Document("q", "1 2", turns=(("system", "7"), ("user", "1 2")))
    told = Document("a", "1 2", turns=(("user", "1"), ("assistant", "2")))
    plain = Document("t", "4 5")
    config = Config(model=ModelConfig(chat=True), data=DataConfig(source="text", min_tokens=2))
    examples = choose_examples([asked, told, plain], Chat(), config, 100)
    assert [example.ids for example in examples.chosen] == [
        [101, 7, 102, 1, 2, 103],  # the model is to answer
        [102, 1, 103, 2],
        [BEGIN, 4, 5],  # special tokens as the tokenizer adds them
    ]
    config.model.chat = False
    examples = choose_examples([asked, told, plain], Chat(), config, 100)
    assert [example.ids for example in examples.chosen] == [
        [BEGIN, 1, 2],
        [BEGIN, 1, 2],
        [BEGIN, 4, 5],
    ]


def test_a_chat_model_needs_a_template() -> None:
    tokenizer = Chat()
    tokenizer.chat_template = None
    config = Config(
        model=ModelConfig(name="m", chat=True), data=DataConfig(source="text", min_tokens=2)
    )
    with pytest.raises(UserError, match="needs a tokenizer with a chat template, but m has none"):
        choose_examples(numbered(5), tokenizer, config, 100)


def test_a_template_that_refuses_the_turns_is_answered_in_one_line() -> None:
    class Refusing(Chat):
        def apply_chat_template(self, *_: Any, **__: Any) -> str:
            raise TemplateError("System role not supported")

    document = Document("q", "1 2", turns=(("system", "7"), ("user", "1 2")))
    config = Config(
        model=ModelConfig(name="m", chat=True), data=DataConfig(source="text", min_tokens=2)
    )
    with pytest.raises(UserError, match=r"m does not accept the turns system, user \(System role"):
        choose_examples([document], Refusing(), config, 100)


def test_texts_of_one_group_are_told_from_others() -> None:
    documents = [Document("a", "1 2", group="question"), Document("b", "3 4")]
    config = Config(data=DataConfig(source="text", min_tokens=2))
    chosen = choose_examples(documents, Numbers(), config, 100).chosen
    assert [example.group for example in chosen] == ["question", "b"]


@pytest.mark.parametrize(
    "average", [AverageConfig(std=True, example=0), AverageConfig(std=True, parts=2)]
)
def test_a_standard_error_needs_two_examples(average: AverageConfig) -> None:
    with pytest.raises(UserError, match=r"average\.std=true needs two examples or more in every"):
        choose(numbered(5, 5, 5), average=average)
    assert len(choose(numbered(5, 5, 5, 5), average=AverageConfig(std=True, parts=2)).chosen) == 4
