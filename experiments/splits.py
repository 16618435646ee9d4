"""Fractions of documents in each part: `study.split`, checked before torch is imported."""

from collections.abc import Sequence
from math import isclose

from probe.api import UserError


def check_split(split: Sequence[float], parts: Sequence[str]) -> None:
    """Check the fractions of documents in each part, `study.split`.

    Raises
    ------
    UserError
        If there are not as many fractions as parts, or they do not sum to 1.
    """
    if len(split) != len(parts) or not isclose(sum(split), 1):
        usual = ",".join(["0.6", "0.2", "0.2"] if len(parts) == 3 else ["0.7", "0.3"])
        raise UserError(
            f"study.split={split} must be {len(parts)} fractions ({', '.join(parts)}) that sum to "
            f"1, e.g. study.split=[{usual}]"
        )
