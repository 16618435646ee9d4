"""How the measures depend on what one chooses: the threshold, and the size of the sample."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from experiments.multifractal.checkpoints import Checkpoint
from experiments.multifractal.course import Course, Row, emergence_rows
from experiments.multifractal.kept import Measured
from experiments.multifractal.layouts import Layout
from experiments.multifractal.measuring import How
from probe.api import UserError

logger = logging.getLogger(__name__)
# Times the chosen ones; the published code's own scripts differ by as much.
_THRESHOLDS = (1 / 3, 1 / 2, 2 / 3, 1, 4 / 3, 2)
_SIZES = (1 / 4, 1 / 2, 1, 2)
# Measures a checkpoint, or finds what was kept: called with a name, and what the first one gave.
Measure = Callable[[Checkpoint, How, str, Measured | None], Measured]


@dataclass(frozen=True)
class Choice:
    """A threshold or a size of the sample in the place of the chosen one."""

    what: str
    value: float
    how: How


def choices(how: How) -> Iterator[Choice]:
    """Yield thresholds and sample sizes about the chosen ones, these among them."""
    for times in _THRESHOLDS:
        most = times * how.rules.most
        if most > how.rules.above:
            rules = replace(how.rules, most=most)
            varied = replace(how, rules=rules, threshold=times * how.threshold)
            yield Choice("threshold", most, varied)
    for times in _SIZES:
        size = round(times * how.size)
        if 2 <= size <= largest_sample(how.layout):
            yield Choice("sample", size, replace(how, size=size))


def largest_sample(layout: Layout) -> int:
    """Return how many neurons can be drawn of every layer, and twice as many hidden units."""
    return min(layout.width, layout.attended, layout.hidden // 2)


def sensitivity_rows(course: Course, how: How, measure: Measure) -> list[Row]:
    """Measure the first and the last checkpoint under every choice.

    A choice under which nothing can be measured is left out, and said.
    """
    ends = course.checkpoints[:1] + course.checkpoints[1:][-1:]
    measured: dict[Choice, list[Measured]] = {choice: [] for choice in choices(how)}
    for checkpoint in ends:  # is opened once
        for choice, own in list(measured.items()):
            name = "" if choice.how == how else f"{choice.what}-{choice.value:g}"
            try:
                own.append(measure(checkpoint, choice.how, name, own[0] if own else None))
            except UserError as error:
                logger.info("study.%s=%g cannot be measured: %s", choice.what, choice.value, error)
                del measured[choice]
    return [
        {"choice": choice.what, "value": choice.value} | row
        for choice, own in measured.items()
        for row in emergence_rows(replace(course, checkpoints=ends, measured=own))
    ]
