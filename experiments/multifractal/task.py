"""The study from start to finish: measure checkpoints, hold them against controls, draw."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.intervals import warn_few, with_interval
from experiments.multifractal import figures
from experiments.multifractal.agreement import agreement_rows, tasks
from experiments.multifractal.checkpoints import Run, runs, timed
from experiments.multifractal.course import (
    Course,
    Row,
    control_rows,
    emergence_rows,
    measures,
    network_rows,
    several,
    spectrum_rows,
)
from experiments.multifractal.keeping import Keeping
from experiments.multifractal.measuring import How, spread
from experiments.multifractal.reliability import largest_sample, sensitivity_rows
from experiments.multifractal.scores import read_scores
from experiments.multifractal.settings import Multifractal, MultifractalConfig, check
from probe.api import Results, UserError, show

logger = logging.getLogger(__name__)
# Share by which the number of nodes that count may change before it is told.
_DRIFT = 0.05


def run(config: MultifractalConfig, folder: Path) -> dict[str, Any]:
    """Run the study, write its files, and return the facts for the manifest.

    Raises
    ------
    UserError
        If a setting cannot work, or a checkpoint cannot be measured.
    """
    settings, models = config.study, runs(config)
    check(settings)
    scores = read_scores(settings.scores) if settings.scores else {}
    if scores:
        tasks(list(timed(models[0].checkpoints).values()), scores)  # before hours of work
    hows = [_how(each) for each in models]
    results, courses, sensitivity = Results(folder, config), list[Course](), list[Row]()
    for number, (each, how) in enumerate(zip(models, hows, strict=True)):
        keeping = Keeping(folder / "measured" / str(number))
        courses.append(_measured(each, how, keeping, settings, results, courses))
        if number == 0:
            sensitivity = sensitivity_rows(courses[0], courses[0].how, keeping.measured)
    tables = {
        name: several(courses, rows)
        for name, rows in (
            ("networks", network_rows), ("emergence", emergence_rows),
            ("controls", control_rows), ("spectrum", spectrum_rows),
        )
    } | {"sensitivity": sensitivity}  # fmt: skip
    if scores:
        course = courses[0]
        tables["agreement"] = agreement_rows(
            list(course.timed.values()),
            measures(course), scores, repetitions=settings.repetitions,
            orders=settings.permutations, seed=settings.seed,
        )  # fmt: skip
    for name, rows in tables.items():
        results.table(name, rows)
    results.save(tables)
    results.figures(figures.all_figures(courses, tables))
    _show(courses, tables)
    return {
        "checkpoints": {course.name: course.steps for course in courses},
        "networks": settings.samples,
        "headline": _headline(courses, tables),
    }


def _how(run: Run) -> How:
    """Return how a model's networks are sampled, the same of all its checkpoints.

    Raises
    ------
    UserError
        If the architecture has no maps, checkpoints have different shapes, or a sample is larger
        than a layer.
    """
    first, *others = run.checkpoints
    how = How.of(first.config)
    for other in others:
        theirs = How.of(other.config)
        if theirs.layout != how.layout:
            raise UserError(
                f"{other.name} has {theirs.layout.told}, and {first.name} {how.layout.told}; give "
                "checkpoints of one model, and others with study.also"
            )
    largest = largest_sample(how.layout)
    if how.size > largest:
        raise UserError(
            f"study.sample={how.size} is more than a layer of {run.name} has: {how.layout.told}, "
            f"of which twice as many are drawn; give {largest} or fewer"
        )
    if first.config.study.mode == "public" and not how.published.published:
        logger.info(
            "%s has no published layout, only rules: its own maps are used in mode public", run.name
        )
    return how


def _measured(
    run: Run, how: How, keeping: Keeping, settings: Multifractal, results: Results,
    before: Sequence[Course],
) -> Course:  # fmt: skip
    """Measure a model's checkpoints one after the other, and write what is there."""
    if settings.relative is not None:
        most = settings.relative / spread(keeping.opened(run.checkpoints[0]), how)
        logger.info("%s: distances up to %.4g count, %g/σ", run.name, most, settings.relative)
        how = replace(how, rules=replace(how.rules, most=most))
    course = Course(run.name, (), [], how, settings.repetitions, settings.seed)
    for checkpoint in run.checkpoints:
        first = course.measured[0] if course.measured else None
        found = keeping.measured(checkpoint, how, first=first)
        done = (*course.checkpoints, checkpoint)
        course = replace(course, checkpoints=done, measured=[*course.measured, found])
        results.table("networks", several([*before, course], network_rows))
        logger.info(
            "%s, %s: α₀ %.4f, width %.4f, %.0f of the sampled neurons count",
            run.name, checkpoint.name, found.numbers["alpha0"].mean(),
            found.numbers["width"].mean(), found.numbers["nodes"].mean(),
        )  # fmt: skip
    return course


