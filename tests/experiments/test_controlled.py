"""Effects beside their controls: the figure and the log show the numbers of the table."""

from typing import Any

import numpy as np
import pytest

from experiments.controlled import controlled, log_effects
from probe.api.interventions import CONTROLS

pytestmark = pytest.mark.usefixtures("drawn_figures")


def row(mask: int, control: str, measure: str, value: float, **more: Any) -> dict[str, Any]:
    return {
        "name": f"mask {mask}", "effect": "lesion", "treatment": "scale 2", "control": control,
        "measure": measure, "units": 9, "moved": 0.1, "untouched": 1.0, "untouched_low": 0.5,
        "untouched_high": 1.5, "value": value, "low": value - 0.2, "high": value + 0.1,
        "change": 0.25, "change_low": -0.5, "change_high": 0.75, "documents": 25, "chance": None,
        "best": "random", "beyond": -0.125, "beyond_low": -0.5, "beyond_high": 0.5, **more,
    }  # fmt: skip


def test_masks_and_controls_are_drawn_side_by_side() -> None:
    names = ("none", *CONTROLS)
    rows = [
        row(mask, name, measure, 10 * mask + place + (measure == "kl"))
        for measure in ("perplexity", "kl")
        for mask in (0, 1)
        for place, name in enumerate(names)
    ]
    figure = controlled("model on texts", rows)
    assert figure.get_suptitle() == "model on texts: effects (25 documents)"
    for axes, more in zip(figure.axes, (0, 1), strict=True):
        for place, drawn in enumerate(axes.containers):
            line, _, (bars,) = drawn.lines
            assert line.get_ydata().tolist() == [place + more, 10 + place + more]
            assert [round(float(x)) for x in line.get_xdata()] == [0, 1]
            ends = np.array([segment[:, 1] for segment in bars.get_segments()], dtype=float)
            np.testing.assert_allclose(ends[0], [place + more - 0.2, place + more + 0.1])
        ticks = [tick.get_text() for tick in axes.get_xticklabels()]
        assert ticks == ["mask 0, scale 2", "mask 1, scale 2"]
    labels = [one.get_label() for one in figure.axes[0].containers]
    assert labels == ["the mask", "random", "random, like RMS", "largest RMS"]


def test_masks_on_different_texts_stand_beside_their_own_untouched_value(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    rows = [
        row(mask, name, "perplexity", 9.0, untouched=untouched)
        for mask, untouched in enumerate((4.0, 700.0))
        for name in ("none", *CONTROLS)
    ]
    log_effects(rows)
    assert "perplexity (untouched 4, 700 in this order)" in caplog.text
    [axes] = controlled("model on texts", rows).axes
    [lines] = [one for one in axes.collections if one.get_label() == "untouched"]
    ends = [segment.tolist() for segment in lines.get_segments()]  # type: ignore[attr-defined]
    assert ends == [[[-0.5, 4.0], [0.5, 4.0]], [[0.5, 700.0], [1.5, 700.0]]]


@pytest.mark.parametrize(("chance", "guesses"), [(0.6, True), (0.4, False), (1.6, False)])
def test_the_log_has_intervals_documents_and_a_model_that_guesses(
    chance: float, guesses: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    log_effects([row(0, "none", "accuracy", 0.5, chance=chance, documents=7)])
    assert f"accuracy (untouched 1, chance {chance})" in caplog.text
    assert "lesion mask 0, scale 2" in caplog.text
    assert "+0.25 [-0.5, +0.75] n=7!" in caplog.text
    assert "-0.125 [-0.5, +0.5] n=7!" in caplog.text
    assert ("accuracy is that of guessing" in caplog.text) == guesses
    assert "intervals marked ! are over 7 documents only" in caplog.text
