"""The number of documents stands beside every interval, and few are marked."""

import logging

import pytest

from experiments.intervals import FEW, warn_few, with_interval


@pytest.mark.parametrize(
    ("groups", "written"),
    [(1, "n=1!"), (FEW - 1, "n=19!"), (FEW, "n=20"), (1234, "n=1234")],
)
def test_few_documents_are_marked(
    groups: int, written: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert with_interval(0.5, 0.25, 1.0, groups, form=".2f") == f"0.50 [0.25, 1.00] {written}"
    warn_few(groups, "question")
    assert len(caplog.messages) == written.endswith("!")


def test_the_mark_is_explained_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    warn_few(7)
    assert caplog.messages == [
        "intervals marked ! are over 7 documents only, and too narrow: under 20 the bootstrap "
        "understates how much another sample would differ"
    ]


def test_without_a_value_there_is_a_dash() -> None:
    assert with_interval(None, None, None, 30) == "-"
