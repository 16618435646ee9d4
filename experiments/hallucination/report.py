"""The study from start to finish, and its output: tables, figures, results."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.hallucination.answers import Answers, answer_documents, answers_of, split
from experiments.hallucination.coupling import has_pairs
from experiments.hallucination.figures import coupling_figure, probes_figure
from experiments.hallucination.findings import (
    ProbeResult,
    Quantity,
    couple_source,
    probe_source,
)
from experiments.hallucination.reading import read
from experiments.hallucination.settings import Hallucination, HallucinationConfig, check
from experiments.hallucination.sources import TOPOLOGY, sources
from experiments.statistics import paired_difference
from probe.api import UserError, aligned, atomic_write, write_csv

logger = logging.getLogger(__name__)


def report(config: HallucinationConfig, folder: Path) -> dict[str, Any]:
    """Run the study, write its files, and return the facts for the manifest.

    Raises
    ------
    UserError
        If a setting cannot work, or there are too few true or false answers.
    """
    check(config)
    documents = answer_documents(config)
    settings = config.study
    reading = read(config)
    answers = answers_of(config, documents, reading.names)
    facts = _facts(answers, len(documents))
    parts = split(answers, settings.split, settings.seed)
    shuffled = answers.shuffled(settings.permutations, settings.seed)
    probes: list[ProbeResult] = []
    couplings: list[Quantity] = []
    for source in sources(config, reading, answers, parts[0]):
        logger.info("%s", source.name if source.layer is None else f"{source.name}, {source.layer}")
        probes.append(probe_source(source, answers, parts, shuffled, settings))
        if source.coupled:
            couplings.append(couple_source(source, answers, settings))
    facts["parts"] = {
        name: len(part) for name, part in zip(("train", "choose", "test"), parts, strict=True)
    }
    facts["majority_accuracy"] = _majority(answers, parts)
    quantities = {
        "AUC": [(result.row, result.auc) for result in probes],
        "accuracy": [(result.row, result.accuracy) for result in probes],
        "share of questions with C > 0": [(coupling.row, coupling) for coupling in couplings],
    }
    facts["topology_less_best_control"] = [
        line for what, rows in quantities.items() for line in _differences(what, rows, settings)
    ]
    _write(folder, probes, couplings, facts)
    _log_tables(probes, couplings, facts)
    return facts


def _facts(answers: Answers, documents: int) -> dict[str, Any]:
    """Count answers and questions, and those without a coupling index."""
    questions = answers.by_question().values()
    with_pairs = sum(has_pairs(answers.truth[members]) for members in questions)
    if not with_pairs:
        raise UserError(
            f"none of {len(questions)} questions has two true and two false answers; give more "
            "questions"
        )
    return {
        "answers": len(answers.truth),
        "true": int(answers.truth.sum()),
        "answers_left_out": documents - len(answers.truth),
        "questions": len(questions),
        "questions_without_coupling_index": len(questions) - with_pairs,
    }


def _majority(answers: Answers, parts: Sequence[Any]) -> float:
    """Return the accuracy of always predicting the majority class of the training set."""
    guess = answers.truth[parts[0]].mean() > 0.5
    return float((answers.truth[parts[2]] == guess).mean())


def _differences(
    what: str, entries: Sequence[tuple[Mapping[str, Any], Quantity]], settings: Hallucination
) -> list[dict[str, Any]]:
    """Compare each layer's topology with the best control."""
    controls = [entry for entry in entries if entry[0]["control"]]
    best, quantity = max(controls, key=lambda entry: entry[1].row["value"])
    lines = []
    for row, own in entries:
        if row["source"] != TOPOLOGY:
            continue
        difference, low, high = paired_difference(
            own.of, quantity.of, own.groups, settings.seed, settings.repetitions
        )
        lines.append(
            {
                "what": what, "layer": row["layer"], "best_control": best["source"],
                "control_layer": best["layer"], "difference": difference, "low": low, "high": high,
            }
        )  # fmt: skip
    return lines


def _write(
    folder: Path,
    probes: Sequence[ProbeResult],
    couplings: Sequence[Quantity],
    facts: Mapping[str, Any],
) -> None:
    write_csv(folder / "probes.csv", [result.row for result in probes])
    rows = [{k: v for k, v in one.row.items() if k != "indices"} for one in couplings]
    write_csv(folder / "coupling.csv", rows)
    results = {
        **facts,
        "probes": [result.row for result in probes],
        "coupling": [coupling.row for coupling in couplings],
    }
    with atomic_write(folder / "results.json") as unfinished:
        unfinished.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    figures = {
        "probes": probes_figure([result.row for result in probes], facts["majority_accuracy"]),
        "coupling": coupling_figure([coupling.row for coupling in couplings]),
    }
    for name, figure in figures.items():
        with atomic_write(folder / "figures" / f"{name}.png") as unfinished:
            figure.savefig(unfinished, format="png")


def _log_tables(
    probes: Sequence[ProbeResult], couplings: Sequence[Quantity], facts: Mapping[str, Any]
) -> None:
    rows = [
        [
            _label(result.row),
            *(_number(result.row, name) for name in ("accuracy", "auc", "within")),
            f"{result.row['accuracy_shuffled']:.3f}, {result.row['auc_shuffled']:.3f}",
        ]
        for result in probes
    ]
    header = ["truth predicted from", "accuracy", "AUC", "within questions", "shuffled labels"]
    lines = aligned(header, rows)
    lines.append(f"majority class: accuracy {facts['majority_accuracy']:.3f}")
    rows = [
        [
            _label(coupling.row), str(coupling.row["questions"]), _number(coupling.row, "value"),
            f"{coupling.row['null']:.3f}", f"{coupling.row['p']:.3f}",
            f"{coupling.row['mean_c']:+.4f}",
        ]
        for coupling in couplings
    ]  # fmt: skip
    header = ["coupling index of", "questions", "share C > 0", "shuffled", "p", "mean C"]
    lines += aligned(header, rows)
    for line in facts["topology_less_best_control"]:
        lines.append(
            f"{line['what']}, topology of layer {line['layer']} minus best control "
            f"({line['best_control']}): {line['difference']:+.3f} "
            f"[{line['low']:+.3f}, {line['high']:+.3f}]"
        )
    for text in lines:
        logger.info("%s", text)


def _label(row: Mapping[str, Any]) -> str:
    name: str = row["source"]
    return name if row["layer"] is None else f"{name}, layer {row['layer']}"


def _number(row: Mapping[str, Any], name: str) -> str:
    low, high = ("low", "high") if name == "value" else (f"{name}_low", f"{name}_high")
    if row[name] is None:
        return "-"
    return f"{row[name]:.3f} [{row[low]:.3f}, {row[high]:.3f}]"
