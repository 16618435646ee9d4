"""The study from start to finish, and its output: tables, figures, results."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
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
from experiments.intervals import warn_few, with_interval
from experiments.statistics import paired_difference
from probe.api import Results, UserError, show
from probe.api.drawing import about

logger = logging.getLogger(__name__)
# Who always predicts the same is a control, too.
CONSTANT = {"source": "constant", "layer": None, "control": True}


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
    constant = _constant(answers, parts)
    facts["majority_accuracy"] = constant.row["value"]
    chance = replace(constant, of=lambda _: 0.5, row={"value": 0.5})
    quantities = {
        "AUC": [(CONSTANT, chance), *((result.row, result.auc) for result in probes)],
        "accuracy": [(CONSTANT, constant), *((result.row, result.accuracy) for result in probes)],
        "share of questions with C > 0": [(coupling.row, coupling) for coupling in couplings],
    }
    facts["topology_less_best_control"] = [
        line for what, rows in quantities.items() for line in _differences(what, rows, settings)
    ]
    rows, coupled = [result.row for result in probes], [coupling.row for coupling in couplings]
    results = Results(folder, config)
    results.table("probes", rows)
    results.table("coupling", [{k: v for k, v in r.items() if k != "indices"} for r in coupled])
    results.save({**facts, "probes": rows, "coupling": coupled})
    results.figure("probes", probes_figure(about(config), rows, facts["majority_accuracy"]))
    results.figure("coupling", coupling_figure(about(config), coupled))
    _log_tables(probes, couplings, facts)
    return facts | {"headline": {"AUC": {_label(row): row["auc"] for row in rows}}}


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


def _constant(answers: Answers, parts: Sequence[Any]) -> Quantity:
    """Return the accuracy of always predicting the majority class of the training set."""
    right = answers.truth[parts[2]] == (answers.truth[parts[0]].mean() > 0.5)
    groups = [answers.questions[number] for number in parts[2]]
    return Quantity(lambda n: float(right[n].mean()), groups, {"value": float(right.mean())})


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
                "questions": len(set(own.groups)),
            }
        )  # fmt: skip
    return lines


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
    show(header, rows)
    logger.info("majority class: accuracy %.3f", facts["majority_accuracy"])
    rows = [
        [
            _label(coupling.row), _number(coupling.row, "value"),
            f"{coupling.row['null']:.3f}", f"{coupling.row['p']:.3f}",
            f"{coupling.row['mean_c']:+.4f}",
        ]
        for coupling in couplings
    ]  # fmt: skip
    header = ["coupling index of", "share C > 0", "shuffled", "p", "mean C"]
    show(header, rows)
    for line in facts["topology_less_best_control"]:
        numbers = (line[name] for name in ("difference", "low", "high", "questions"))
        logger.info(
            "%s, topology of layer %s minus best control (%s): %s",
            line["what"], line["layer"], line["best_control"], with_interval(*numbers, form="+.3f"),
        )  # fmt: skip
    warn_few(probes[0].row["questions"], "question")


def _label(row: Mapping[str, Any]) -> str:
    name: str = row["source"]
    return name if row["layer"] is None else f"{name}, layer {row['layer']}"


def _number(row: Mapping[str, Any], name: str) -> str:
    low, high = ("low", "high") if name == "value" else (f"{name}_low", f"{name}_high")
    return with_interval(row[name], row[low], row[high], row["questions"])
