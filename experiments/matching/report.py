"""The study from start to finish, and its output: tables, a figure, results."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.matching.averages import compare_averages
from experiments.matching.figures import figure
from experiments.matching.pairs import Models, match_pairs
from experiments.matching.settings import MatchingConfig, both, check
from experiments.matching.texts import everything, load_texts, read
from experiments.statistics import split_by_group
from probe.api import UserError, aligned, atomic_write, write_csv

logger = logging.getLogger(__name__)
Row = dict[str, Any]
_FEWEST = 2  # texts of a part: a single one has no other to be compared with


def report(config: MatchingConfig, folder: Path) -> dict[str, Any]:
    """Run the study, write its files, and return the facts for the manifest.

    Raises
    ------
    UserError
        If a setting cannot work, or too few texts can be read by both models.
    """
    check(config)
    first, second = both(config)
    texts = load_texts(config)
    one = read("first model", first, texts, range(len(texts)))
    first, second = everything(first), everything(second)
    other = read("second model", second, texts, list(one.series))
    numbers = list(other.series)
    groups = [texts[number].group for number in numbers]
    parts = split_by_group(groups, config.study.split, config.study.seed)
    if min(map(len, parts)) < _FEWEST:
        raise UserError(
            f"{len(numbers)} texts that both models can read, of {len(set(groups))} documents, "
            f"leave a part of study.split={config.study.split} with fewer than {_FEWEST}; "
            "give more or shorter texts, e.g. data.max_words=100"
        )
    logger.info("%d texts of %d documents, read by both models", len(numbers), len(set(groups)))
    models = Models(first, second, one, other, texts, parts, numbers)
    matched = match_pairs(models, config.study)
    compared = compare_averages(models, config.study)
    facts = {
        "texts": len(numbers),
        "texts_left_out": len(texts) - len(numbers),
        "documents": len(set(groups)),
        "parts": dict(zip(("train", "stop", "test"), map(len, parts), strict=True)),
        "neurons": [one.n_neurons, other.n_neurons],
    }
    _write(folder, matched, compared, facts)
    _log_tables(matched, compared)
    return facts


def _write(
    folder: Path, matched: Sequence[Row], compared: Sequence[Row], facts: Mapping[str, Any]
) -> None:
    write_csv(folder / "gauc.csv", matched)
    write_csv(folder / "fingerprints.csv", compared)
    results = {**facts, "gauc": matched, "fingerprints": compared}
    with atomic_write(folder / "results.json") as unfinished:
        unfinished.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    with atomic_write(folder / "figures" / "matching.png") as unfinished:
        figure(matched, compared).savefig(unfinished, format="png")


def _log_tables(matched: Sequence[Row], compared: Sequence[Row]) -> None:
    rows = [
        [
            row["pair"], f"{row['gauc']:.3f} [{row['low']:.3f}, {row['high']:.3f}]",
            f"{row['permuted']:.3f}", f"{row['p']:.3f}",
            "-" if row["less"] is None
            else f"{row['less']:+.3f} [{row['less_low']:+.3f}, {row['less_high']:+.3f}]",
        ]
        for row in matched
    ]  # fmt: skip
    lines = aligned(["matched", "GAUC", "permuted texts", "p", "difference to this control"], rows)
    rows = [
        [row["pair"], f"{row['neurons'][0]}, {row['neurons'][1]}", f"{row['correlation']:.3f}",
         "-" if row["recovered"] is None else f"{row['recovered']:.3f}",
         "-" if row["spectra"] is None else f"{row['spectra']:.4f}"]
        for row in compared
    ]  # fmt: skip
    header = ["averages", "neurons", "r of assigned", "recovered", "distance of spectra"]
    for line in [*lines, *aligned(header, rows)]:
        logger.info("%s", line)
