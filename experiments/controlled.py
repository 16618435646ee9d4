"""Effects of masks beside those of their controls: the table in the log, and the figure."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.intervals import warn_few, with_interval
from probe.api import show
from probe.api.drawing import BLUE, ORANGE, grid, legend_below, log_scale
from probe.api.interventions import CONTROLS, MEASURES

logger = logging.getLogger(__name__)
Row = Mapping[str, Any]
STYLES = {
    "none": ("the mask", BLUE, "o"),
    "random": ("random", "0.45", "o"),
    "random_rms": ("random, like RMS", "0.45", "s"),
    "largest_rms": ("largest RMS", ORANGE, "D"),
}


def log_effects(rows: Sequence[Row]) -> None:
    """Log a line for each mask: the effect, and by how much it exceeds the best control's.

    Parameters
    ----------
    rows : sequence of dict
        Every `Effect`, its `mask` replaced by a `name`.
    """
    for measure in dict.fromkeys(row["measure"] for row in rows):
        own = [row for row in rows if (row["measure"], row["control"]) == (measure, "none")]
        chance = "" if own[0]["chance"] is None else f", chance {own[0]['chance']:.3g}"
        title = f"{measure} (untouched {_untouched(own)}{chance})"
        header = [title, "neurons", "change [95 %]", "best control", "beyond it [95 %]", "moved"]
        show(header, map(_cells, own))
        level, low, high = (own[0][name] for name in ("chance", "untouched_low", "untouched_high"))
        if level is not None and low <= level <= high:
            logger.warning(
                "the untouched model's accuracy is that of guessing, within its interval: changes "
                "of accuracy say nothing here; read the margin (study.measure=[margin])"
            )
    warn_few(rows[0]["documents"])


def _untouched(rows: Sequence[Row]) -> str:
    """Return the untouched value, or those of all rows where they are of different texts."""
    each = [f"{row['untouched']:.4g}" for row in rows]
    return each[0] if len(set(each)) == 1 else f"{', '.join(each)} in this order"


def _cells(row: Row) -> list[str]:
    change = (row["change"], row["change_low"], row["change_high"], row["documents"])
    beyond = (row["beyond"], row["beyond_low"], row["beyond_high"], row["documents"])
    return [
        f"{row['effect']} {row['name']}, {row['treatment']}",
        str(row["units"]),
        with_interval(*change, form="+.3g"),
        str(row["best"]),
        with_interval(*beyond, form="+.3g"),
        f"{row['moved']:.2%}",
    ]


def controlled(about: str, rows: Sequence[Row]) -> Figure:
    """Draw every mask's value of a measure beside its controls'; bars are 95 % intervals."""
    kinds = list(dict.fromkeys((row["effect"], row["measure"]) for row in rows))
    measures = {measure for _, measure in kinds}
    heading = f"{about}: effects ({rows[0]['documents']} documents)"
    figure, panels = grid(heading, len(kinds), len(measures), (5.6, 2.8))
    for axes, (effect, measure) in zip(panels, kinds, strict=True):
        own = [row for row in rows if (row["effect"], row["measure"]) == (effect, measure)]
        groups = list(dict.fromkeys((row["name"], row["treatment"]) for row in own))
        for shift, name in zip((-0.24, -0.08, 0.08, 0.24), ("none", *CONTROLS), strict=True):
            drawn = [row for row in own if row["control"] == name]
            label, colour, marker = STYLES[name]
            places = [groups.index((row["name"], row["treatment"])) + shift for row in drawn]
            bars = [
                (max(0, row["value"] - row["low"]), max(0, row["high"] - row["value"]))
                for row in drawn
            ]
            axes.errorbar(
                places, [row["value"] for row in drawn], yerr=np.transpose(bars), label=label,
                color=colour, marker=marker, ls="", ms=4, elinewidth=0.8,
            )  # fmt: skip
        untouched = {groups.index((row["name"], row["treatment"])): row["untouched"] for row in own}
        axes.hlines(
            list(untouched.values()), [place - 0.5 for place in untouched],
            [place + 0.5 for place in untouched], color="black", lw=0.7, label="untouched",
        )  # fmt: skip
        if measure == "accuracy":
            axes.axhline(own[0]["chance"], color="black", lw=0.7, ls=":", label="chance")
        names = [f"{name}, {treatment}" for name, treatment in groups]
        axes.set_xticks(range(len(groups)), names, rotation=30, ha="right", fontsize=7)
        axes.set_title(effect, fontsize=8)
        if measure == "perplexity":  # of a model without what it needs it grows a millionfold
            log_scale(axes, "y")
        axes.set_ylabel(MEASURES[measure].replace(", ", ",\n"), fontsize=8)
        axes.tick_params(which="both", labelsize=7)
    legend_below(figure, panels, 6)
    return figure
