"""The figure of masks shows the numbers of the table where it says so."""

import numpy as np
import pytest

from experiments.intervene.controlled import controlled
from probe.api.interventions import CONTROLS, Effect

pytestmark = pytest.mark.usefixtures("drawn_figures")


def row(mask: int, control: str, measure: str, value: float) -> Effect:
    return Effect(
        effect="lesion", mask=mask, treatment="scale 2", control=control, measure=measure, units=9,
        moved=0.1, untouched=1.0, value=value, low=value - 0.2, high=value + 0.1, change=0.0,
        change_low=0.0, change_high=0.0, draws=1, draws_low=0.0, draws_high=0.0, documents=25,
        chance=None,
    )  # fmt: skip


def test_masks_and_controls_are_drawn_side_by_side() -> None:
    names = ("none", *CONTROLS)
    rows = [
        row(mask, name, measure, 10 * mask + place + (measure == "kl"))
        for measure in ("perplexity", "kl")
        for mask in (0, 1)
        for place, name in enumerate(names)
    ]
    figure = controlled(rows, "model on texts")
    assert figure.get_suptitle() == "model on texts: masks, scaled (25 documents)"
    for axes, more in zip(figure.axes, (0, 1), strict=True):
        for place, drawn in enumerate(axes.containers):
            line, _, (bars,) = drawn.lines
            np.testing.assert_allclose(line.get_ydata(), [place + more, 10 + place + more])
            assert np.round(line.get_xdata()).tolist() == [0, 1]
            ends = np.array([segment[:, 1] for segment in bars.get_segments()])
            np.testing.assert_allclose(ends[0], [place + more - 0.2, place + more + 0.1])
    labels = [one.get_label() for one in figure.axes[0].containers]
    assert labels == ["the mask", "random", "random, like RMS", "largest RMS"]
