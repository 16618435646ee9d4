"""Intervals in the log: each with the number of documents behind it, marked if they are few."""

import logging

from probe.api import plural
from probe.api.parts import FEW

logger = logging.getLogger(__name__)


def with_interval(
    value: float | None, low: float | None, high: float | None, groups: int, *, form: str = ".3f"
) -> str:
    """Write a number with its interval and the groups that were resampled, marked if few.

    Examples
    --------
    >>> with_interval(0.7, 0.612, 0.781, 34), with_interval(0.1, -0.2, 0.3, 7, form="+.2f")
    ('0.700 [0.612, 0.781] n=34', '+0.10 [-0.20, +0.30] n=7!')
    >>> with_interval(None, None, None, 7)
    '-'
    """
    if value is None or low is None or high is None:
        return "-"
    mark = "!" if groups < FEW else ""
    return f"{value:{form}} [{low:{form}}, {high:{form}}] n={groups}{mark}"


def warn_few(groups: int, what: str = "document") -> None:
    """Say in the log what the mark at intervals means, where they have it."""
    if groups < FEW:
        logger.warning(
            "intervals marked ! are over %s only, and too narrow: under %d the bootstrap "
            "understates how much another sample would differ", plural(groups, what), FEW,
        )  # fmt: skip
