"""The two models' average topologies compared without training, against controls."""

from typing import Any

import numpy as np

from experiments.matching.assignment import (
    Matrix,
    assign,
    shuffled_entries,
    spectra_distance,
)
from experiments.matching.pairs import EMBEDDINGS, RANDOM_SECOND, Models
from experiments.matching.settings import Matching
from experiments.statistics import split_by_group

Row = dict[str, Any]


def compare_averages(models: Models, settings: Matching) -> list[Row]:
    """Assign neurons and compare spectra, for the two models and for each control read before.

    The first row compares one half of the documents with the other, neurons permuted: the values
    that one model reaches, and the share of neurons that are recovered.
    """
    first, second = (side.average(models.numbers) for side in (models.one, models.other))
    rows = [_halves(models, settings)]
    pairs = {
        "first model, second model": second,
        "first model, random second model": models.averages[RANDOM_SECOND],
        "first model, second model with its r on pairs at random": shuffled_entries(
            second, settings.seed
        ),
    }
    rows += [_row(name, first, matrix, settings) for name, matrix in pairs.items()]
    rows[-1]["spectra"] = None  # shuffled entries are not a correlation matrix
    one, other = (models.averages[name] for name in EMBEDDINGS)
    rows.append(_row("token embeddings of both", one, other, settings))
    return rows


def _halves(models: Models, settings: Matching) -> Row:
    groups = [models.texts[number].group for number in models.numbers]
    halves = [
        models.one.average([models.numbers[place] for place in half])
        for half in split_by_group(groups, [0.5, 0.5], settings.seed)
    ]
    permutation = np.random.default_rng(settings.seed).permutation(len(halves[1]))
    row = _row(
        "first model, halves of the documents",
        halves[0],
        halves[1][np.ix_(permutation, permutation)],
        settings,
    )
    second = np.array(row.pop("second"))
    return row | {
        "recovered": float((permutation[second] == np.array(row["first"])).mean()),
        "second": second.tolist(),
    }


def _row(name: str, first: Matrix, second: Matrix, settings: Matching) -> Row:
    assignment = assign(first, second, settings.restarts, settings.seed)
    return {
        "pair": name,
        "neurons": [len(first), len(second)],
        "correlation": assignment.correlation,
        "recovered": None,
        "spectra": spectra_distance(first, second),
        "first": assignment.first.tolist(),
        "second": assignment.second.tolist(),
    }
