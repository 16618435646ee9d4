"""The study from start to finish: read, correlate, classify, sweep, draw."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.intervals import warn_few, with_interval
from experiments.statistics import bootstrap, paired_difference
from experiments.subjects.classification import Guesses, guess, majority
from experiments.subjects.covariances import covariances, mean_strengths
from experiments.subjects.figures import accuracy_bars, similarity_map, sweep_curves
from experiments.subjects.reading import BAG, EMBEDDING, PROMPT, QUESTION, Text, layers, read
from experiments.subjects.settings import Subjects, SubjectsConfig, Sweep, check
from experiments.subjects.similarity import Similarity, pattern, similarity, subject_parts
from experiments.subjects.sweep import sweep_rows
from probe.api import Config, Results, show
from probe.api.drawing import about

logger = logging.getLogger(__name__)
CONSTANT = "constant"
Rows = list[dict[str, Any]]


def run(config: SubjectsConfig, folder: Path) -> dict[str, Any]:
    """Run the study, write its tables and figures, and return the facts for the manifest.

    Raises
    ------
    UserError
        If a setting cannot work, or there are too few texts.
    """
    settings, of_texts = config.study, check(config)
    texts = read(of_texts, settings, config.data.skip_first)
    names = sorted({text.subject for text in texts})
    source = f"{about(config)}, {len(texts) // len(names)} texts per subject"
    results = Results(folder, config)
    # The sweep comes first, as it can still find a mistake in the settings.
    swept = _sweep(of_texts, settings, texts, results)
    rows, matrices = Rows(), Rows()
    for part in [part for part in (PROMPT, QUESTION) if part in texts[0].counted]:
        similarities, guesses = _compare(texts, part, settings)
        rows += _rows(part, texts, similarities, guesses, settings)
        for what, alike in similarities.items():
            matrices += _matrix_rows(part, what, names, alike)
            tokens = len(texts[0].counted[part])
            title = f"{what}, {part}: {source}, {tokens} tokens per text"
            drawn = similarity_map(title, alike, names)
            results.figure(f"{what} {part}".replace(" ", "_"), drawn)
    results.figure("classification", accuracy_bars(f"Nearest mean: {source}", rows))
    tables = {"subjects": rows, "similarity": matrices, "sweep": swept}
    for table, content in tables.items():
        results.table(table, content)
    results.save(tables)
    _log_tables(rows, swept)
    headline = {f"{row['what']}, {row['part']}": row["accuracy"] for row in rows}
    return {"subjects": names, "texts": len(texts), "headline": {"accuracy": headline}}


def _compare(
    texts: Sequence[Text], part: str, settings: Subjects
) -> tuple[dict[str, Similarity], dict[str, Guesses]]:
    """Compare subjects by every layer, by the embeddings and by bags of tokens."""
    subjects, groups = [text.subject for text in texts], [text.group for text in texts]
    train, test = subject_parts(subjects, groups, settings.split, settings.seed)
    similarities, guesses = {}, {}
    for what in [*layers(texts), EMBEDDING, BAG]:
        between = covariances(texts, what, part)
        similarities[what] = similarity(between, subjects, groups, settings.splits, settings.seed)
        permutations, seed = settings.permutations, settings.seed
        guesses[what] = guess(between, subjects, groups, train, test, permutations, seed)
    guesses[CONSTANT] = majority(subjects, train, test)
    return similarities, guesses


def _rows(
    part: str,
    texts: Sequence[Text],
    similarities: dict[str, Similarity],
    guesses: dict[str, Guesses],
    settings: Subjects,
) -> Rows:
    """Return one row per layer and control."""
    rows = Rows()
    groups = _test_groups(texts, settings)
    for what, alike in similarities.items():
        row: dict[str, Any] = {
            "part": part,
            "what": what,
            "tokens": len(texts[0].counted[part]),
            "between": alike.between,
            "between_halves": alike.between_halves,
            "ceiling": alike.ceiling,
            "gap": alike.ceiling - alike.between_halves,
        }
        for control in (EMBEDDING, BAG):
            same = pattern(
                alike.halves, similarities[control].halves, settings.permutations, settings.seed
            )
            if control != what and same is not None:
                row[f"pattern_{control.split()[0]}"], row[f"pattern_{control.split()[0]}_p"] = same
        rows.append(row | _accuracy(guesses, what, groups, settings))
    return rows


def _test_groups(texts: Sequence[Text], settings: Subjects) -> list[str]:
    subjects, groups = [text.subject for text in texts], [text.group for text in texts]
    test = subject_parts(subjects, groups, settings.split, settings.seed)[1]
    return [groups[text] for text in test]


def _accuracy(
    guesses: dict[str, Guesses], what: str, groups: list[str], settings: Subjects
) -> dict[str, Any]:
    """Summarise the accuracy of the nearest mean, against permuted labels and the controls."""

    def mean(of: str, numbers: NDArray[np.int64]) -> float:
        return float(guesses[of].right[numbers].mean())

    seed, repetitions = settings.seed, settings.repetitions
    low, high = bootstrap(lambda numbers: mean(what, numbers), groups, seed, repetitions)
    row: dict[str, Any] = {
        "documents": len(set(groups)),
        "accuracy": guesses[what].accuracy,
        "accuracy_low": low,
        "accuracy_high": high,
        "constant": guesses[CONSTANT].accuracy,
        "null_mean": float(np.mean(guesses[what].null)),
        "null_95": float(np.quantile(guesses[what].null, 0.95)),
        "p": guesses[what].p,
    }
    controls = [control for control in (EMBEDDING, BAG, CONSTANT) if control != what]
    for control in controls:
        more = paired_difference(
            lambda numbers: mean(what, numbers),
            lambda numbers, control=control: mean(control, numbers),  # type: ignore[misc]
            groups, seed, repetitions,
        )  # fmt: skip
        name = f"more_than_{control.split()[0]}"
        row |= dict(zip((name, f"{name}_low", f"{name}_high"), more, strict=True))
    best = max(controls, key=lambda control: guesses[control].accuracy)
    name = f"more_than_{best.split()[0]}"
    ours = {f"more_than_best{end}": row[f"{name}{end}"] for end in ("", "_low", "_high")}
    return row | {"best_control": best} | ours


def _matrix_rows(part: str, what: str, names: list[str], alike: Similarity) -> Rows:
    return [
        {
            "part": part, "what": what, "first": names[i], "second": names[j],
            "whole": float(alike.whole[i, j]), "halves": float(alike.halves[i, j]),
        }
        for i in range(len(names)) for j in range(i, len(names))
    ]  # fmt: skip


def _sweep(config: Config, settings: Subjects, texts: Sequence[Text], results: Results) -> Rows:
    """Sweep a neuron of the middle one of the layers read."""
    if settings.sweep is Sweep.none:
        return []
    read_layers = layers(texts)
    what = read_layers[len(read_layers) // 2]
    chosen = texts[:: max(1, len(texts) // settings.sweep_examples)][: settings.sweep_examples]
    hub = int(mean_strengths(texts, what, PROMPT).argmax())
    rows = sweep_rows(config, settings, chosen, int(what.split()[1]), hub)
    unit = "standard deviations" if settings.unit.value == "sd" else "raw activation"
    title = f"{settings.sweep.value.capitalize()} a value at one neuron, {what}: "
    title += f"{about(config)}, {len(chosen)} texts"
    results.figure("sweep", sweep_curves(title, rows, unit))
    return rows


def _log_tables(rows: Rows, swept: Rows) -> None:
    """Log the headline tables."""
    header = ["subjects", "between", "of halves", "ceiling", "r with embeddings", "r with bags"]
    lines = []
    for row in rows:
        cells = [f"{row[name]:.3f}" for name in ("between", "between_halves", "ceiling")]
        for control in ("embeddings", "bag"):
            r = row.get(f"pattern_{control}")
            cells.append("" if r is None else f"{r:.2f}")
        accuracy = (
            row[name] for name in ("accuracy", "accuracy_low", "accuracy_high", "documents")
        )
        cells += [with_interval(*accuracy, form=".2f"), f"{row['null_mean']:.2f}"]
        lines.append([f"{row['part']} {row['what']}", *cells])
    show([*header, "accuracy [95 %]", "permuted"], lines)
    warn_few(rows[0]["documents"])
    for row in swept:
        if abs(row["value"]) == max(abs(other["value"]) for other in swept):
            logger.info(
                "neuron %d (%s) of layer %d at %+g: KL %.4f nats, another top token in %.0f %%",
                row["neuron"], row["kind"], row["layer"], row["value"], row["kl"],
                100 * row["changed_top"],
            )  # fmt: skip
