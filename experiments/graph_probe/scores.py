"""Metrics of the predictions, their intervals, and the gain over the best control."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.graph_probe.fits import Fits, Key, Parts
from experiments.graph_probe.targets import Target
from experiments.statistics import draws, interval

CLAIM, SHUFFLED = "topology", "shuffled_targets"
# Main metrics of a constant prediction: the mean, and equal scores.
CONSTANT = {"r2": 0.0, "auc": 0.5}


@dataclass(frozen=True)
class Score:
    """How well a probe predicts a target from an input, over all repetitions.

    Attributes
    ----------
    layer : int or None
        The layer; None for inputs that depend on no layer.
    target, input, density, probe
        The fit.
    metrics : dict of str to ndarray, shape (1 + n_draws,)
        The mean over repetitions, on all test texts and on each draw of them, by name; the main
        metric first.
    by_seed : list of float
        The main metric of each repetition.
    validation : float
        The main metric on the validation set, mean over repetitions.
    """

    layer: int | None
    target: str
    input: str
    density: float
    probe: str
    metrics: dict[str, NDArray[np.float64]]
    by_seed: list[float]
    validation: float

    @property
    def headline(self) -> NDArray[np.float64]:
        """The main metric: R² of numbers, AUC of classes."""
        return next(iter(self.metrics.values()))


class Scorer:
    """Scores predictions on the same draws of test texts.

    Parameters
    ----------
    groups : sequence of str
        The group of every text.
    targets : sequence of Target
        What is predicted.
    parts : mapping of int to Parts
        The split of each repetition.
    repetitions : int
        Number of draws.
    """

    def __init__(
        self,
        groups: Sequence[str],
        targets: Sequence[Target],
        parts: Mapping[int, Parts],
        repetitions: int,
    ) -> None:
        self.targets = {target.name: target for target in targets}
        self.parts = parts
        resamples = [np.arange(len(groups)), *draws(groups, seed=0, repetitions=repetitions)]
        # A text counts in the repetitions whose test set has it.
        self.tested = {}
        for seed, part in parts.items():
            tests = np.isin(np.arange(len(groups)), part.test)
            self.tested[seed] = [numbers[tests[numbers]] for numbers in resamples]

    def scores(self, layer: int | None, fits: Fits) -> list[Score]:
        """Score all fits of a layer, repetitions together."""
        by_seed: dict[Key, dict[int, NDArray[np.float64]]] = {}
        for key, predicted in fits.items():
            by_seed.setdefault(key._replace(seed=-1), {})[key.seed] = predicted
        return [self._score(layer, key, predicted) for key, predicted in by_seed.items()]

    def _score(
        self, layer: int | None, key: Key, predicted: Mapping[int, NDArray[np.float64]]
    ) -> Score:
        target = self.targets[key.target]
        by_metric: dict[str, list[list[float]]] = {name: [] for name in target.metrics}
        validation = []
        for seed, values in predicted.items():
            own = target.shuffled(seed) if key.input == SHUFFLED else target
            truth = own.scaled(self.parts[seed].train)
            columns = values if target.classes else values[:, 0]
            part = self.parts[seed].validation
            validation.append(next(iter(target.metrics.values()))(truth[part], columns[part]))
            for name, metric in target.metrics.items():
                by_metric[name].append(
                    [
                        metric(truth[numbers], columns[numbers]) if len(numbers) > 1 else np.nan
                        for numbers in self.tested[seed]
                    ]
                )
        means = {name: np.mean(values, axis=0) for name, values in by_metric.items()}
        first = next(iter(by_metric.values()))
        return Score(
            layer, *key[:4], means, [values[0] for values in first], float(np.mean(validation))
        )


def row(score: Score) -> dict[str, Any]:
    """Return a score as a row of a table."""
    cells: dict[str, Any] = {
        "layer": score.layer, "target": score.target, "input": score.input,
        "density": score.density, "probe": score.probe,
    }  # fmt: skip
    for name, values in score.metrics.items():
        low, high = interval(values[1:].tolist())
        cells |= {name: float(values[0]), f"{name}_low": low, f"{name}_high": high}
    deviation = float(np.std(score.by_seed, ddof=1)) if len(score.by_seed) > 1 else None
    return cells | {"deviation_over_seeds": deviation, "where_chosen": score.validation}


def gains(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """Return the gain of every topology over the best control, with a paired interval.

    The best control is the input (other than topologies) and probe with the highest metric on the
    test set itself, which favours the control; or a constant prediction, where none exceeds it.
    """
    rows = []
    for claim in (score for score in scores if score.input == CLAIM):
        controls = [
            score
            for score in scores
            if score.input not in (CLAIM, SHUFFLED)
            and score.target == claim.target
            and score.layer in (None, claim.layer)
        ]
        best = max(controls, key=lambda score: score.headline[0])
        metric = next(iter(claim.metrics))
        floored = not best.headline[0] > CONSTANT[metric]
        control = np.full_like(best.headline, CONSTANT[metric]) if floored else best.headline
        difference = claim.headline - control
        low, high = interval(difference[1:].tolist())
        rows.append(
            {
                "layer": claim.layer, "target": claim.target, "density": claim.density,
                "probe": claim.probe, "metric": metric,
                "topology": float(claim.headline[0]), "where_chosen": claim.validation,
                "best_control": "constant" if floored else best.input,
                "its_probe": "none" if floored else best.probe, "control": float(control[0]),
                "gain": float(difference[0]), "gain_low": low, "gain_high": high,
            }
        )  # fmt: skip
    return rows
