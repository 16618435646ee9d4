"""The figure of masks beside their controls."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from probe.api.drawing import BLUE, GREY, ORANGE, grid
from probe.api.interventions import CONTROLS, MEASURES, TREATMENTS, Effect

_STYLES = {
    "none": ("the mask", BLUE, "o"),
    "random": ("random", GREY, "o"),
    "random_rms": ("random, like RMS", GREY, "s"),
    "largest_rms": ("largest RMS", ORANGE, "D"),
}
_SIZE = (5.2, 3.0)


def controlled(rows: Sequence[Effect], about: str) -> Figure:
    """Draw every mask's value of each measure beside its controls'; bars are 95 % intervals."""
    measures = list(dict.fromkeys(row.measure for row in rows))
    how = TREATMENTS[rows[0].treatment.partition(" ")[0]]
    heading = f"{about}: masks, {how} ({rows[0].documents} documents)"
    figure, axes = grid(heading, len(measures), 1, _SIZE)
    for place, measure in zip(axes, measures, strict=True):
        own = [row for row in rows if row.measure == measure]
        for shift, name in zip((-0.24, -0.08, 0.08, 0.24), ("none", *CONTROLS), strict=True):
            drawn = [row for row in own if row.control == name]
            label, colour, marker = _STYLES[name]
            values = np.array([row.value for row in drawn])
            bars = np.array(
                [(max(0, row.value - row.low), max(0, row.high - row.value)) for row in drawn]
            )
            place.errorbar(
                np.array([row.mask for row in drawn]) + shift, values,
                yerr=bars.T, label=label, color=colour, marker=marker,
                ls="", ms=4, elinewidth=0.8,
            )  # fmt: skip
        place.axhline(own[0].untouched, color="black", lw=0.7, label="untouched")
        place.set_xticks(sorted({row.mask for row in own}))
        place.set_ylabel(MEASURES[measure], fontsize=8)
        place.tick_params(labelsize=7)
    axes[-1].set_xlabel("mask", fontsize=8)
    axes[0].legend(fontsize=7, frameon=False)
    return figure
