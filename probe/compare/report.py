"""The output of a comparison: tables, figures, and a summary on the console."""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from probe.compare.items import Item
from probe.compare.pairwise import Comparison, Pair
from probe.errors import UserError
from probe.runs.manifest import MANIFEST
from probe.runs.writing import save_figure
from probe.system.logs import plural
from probe.system.tables import aligned, write_csv

logger = logging.getLogger(__name__)
_TABLE = "comparison.csv"
_BESIDE = 4  # heat maps that fit into a figure
_SHOWN = 40  # lines of a table on the console
# Columns on the console, by their names in measures.csv.
_MEASURES = {
    "tokens": "tokens",
    "mean_abs_r": "mean |r|",
    "chance_abs_r": "chance",
    "strength_gini": "Gini",
    "participation_ratio": "eff. dim.",
}


def default_folder(items: Sequence[Item], options: dict[str, Any]) -> Path:
    """Return `outputs/compare/<8 hex>`; the hash covers the runs' files and the options."""
    manifests = {str(item.run): (item.run / MANIFEST).read_bytes() for item in items}
    runs = {run: hashlib.sha256(manifest).hexdigest() for run, manifest in manifests.items()}
    text = json.dumps({"runs": runs, "options": options}, sort_keys=True)
    return Path("outputs") / "compare" / hashlib.sha256(text.encode()).hexdigest()[:8]


def write(comparison: Comparison, folder: Path) -> None:
    """Write tables and figures; the folder appears complete and replaces an older comparison.

    Raises
    ------
    UserError
        If the folder holds anything else, or cannot be written.
    """
    older = (folder / _TABLE).is_file()
    if folder.exists() and not older and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} contains other files; give --output a new folder")
    with _in_place_of(folder) as work:
        write_csv(work / _TABLE, [_pair_row(comparison, pair) for pair in comparison.pairs])
        rows = list(_difference_rows(comparison))
        if rows:
            write_csv(work / "differences.csv", rows)
        write_csv(work / "measures.csv", [_item_row(item) for item in comparison.items])
        _draw(comparison, work)


def show(comparison: Comparison) -> None:
    """Log the pairs, and why some are compared by measures only."""
    labels = [item.label for item in comparison.items]
    matched = [pair for pair in comparison.pairs if pair.unmatched is None]
    header = [
        "items", "", "r of entries", "ceiling", "rms difference", "hubs in common", "chance", "p",
    ]  # fmt: skip
    lines = aligned(header, [_line(labels, pair) for pair in matched]) if matched else []
    for line in lines[: 1 + _SHOWN]:
        logger.info("%s", line)
    if len(lines) > 1 + _SHOWN:
        logger.info("and %d more pairs in %s", len(lines) - 1 - _SHOWN, _TABLE)
    for reason in dict.fromkeys(pair.unmatched for pair in comparison.pairs if pair.unmatched):
        pairs = [pair for pair in comparison.pairs if pair.unmatched == reason]
        logger.info(
            "%s compared by measures only, e.g. %s and %s: %s, so neurons do not correspond",
            plural(len(pairs), "pair"), *(labels[number] for number in pairs[0].items), reason,
        )  # fmt: skip
    _show_measures(comparison.items)


def _show_measures(items: Sequence[Item]) -> None:
    rows = [_item_row(item) for item in items]
    columns = [column for column in _MEASURES if any(column in row for row in rows)]
    cells = [[row["item"], *(_short(row.get(column)) for column in columns)] for row in rows]
    for line in aligned(["item", *(_MEASURES[column] for column in columns)], cells[:_SHOWN]):
        logger.info("%s", line)
    tokens = [row["tokens"] for row in rows if row.get("tokens")]
    if tokens and max(tokens) > 1.1 * min(tokens):
        logger.warning(
            "the items have between %d and %d tokens, so noise alone makes |r| differ; compare "
            "every |r| with its chance level", min(tokens), max(tokens),
        )  # fmt: skip


def _line(labels: Sequence[str], pair: Pair) -> list[str]:
    hubs = pair.overlap
    numbers = [pair.correlation, pair.ceiling, pair.rms_difference]
    numbers += [hubs.share, hubs.chance, hubs.p] if hubs else [None] * 3
    return [*(labels[number] for number in pair.items), *map(_short, numbers)]


def _short(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def _pair_row(comparison: Comparison, pair: Pair) -> dict[str, Any]:
    a, b = (comparison.items[number] for number in pair.items)
    row: dict[str, Any] = {
        "item_a": a.label, "item_b": b.label, "neurons_matched": pair.unmatched is None,
        "why_not": pair.unmatched, "correlation": pair.correlation, "spearman": pair.spearman,
        "ceiling": pair.ceiling, "rms_difference": pair.rms_difference,
    }  # fmt: skip
    hubs = pair.overlap
    for name in ("shared", "jaccard", "share", "chance", "chance_95", "p"):
        row[f"hubs_{name}"] = getattr(hubs, name) if hubs else None
    return row | {f"relative_{name}": value for name, value in pair.relative.items()}


def _difference_rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    for pair in comparison.pairs:
        a, b = (comparison.items[number].label for number in pair.items)
        for i, j, r_a, r_b in pair.largest:
            yield {
                "item_a": a, "item_b": b, "neuron_i": i, "neuron_j": j,
                "r_a": r_a, "r_b": r_b, "difference": r_b - r_a,
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
    halves = {f"half_difference_{name}": value for name, value in item.half_differences.items()}
    return row | item.numbers | halves


def _draw(comparison: Comparison, work: Path) -> None:
    from probe.plots import comparison as draw
    from probe.plots import side_by_side, title

    labels = [item.label for item in comparison.items]
    hubs = [pair.overlap for pair in comparison.pairs if pair.overlap]
    if any(pair.unmatched is None for pair in comparison.pairs):
        figure = draw(
            labels,
            comparison.matrix(lambda pair: pair.correlation),
            comparison.matrix(lambda pair: pair.overlap.share if pair.overlap else None),
            sum(each.chance for each in hubs) / len(hubs) if hubs else float("nan"),
            title(*(item.topology for item in comparison.items)),
        )
        save_figure(figure, work / "comparison.png")
    if len(labels) <= _BESIDE:
        figure = side_by_side([item.topology for item in comparison.items], labels)
        save_figure(figure, work / "beside.png")


@contextmanager
def _in_place_of(folder: Path) -> Iterator[Path]:
    """Yield a folder to work in, which replaces `folder` once it is complete."""
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
