"""What a comparison leaves: tables, figures, and a summary on the console."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from probe.compare.compare import Comparison, Pair
from probe.compare.items import Item
from probe.errors import UserError
from probe.runs.manifest import MANIFEST
from probe.system.tables import aligned, write_csv

logger = logging.getLogger(__name__)
_TABLE = "comparison.csv"
_BESIDE = 4  # heat maps that a figure has room for
_SHOWN = 40  # lines of a table on the console


def default_folder(items: Sequence[Item], options: dict[str, Any]) -> Path:
    """Return `outputs/compare/<8 hex>`; the hash covers the runs' files and the options."""
    runs = {str(item.run): _digest(item.run) for item in items}
    text = json.dumps({"runs": runs, "options": options}, sort_keys=True)
    return Path("outputs") / "compare" / hashlib.sha256(text.encode()).hexdigest()[:8]


def write(comparison: Comparison, folder: Path) -> None:
    """Write tables and figures; the folder appears whole, in the place of an older comparison.

    Raises
    ------
    UserError
        If the folder holds anything else, or cannot be written.
    """
    if folder.exists() and not (folder / _TABLE).is_file() and _holds_anything(folder):
        raise UserError(f"{folder} holds other files; give --output a new folder")
    with _in_place_of(folder) as work:
        write_csv(work / _TABLE, [_pair_row(comparison, pair) for pair in comparison.pairs])
        rows = list(_difference_rows(comparison))
        if rows:
            write_csv(work / "differences.csv", rows)
        write_csv(work / "measures.csv", [_item_row(item) for item in comparison.items])
        _draw(comparison, work)


def show(comparison: Comparison) -> None:
    """Show the pairs on the console, and why there are pairs without numbers."""
    labels = [item.label for item in comparison.items]
    matched = [pair for pair in comparison.pairs if pair.unmatched is None]
    header = [
        "items", "", "r of entries", "ceiling", "rms difference", "share of hubs", "by chance", "p",
    ]  # fmt: skip
    lines = aligned(header, [_line(labels, pair) for pair in matched]) if matched else []
    for line in lines[: 1 + _SHOWN]:
        logger.info("%s", line)
    if len(lines) > 1 + _SHOWN:
        logger.info("and %d pairs more in %s", len(lines) - 1 - _SHOWN, _TABLE)
    for reason in dict.fromkeys(pair.unmatched for pair in comparison.pairs if pair.unmatched):
        concerned = [pair for pair in comparison.pairs if pair.unmatched == reason]
        logger.info(
            "%d pair%s compared by measures only, e.g. %s and %s: %s, so that neurons do not match",
            len(concerned), "s" if len(concerned) > 1 else "",
            labels[concerned[0].items[0]], labels[concerned[0].items[1]], reason,
        )  # fmt: skip
    _show_measures(comparison.items)


def _show_measures(items: Sequence[Item]) -> None:
    columns = ["tokens", "mean_abs_r", "chance_abs_r", "strength_gini", "participation_ratio"]
    rows = [_item_row(item) for item in items]
    columns = [column for column in columns if any(column in row for row in rows)]
    cells = [[row["item"], *(_short(row.get(column)) for column in columns)] for row in rows]
    for line in aligned(["item", *columns], cells[:_SHOWN]):
        logger.info("%s", line)
    tokens = [row["tokens"] for row in rows if row.get("tokens")]
    if tokens and max(tokens) > 1.1 * min(tokens):
        logger.warning(
            "the items have between %d and %d tokens: noise alone makes |r| differ; read every "
            "measure of |r| beside chance_abs_r", min(tokens), max(tokens),
        )  # fmt: skip


def _line(labels: Sequence[str], pair: Pair) -> list[str]:
    hubs = pair.overlap
    found = [pair.correlation, pair.ceiling, pair.rms_difference]
    found += [hubs.share, hubs.chance, hubs.p] if hubs else [None] * 3
    return [*(labels[number] for number in pair.items), *map(_short, found)]


def _short(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def _pair_row(comparison: Comparison, pair: Pair) -> dict[str, Any]:
    a, b = (comparison.items[number] for number in pair.items)
    row: dict[str, Any] = {
        "item_a": a.label,
        "item_b": b.label,
        "neurons_matched": pair.unmatched is None,
        "why_not": pair.unmatched,
        "correlation": pair.correlation,
        "spearman": pair.spearman,
        "ceiling": pair.ceiling,
        "rms_difference": pair.rms_difference,
    }
    hubs = pair.overlap
    for name in ("shared", "jaccard", "share", "chance", "chance_95", "p"):
        row[f"hubs_{name}"] = getattr(hubs, name) if hubs else None
    return row | {f"relative_{name}": value for name, value in pair.relative.items()}


def _difference_rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    for pair in comparison.pairs:
        a, b = (comparison.items[number].label for number in pair.items)
        for one in pair.largest:
            yield {
                "item_a": a, "item_b": b,
                "neuron_i": one.neurons[0], "neuron_j": one.neurons[1],
                "r_a": one.r[0], "r_b": one.r[1], "difference": one.r[1] - one.r[0],
            }  # fmt: skip


def _item_row(item: Item) -> dict[str, Any]:
    topology, reliability = item.topology, item.topology.reliability
    row: dict[str, Any] = {
        "item": item.label, "run": str(item.run), "topology": topology.name,
        "model": topology.model, "init": item.space.init, "data": topology.data,
        "subject": topology.subject, "site": topology.site, "layer": topology.layer,
        "examples": topology.examples,
    }  # fmt: skip
    if reliability is not None:
        row |= {"tokens": reliability.tokens, "split_half": reliability.split_half}
    halves = {f"half_difference_{name}": far for name, far in item.half_differences.items()}
    return row | item.numbers | halves


def _draw(comparison: Comparison, work: Path) -> None:
    from probe.plots import comparison as draw
    from probe.plots import side_by_side

    labels = [item.label for item in comparison.items]
    hubs = [pair.overlap for pair in comparison.pairs if pair.overlap]
    if any(pair.unmatched is None for pair in comparison.pairs):
        figure = draw(
            labels,
            comparison.matrix(lambda pair: pair.correlation),
            comparison.matrix(lambda pair: pair.overlap.share if pair.overlap else None),
            sum(each.chance for each in hubs) / len(hubs) if hubs else float("nan"),
        )
        figure.savefig(work / "comparison.png", format="png")
    if len(labels) <= _BESIDE:
        figure = side_by_side([item.topology for item in comparison.items], labels)
        figure.savefig(work / "beside.png", format="png")


@contextmanager
def _in_place_of(folder: Path) -> Iterator[Path]:
    """Give a folder to work in that takes the place of `folder` once it is whole."""
    work = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    old = work.with_suffix(".old")
    try:
        work.mkdir(parents=True)
        yield work
        if folder.exists():
            folder.rename(old)
        work.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror}); give another folder with --output"
        ) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _holds_anything(folder: Path) -> bool:
    return not folder.is_dir() or any(folder.iterdir())


def _digest(run: Path) -> str:
    return hashlib.sha256((run / MANIFEST).read_bytes()).hexdigest()
