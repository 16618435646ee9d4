"""Scores of checkpoints on tasks, as they are read from files."""

import csv
import json
import math
import re
from pathlib import Path

from probe.api import UserError

_COLUMNS = ("step", "task", "value")
# Of the harness's results, accuracy, as in Xiao et al. (2025).
_METRICS = ("acc", "acc,none")
_EVALUATION = re.compile(r"_step([0-9]+)\.json$")

# Value by step, by task.
Scores = dict[str, dict[int, float]]


def score_files(place: str) -> list[Path]:
    """Return the files of scores: a table, or all of a folder.

    Raises
    ------
    UserError
        If there is none.
    """
    path = Path(place)
    if path.is_file():
        return [path]
    files = sorted(one for one in path.glob("*.json") if _EVALUATION.search(one.name))
    if not files:
        what = "has no *_stepN.json" if path.is_dir() else "does not exist"
        raise UserError(
            f"study.scores={place} {what}; give a .csv with columns {', '.join(_COLUMNS)}, or a "
            "folder of *_stepN.json of the evaluation harness"
        )
    return files


def read_scores(place: str) -> Scores:
    """Read the scores of checkpoints, see `score_files`.

    Raises
    ------
    UserError
        If a file is no such table, or a step has two values of a task.
    """
    scores: Scores = {}
    for file in score_files(place):
        of_step = _EVALUATION.search(file.name)
        rows = _evaluation(file, int(of_step[1])) if of_step else _table(file)
        for step, task, value in rows:
            own = scores.setdefault(task, {})
            if own.setdefault(step, value) != value:
                raise UserError(f"{file} has two values of {task} at step {step}; leave one out")
    if not scores:
        raise UserError(f"study.scores={place} has no scores")
    return scores


def _table(file: Path) -> list[tuple[int, str, float]]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            table = csv.DictReader(stream)
            missing = [name for name in _COLUMNS if name not in (table.fieldnames or ())]
            if missing:
                raise UserError(
                    f"{file} has no column {missing[0]}; scores have the columns "
                    f"{', '.join(_COLUMNS)}"
                )
            return [_row(file, table.line_num, row) for row in table]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file} is no table of scores ({error}); give a .csv") from None


def _row(file: Path, line: int, row: dict[str, str]) -> tuple[int, str, float]:
    try:
        step, value = int(row["step"]), float(row["value"])
        finite = math.isfinite(value)
    except (TypeError, ValueError):
        finite = False
    if not row["task"]:
        raise UserError(f"line {line} of {file} has no task; give the name of one")
    if not finite or step < 0:
        raise UserError(
            f"line {line} of {file} has step {row['step']} and value {row['value']}; give a whole "
            "number and a number"
        )
    return step, row["task"], value


def _evaluation(file: Path, step: int) -> list[tuple[int, str, float]]:
    """Return the accuracies in a file of the evaluation harness."""
    try:
        results = json.loads(file.read_text(encoding="utf-8"))["results"]
        return [
            (step, task, float(values[metric]))
            for task, values in results.items()
            for metric in _METRICS
            if metric in values
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{file} is no result of the evaluation harness ({type(error).__name__}: {error}); "
            "move it elsewhere"
        ) from None
