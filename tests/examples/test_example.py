"""Which tokens of a text that the model continued count, and which texts are kept."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.config import DataConfig
from probe.examples.example import Example, continued, counted


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 25))
@settings(derandomize=True, database=None, deadline=None, max_examples=60)
def test_what_counts_is_in_the_part_and_behind_the_first_tokens(
    start: int, length: int, skip: int
) -> None:
    first, end = counted((start, start + length), skip)
    expected = [place for place in range(start, start + length) if place >= skip]
    assert list(range(first, end)) == expected
    assert end == start + length


def test_a_continuation_is_behind_the_prompt() -> None:
    prompt = Example("d", [5, 6, 7], "g", {"question": (1, 3)})
    whole = prompt.followed_by([8, 9])
    assert whole == Example(
        "d", [5, 6, 7, 8, 9], "g", {"question": (1, 3), "prompt": (0, 3), "generated": (3, 5)}
    )
    assert (whole.span(None), whole.span("generated")) == ((0, 5), (3, 5))
    assert prompt.ids == [5, 6, 7]


PROMPTS = [Example(f"d{n}", [n] * 3) for n in range(4)]
WRITTEN = [[7, 7, 7, 7], [7, 7], [], [7]]


@pytest.mark.parametrize(
    ("data", "kept", "skipped"),
    [
        # A continuation that ends early keeps what it has, an empty one is left out.
        ({"min_tokens": 2}, [0, 1, 3], {"an empty continuation": 1}),
        (
            {"min_tokens": 2, "part": "generated"},
            [0, 1],
            {"an empty continuation": 1, "fewer than 2 tokens that count": 1},
        ),
        # No more is asked of what the model writes than how much it is to write.
        (
            {"part": "generated"},
            [0],
            {"an empty continuation": 1, "fewer than 4 tokens that count": 2},
        ),
        (
            {"min_tokens": 5},
            [0, 1],
            {"an empty continuation": 1, "fewer than 5 tokens that count": 1},
        ),
        (
            {"min_tokens": 2, "skip_first": 4},
            [0],
            {"an empty continuation": 1, "fewer than 2 tokens that count": 2},
        ),
        (
            {"min_tokens": 2, "skip_first": 4, "part": "generated"},
            [0],
            {"an empty continuation": 1, "fewer than 2 tokens that count": 2},
        ),
    ],
)
def test_texts_with_too_few_tokens_that_count_are_left_out_and_counted(
    data: dict[str, int | str], kept: list[int], skipped: dict[str, int]
) -> None:
    left_out = Counter[str]()
    settings = DataConfig("text", generate=4, **data)  # type: ignore[arg-type]
    found = list(continued(PROMPTS, lambda _: WRITTEN, settings, left_out))
    assert found == [PROMPTS[n].followed_by(WRITTEN[n]) for n in kept]
    assert left_out == skipped


def test_what_holds_a_continuation_is_not_continued_again() -> None:
    before = PROMPTS[1].followed_by([4, 4])
    asked: list[Example] = []

    def generate(prompts: list[Example]) -> list[list[int]]:
        asked.extend(prompts)
        return [[7, 7]] * len(prompts)

    data = DataConfig("text", generate=2, min_tokens=2)
    found = list(continued([PROMPTS[0], before, PROMPTS[2]], generate, data, Counter()))
    assert found == [PROMPTS[0].followed_by([7, 7]), before, PROMPTS[2].followed_by([7, 7])]
    assert asked == [PROMPTS[0], PROMPTS[2]]
    again = continued([before], lambda _: pytest.fail("nothing to do"), data, Counter())
    assert list(again) == [before]
