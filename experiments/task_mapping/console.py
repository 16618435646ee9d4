"""The study's tables in the log."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from probe.api import show

Row = dict[str, Any]


def log_networks(rows: Sequence[Row]) -> None:
    """Log how many units each task's network has at each site."""
    header = ["network", "site", "units (FDR)", "of them more than off", "Bonferroni", "left out"]
    header.append("largest layer")
    show(
        header,
        (
            [
                row["task"], row["site"], f"{row['fdr']} ({row['fdr_share']:.1%})",
                str(row["more_than_off"]), str(row["bonferroni"]), str(row["left_out"]),
                "-" if row["largest_layer"] is None else str(row["largest_layer"]),
            ]
            for row in rows
        ),
    )  # fmt: skip


def log_overlap(rows: Sequence[Row]) -> None:
    """Log which tasks' networks of equal size overlap most, over halves without shared prompts."""
    header = ["overlap of halves", "most alike", "Dice", "r", "mean Dice", "own", "mean r", "own"]
    lines = []
    for features, own in _by_features(row for row in rows if row["rule"] == "top"):
        most = max(own, key=lambda row: row["dice_across"])
        means = [_mean(own, f"dice_{kind}") for kind in ("across", "own")]
        means_r = [_mean(own, f"r_{kind}") for kind in ("across", "own")]
        lines.append(
            [
                features, f"{most['first']}, {most['second']}", f"{most['dice_across']:.2f}",
                f"{most['r_across']:+.2f}", *(f"{mean:.2f}" for mean in means),
                *(f"{mean:+.2f}" for mean in means_r),
            ]
        )  # fmt: skip
    show(header, lines)


def log_maps(rows: Sequence[Row]) -> None:
    """Log how alike scans of one task are, beside other tasks' and null scans."""
    header = ["means over tasks", "Dice in task", "other", "null", "r in task", "other", "null"]
    lines = []
    for features, own in _by_features(rows):
        cells = [
            f"{_mean(own, f'{measure}_{kind}'):{form}}"
            for measure, form in (("dice", ".2f"), ("r", "+.2f"))
            for kind in ("same", "between", "null")
        ]
        lines.append([features, *cells, f"{_mean(own, 'icc'):.2f}"])
    show([*header, "ICC(3,1)"], lines)


def log_naming(rows: Sequence[Row]) -> None:
    """Log how many scans are named right, and how many null scans are left unnamed."""
    header = ["task of a scan", "named right", "chance", "p", "null rejected", "kept and right"]
    show(
        header,
        (
            [
                row["features"], f"{row['right']} of {row['scans']}", f"{row['chance']:.2f}",
                f"{row['p']:.2g}", f"{row['null_rejected']:.0%} ({1 - row['rate']:.0%} meant)",
                f"{row['kept_and_right']:.0%}",
            ]
            for row in rows
        ),
    )  # fmt: skip


def _by_features(rows: Iterable[Row]) -> list[tuple[str, list[Row]]]:
    listed = list(rows)
    names = dict.fromkeys(row["features"] for row in listed)
    return [(name, [row for row in listed if row["features"] == name]) for name in names]


def _mean(rows: Sequence[Row], name: str) -> float:
    return float(np.mean([row[name] for row in rows]))
