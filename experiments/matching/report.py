"""The study from start to finish, and its output: tables, a figure, results."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.intervals import warn_few, with_interval
from experiments.matching.averages import compare_averages
from experiments.matching.figures import figure
from experiments.matching.pairs import Models, match_pairs
from experiments.matching.settings import MatchingConfig, both, check
from experiments.matching.texts import everything, load_texts, read
from experiments.statistics import split_by_group
from probe.api import Results, UserError, show
from probe.api.drawing import about

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
    results = Results(folder, config)
    results.table("gauc", matched)
    results.table("fingerprints", compared)
    results.save({**facts, "gauc": matched, "fingerprints": compared})
    results.figure("matching", figure((about(first), about(second)), matched, compared))
    _log_tables(matched, compared)
    return facts | {"headline": {row["pair"]: row["gauc"] for row in matched}}


def _log_tables(matched: Sequence[Row], compared: Sequence[Row]) -> None:
    rows = [
        [
            row["pair"], with_interval(row["gauc"], row["low"], row["high"], row["documents"]),
            f"{row['permuted']:.3f}", f"{row['p']:.3f}",
            with_interval(
                row["less"], row["less_low"], row["less_high"], row["documents"], form="+.3f"
            ),
        ]
        for row in matched
    ]  # fmt: skip
    show(["matched", "GAUC [95 %]", "permuted texts", "p", "more than this control [95 %]"], rows)
    warn_few(matched[0]["documents"])
    rows = [
        [row["pair"], f"{row['neurons'][0]}, {row['neurons'][1]}", f"{row['correlation']:.3f}",
         "-" if row["recovered"] is None else f"{row['recovered']:.3f}",
         "-" if row["spectra"] is None else f"{row['spectra']:.4f}"]
        for row in compared
    ]  # fmt: skip
    header = ["averages", "neurons", "r of assigned", "recovered", "distance of spectra"]
    show(header, rows)
