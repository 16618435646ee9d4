"""Figures of the study. They are returned, not saved."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.multifractal.course import Course
from experiments.multifractal.scaling import MOMENTS
from probe.api.drawing import BLUE, COLOURS, ORANGE, grid, single

Row = Mapping[str, Any]
_SHUFFLED = "0.45"
# Moments whose fits are drawn.
_FITTED = (-3.0, -1.0, 1.0, 3.0)
_LABELS = {
    "emergence": "emergence E (dimensionless)",
    "alpha0": "regularity α₀ (dimensionless)",
    "width": "heterogeneity, width of f(α)",
}


def all_figures(
    courses: Sequence[Course], tables: Mapping[str, Sequence[Row]]
) -> dict[str, Figure]:
    """Draw what there is to see, by name."""
    drawn = dict[str, Figure]()
    for number, course in enumerate(courses):
        end = f"_{number}" if number else ""
        drawn[f"spectrum{end}"] = spectra(course, _of(course, tables["spectrum"]))
        drawn[f"fit{end}"] = fits(course)
        if len(course.timed) > 1:
            both = (_of(course, tables[name]) for name in ("emergence", "controls"))
            drawn[f"training{end}"] = training(course, *both)
    if tables["sensitivity"]:
        drawn["sensitivity"] = sensitivity(courses[0], tables["sensitivity"])
    if len(courses) > 1 and any(row["emergence"] for row in tables["emergence"]):
        drawn["sizes"] = sizes(courses, tables["emergence"])
    if "agreement" in tables:
        drawn["agreement"] = agreement(courses[0], tables["agreement"])
    return drawn


def spectra(course: Course, rows: Sequence[Row]) -> Figure:
    """Draw f over α of every checkpoint, the mean over networks at each q."""
    figure, axes = single(f"{course.name}: multifractal spectrum of the weights", (5.4, 4.0))
    steps = list(dict.fromkeys(row["step"] for row in rows))
    colours = colormaps["viridis"](np.linspace(0, 0.9, len(steps)))
    for step, colour in zip(steps, colours, strict=True):
        own = [row for row in rows if row["step"] == step and row["alpha"] is not None]
        axes.plot(
            [row["alpha"] for row in own], [row["f"] for row in own], color=colour, lw=1.2,
            label="weights" if step is None else f"step {step}",
        )  # fmt: skip
    axes.set(xlabel="α (dimensionless)", ylabel="f(α) (dimensionless)")
    axes.legend(fontsize=6, frameon=False, ncols=1 + len(steps) // 12)
    return figure


def fits(course: Course) -> Figure:
    """Draw ln Z over ln r with the line through it, first and last checkpoint, first network."""
    ends = dict.fromkeys((0, len(course.measured) - 1))
    figure, panels = grid(
        f"{course.name}: partition function of one network", len(ends), 2, (4.4, 3.4)
    )
    for axes, number in zip(panels, ends, strict=True):
        measured = course.measured[number]
        x = measured.log_radius
        for q, colour in zip(_FITTED, COLOURS, strict=False):
            place = int(np.flatnonzero(q == MOMENTS)[0])
            y = measured.log_partition[place]
            slope, r2 = (measured.moments[name][0, place] for name in ("tau", "r2"))
            axes.plot(x, y, ls="", marker=".", ms=3, color=colour)
            axes.plot(
                x, y.mean() + slope * (x - x.mean()), color=colour, lw=1,
                label=f"q = {q:g}: τ = {slope:.3f}, R² = {r2:.3f}",
            )  # fmt: skip
        axes.set_title(course.checkpoints[number].name, fontsize=8)
        axes.set_xlabel(r"ln($r$ / $r_{max}$)", fontsize=8)
        axes.set_ylabel(r"ln $Z_q(r)$", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.legend(fontsize=6, frameon=False)
    return figure


def training(course: Course, rows: Sequence[Row], controls: Sequence[Row]) -> Figure:
    """Draw E, α₀ and width over steps beside shuffled weights, and the other controls."""
    panels_of = [*_LABELS, "norm", "mean_degree"]
    figure, panels = grid(
        f"{course.name}: over training, 95 % over {rows[0]['networks']} networks",
        len(panels_of), 3, (3.6, 2.8),
    )  # fmt: skip
    steps = [row["step"] for row in rows]
    for axes, name in zip(panels, panels_of, strict=True):
        if name in _LABELS:
            _band(axes, steps, rows, name, BLUE, "weights")
            _band(axes, steps, controls, f"{name}_shuffled", _SHUFFLED, "entries shuffled")
            public = [row[f"{name}_public"] for row in rows]
            axes.plot(steps, _floats(public), color=ORANGE, lw=1, ls="--", label="published rules")
        else:
            _band(axes, steps, controls, name, BLUE, "weights")
        label = {"norm": "norm of the weights", "mean_degree": "mean weighted degree, Σ|w|"}
        axes.set_ylabel({**_LABELS, **label}[name], fontsize=8)
        axes.set_xlabel("step", fontsize=8)
        axes.set_xscale("symlog", linthresh=1)
        axes.tick_params(labelsize=7)
    panels[0].legend(fontsize=6, frameon=False)
    return figure


def sensitivity(course: Course, rows: Sequence[Row]) -> Figure:
    """Draw E, α₀ and width over the threshold and over the sample's size."""
    steps = list(dict.fromkeys((row["step"], row["weights"]) for row in rows))
    names = [name for name in _LABELS if any(row[name] is not None for row in rows)]
    choices = {"threshold": "largest distance that counts", "sample": "neurons drawn of a layer"}
    figure, panels = grid(
        f"{course.name}: other thresholds, other samples", len(names) * 2, 2, (3.8, 2.4)
    )
    places = ((name, choice) for name in names for choice in choices)
    for axes, (name, choice) in zip(panels, places, strict=True):
        for (step, whose), colour in zip(steps, (BLUE, ORANGE), strict=False):
            own = [row for row in rows if row["choice"] == choice and row["step"] == step]
            label = "random weights" if whose == "random" else f"step {step}"
            values = [row["value"] for row in own]
            _band(axes, values, own, name, colour, "weights" if step is None else label)
        chosen = course.how.rules.most if choice == "threshold" else course.how.size
        axes.axvline(chosen, color="black", lw=0.7, ls=":")
        axes.set_xlabel(choices[choice], fontsize=8)
        axes.set_ylabel(_LABELS[name], fontsize=8)
        axes.set_xscale("log")
        axes.set_xticks(
            values := sorted({row["value"] for row in rows if row["choice"] == choice}),
            [f"{value:.4g}" for value in values],
        )
        axes.minorticks_off()
        axes.tick_params(labelsize=7)
    panels[0].legend(fontsize=6, frameon=False)
    return figure


