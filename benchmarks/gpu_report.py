"""What is measured on a GPU, and its table."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.report import Report


@dataclass(frozen=True)
class Speed:
    """A way to compute, over its base within a round; the base is the floor or ours."""

    shape: str
    dtype: str
    way: str
    seconds: float
    ratio: float
    error: float | None = None
    bar: str = ""
    holds: bool | None = None


@dataclass(frozen=True)
class Padded:
    """How far a text's activations in a padded batch are from the text alone.

    Attributes
    ----------
    shape, dtype, side : str
        The model, and where it is padded.
    length : int
        Tokens of the text.
    not_finite : int
        Activations in the batch that are not finite.
    x, r : float
        The largest ‖Δx‖/‖x‖ of a token and |Δr|, dimensionless.
    bound : float
        The most of `x` that rounding explains.
    """

    shape: str
    dtype: str
    side: str
    length: int
    not_finite: int
    x: float
    r: float
    bound: float


@dataclass(frozen=True)
class Found:
    """All that was measured."""

    speeds: list[Speed]
    padded: list[Padded]
    raw: list[dict[str, Any]]


def report(found: Found, facts: Mapping[str, object], left_out: Sequence[str]) -> Report:
    """Return the report: speeds with their bars, and a sentence for every padded text."""
    verdicts = {None: "", True: "holds", False: "does not hold"}
    notes = [
        f"{one.shape}, {one.dtype}: a text of {one.length} tokens padded on the {one.side} has "
        f"{one.not_finite} activations that are not finite and differs from the text alone by "
        f"‖Δx‖/‖x‖ = {one.x:.1e} (rounding explains {one.bound:.1e}), |Δr| = {one.r:.1e}."
        for one in found.padded
    ]
    if left_out:
        notes.append(f"Left out, for want of time or memory: {'; '.join(left_out)}.")
    return Report(
        name="gpu",
        title="On a CUDA device",
        facts=facts,
        columns=["shape", "type", "", "s", "ratio", "bar", "", "error of r"],
        rows=[
            [
                one.shape, one.dtype, one.way, f"{one.seconds:.4g}", f"{one.ratio:.3f}", one.bar,
                verdicts[one.holds], "" if one.error is None else f"{one.error:.1e}",
            ]
            for one in found.speeds
        ],
        notes=notes,
        raw={"padded": [asdict(one) for one in found.padded], "seconds": found.raw},
    )  # fmt: skip
