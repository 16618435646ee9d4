"""The exceptions that a user reads, and the nearest word."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.errors import UserError, nearest

OPTIONS = ["psychology", "professional_psychology", "biology", "physics", "math"]


def test_a_users_mistake_is_a_value_error_that_reads_as_it_was_written() -> None:
    with pytest.raises(ValueError, match=r"^give one word$") as caught:
        raise UserError("give one word")
    assert type(caught.value) is UserError


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("psycology", "psychology"),
        ("biologie", "biology"),
        ("phisics", "physics"),
        ("maths", "math"),
        ("professional_psycology", "professional_psychology"),
    ],
)
def test_the_nearest_word_is_asked_for(word: str, found: str) -> None:
    assert nearest(word, OPTIONS) == f"; did you mean '{found}'?"


@pytest.mark.parametrize("word", ["", "xyz", "m", "quantum_gravity"])
def test_nothing_is_said_where_no_word_is_near(word: str) -> None:
    assert nearest(word, OPTIONS) == ""


def test_there_may_be_no_options() -> None:
    assert nearest("psychology", []) == ""


def test_options_may_be_given_once_only() -> None:
    assert nearest("biolgy", (option for option in OPTIONS)) == "; did you mean 'biology'?"


@given(st.text("abcdefghijkl_", min_size=5, max_size=12), st.integers(0, 4))
@settings(derandomize=True, database=None, deadline=None, max_examples=50)
def test_a_word_with_one_letter_missing_is_found(word: str, place: int) -> None:
    assert nearest(word[:place] + word[place + 1 :], [word]) == f"; did you mean '{word}'?"