def _show(courses: Sequence[Course], tables: dict[str, list[Row]]) -> None:
    for course in courses:
        emerged, controls = emergence_rows(course), control_rows(course)
        header = [
            course.name, "E [95 %]", "public", "shuffled", "α₀ [95 %]", "public", "shuffled",
            "width [95 %]", "shuffled", "nodes (public)",
        ]  # fmt: skip
        show(header, [_cells(*both) for both in zip(emerged, controls, strict=True)])
        _tell_drift(course)
    warn_few(len(courses[0].drawn[0]), "network")
    if "agreement" in tables:
        header = [
            "score",
            "measure",
            "n",
            "Pearson [95 %]",
            "p",
            "Spearman",
            "given log step [95 %]",
        ]
        show(header, map(_agreement_cells, tables["agreement"]))


def _cells(row: Row, control: Row) -> list[str]:
    networks = row["networks"]

    def estimate(name: str, form: str = ".4f") -> str:
        ends = (row[name], row[f"{name}_low"], row[f"{name}_high"])
        return with_interval(*ends, networks, form=form)

    step = "weights" if row["step"] is None else f"step {row['step']}"
    return [
        step if row["weights"] == "given" else "random weights",
        estimate("emergence", "+.4f"),
        _number(row["emergence_public"], "+.4f"),
        _number(control["emergence_shuffled"], "+.4f"),
        estimate("alpha0"),
        _number(row["alpha0_public"]),
        _number(control["alpha0_shuffled"]),
        estimate("width"),
        _number(control["width_shuffled"]),
        f"{row['nodes']:.0f} ({row['nodes_public']:.0f})",
    ]


def _agreement_cells(row: Row) -> list[str]:
    def estimate(name: str) -> str:
        ends = (row[name], row[f"{name}_low"], row[f"{name}_high"])
        return with_interval(*ends, row["n"], form="+.3f")

    return [
        row["task"], row["measure"], str(row["n"]), estimate("pearson"), _number(row["p"], ".3g"),
        _number(row["spearman"], "+.3f"), estimate("partial"),
    ]  # fmt: skip


def _number(value: float | None, form: str = ".4f") -> str:
    return "-" if value is None else f"{value:{form}}"


def _tell_drift(course: Course) -> None:
    """Say if more or fewer nodes count as weights grow, which is no change of structure."""
    counted = course.mean("nodes_public").value
    if not course.column("nodes_public").all():
        logger.warning(
            "%s: the published rules, with study.threshold=%g, measure nothing in some networks; "
            "their means are left out", course.name, course.how.threshold,
        )  # fmt: skip
        return
    least, most = counted.argmin(), counted.argmax()
    if counted[most] > (1 + _DRIFT) * counted[least]:
        logger.warning(
            "%s: by the published rules %.0f neurons count in %s and %.0f in %s, so that public "
            "values mix more neurons with another structure%s",
            course.name, counted[least], course.checkpoints[least].name, counted[most],
            course.checkpoints[most].name,
            "; α₀, width and E are of the neurons that count at first"
            if course.how.mode.same_nodes else "; study.mode=robust keeps them the same",
        )  # fmt: skip


def _headline(courses: Sequence[Course], tables: dict[str, list[Row]]) -> dict[str, float]:
    """Return the numbers that sum up a sweep: of the last checkpoint of the first model."""
    last = [row for row in tables["emergence"] if row.get("model", "") in ("", courses[0].name)][-1]
    names = ("alpha0", "width", "emergence")
    return {name: last[name] for name in names if last[name] is not None}