def sizes(courses: Sequence[Course], rows: Sequence[Row]) -> Figure:
    """Draw E over the number of weights, a curve for each step; each model has its own step 0."""
    figure, axes = single("Emergence over sizes, each from its own step 0", (5.4, 3.8))
    weights = {course.name: course.how.layout.weights for course in courses}
    steps = sorted({row["step"] for row in rows if row["step"] != 0}, key=lambda step: step or 0)
    for step, colour in zip(steps, COLOURS * len(steps), strict=False):
        own = sorted(
            (row for row in rows if row["step"] == step), key=lambda row: weights[row["model"]]
        )
        label = "weights" if step is None else f"step {step}"
        _band(axes, [weights[row["model"]] for row in own], own, "emergence", colour, label)
    axes.set_xscale("log")
    alike: dict[int, list[str]] = {}  # models of one size share a place
    for name, number in weights.items():
        alike.setdefault(number, []).append(name)
    names = ["\n".join([*models, f"{number:,}"]) for number, models in alike.items()]
    axes.set_xticks(list(alike), names, fontsize=7)
    axes.minorticks_off()
    axes.set(xlabel="weights between neurons of the blocks", ylabel=_LABELS["emergence"])
    axes.legend(fontsize=6, frameon=False)
    return figure


def agreement(course: Course, rows: Sequence[Row]) -> Figure:
    """Draw the correlation of every measure with the scores, and that given log(step + 1)."""
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    names = list(dict.fromkeys(row["measure"] for row in rows))
    figure, panels = grid(
        f"{course.name}: correlation with scores, 95 % block bootstrap", len(tasks), 3, (3.6, 3.2)
    )
    for axes, task in zip(panels, tasks, strict=True):
        own = [row for row in rows if row["task"] == task]
        places = np.arange(len(names))
        for kind, colour, shift in (("pearson", BLUE, -0.12), ("partial", ORANGE, 0.12)):
            values = _floats([row[kind] for row in own])
            low, high = (_floats([row[f"{kind}_{end}"] for row in own]) for end in ("low", "high"))
            bars = [np.fmax(values - low, 0), np.fmax(high - values, 0)]
            label = "Pearson's r" if kind == "pearson" else "given log(step + 1)"
            axes.errorbar(
                values, places + shift, xerr=bars, color=colour, marker="o", ls="", ms=4,
                elinewidth=0.8, label=label,
            )  # fmt: skip
        axes.axvline(0, color="black", lw=0.7)
        axes.set_yticks(places, [name.replace("_", " ") for name in names], fontsize=6)
        axes.set_title(f"{task} (n = {own[0]['n']})", fontsize=8)
        axes.invert_yaxis()
        axes.set_xlim(-1.05, 1.05)
        axes.set_xlabel("correlation (dimensionless)", fontsize=8)
        axes.tick_params(axis="x", labelsize=7)
    panels[0].legend(fontsize=6, frameon=False)
    return figure


def _of(course: Course, rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.get("model", course.name) == course.name]


def _band(
    axes: Axes, x: Sequence[float], rows: Sequence[Row], name: str, colour: str, label: str
) -> None:
    value, low, high = (
        _floats([row[f"{name}{end}"] for row in rows]) for end in ("", "_low", "_high")
    )
    axes.plot(x, value, color=colour, marker="o", ms=2.5, lw=1.2, label=label)
    axes.fill_between(x, low, high, color=colour, alpha=0.2, lw=0)


def _floats(values: Sequence[float | None]) -> Any:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
