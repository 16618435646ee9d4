"""From predictions to metrics, their intervals, and what topologies add to the best control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.graph_probe.fits import Fits, Key, Parts
from experiments.graph_probe.targets import Target
from experiments.statistics import draws, interval

CLAIM, SHUFFLED = "topology", "shuffled_targets"


@dataclass(frozen=True)
class Score:
    """How well a probe predicts a target from an input, over all repetitions.

    Attributes
    ----------
    layer : int or None
        The layer; None for inputs that no layer has part in.
    target, input, density, probe
        What was fitted.
    metrics : dict of str to ndarray, shape (1 + n_draws,)
        The mean over repetitions, of all test texts and of each draw of them, by name; what counts
        first.
    by_seed : list of float
        What counts, of each repetition.
    chosen_on : float
        What counts, where epochs and penalties were chosen; mean over repetitions.
    """

    layer: int | None
    target: str
    input: str
    density: float
    probe: str
    metrics: dict[str, NDArray[np.float64]]
    by_seed: list[float]
    chosen_on: float

    @property
    def headline(self) -> NDArray[np.float64]:
        """What counts: R² of numbers, AUC of classes."""
        return next(iter(self.metrics.values()))


class Scorer:
    """Scores predictions over the same draws of test texts.

    Parameters
    ----------
    groups : sequence of str
        The group of every text.
    targets : sequence of Target
        What is predicted.
    parts : mapping of int to Parts
        The split of each repetition.
    repetitions : int
        Draws.
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
        drawn = [np.arange(len(groups)), *draws(groups, seed=0, repetitions=repetitions)]
        # A text counts in the repetitions that test on it.
        self.tested = {}
        for seed, part in parts.items():
            tests = np.isin(np.arange(len(groups)), part.test)
            self.tested[seed] = [numbers[tests[numbers]] for numbers in drawn]

    def scores(self, layer: int | None, fits: Fits) -> list[Score]:
        """Score all fits of a layer, repetitions together."""
        by_seed: dict[Key, dict[int, NDArray[np.float64]]] = {}
        for key, predicted in fits.items():
            by_seed.setdefault(key._replace(seed=-1), {})[key.seed] = predicted
        return [self._score(layer, what, found) for what, found in by_seed.items()]

    def _score(
        self, layer: int | None, key: Key, predicted: Mapping[int, NDArray[np.float64]]
    ) -> Score:
        target = self.targets[key.target]
        found: dict[str, list[list[float]]] = {name: [] for name in target.metrics}
        chosen_on = []
        for seed, values in predicted.items():
            of = target.shuffled(seed) if key.input == SHUFFLED else target
            truth = of.scaled(self.parts[seed].train)
            columns = values if target.classes else values[:, 0]
            chosen = self.parts[seed].chosen_on
            chosen_on.append(next(iter(target.metrics.values()))(truth[chosen], columns[chosen]))
            for name, metric in target.metrics.items():
                found[name].append(
                    [
                        metric(truth[numbers], columns[numbers]) if len(numbers) > 1 else np.nan
                        for numbers in self.tested[seed]
                    ]
                )
        means = {name: np.mean(values, axis=0) for name, values in found.items()}
        first = next(iter(found.values()))
        return Score(
            layer, *key[:4], means, [values[0] for values in first], float(np.mean(chosen_on))
        )


def row(score: Score) -> dict[str, Any]:
    """Return a score as a row of a table."""
    found: dict[str, Any] = {
        "layer": score.layer, "target": score.target, "input": score.input,
        "density": score.density, "probe": score.probe,
    }  # fmt: skip
    for name, values in score.metrics.items():
        low, high = interval(values[1:].tolist())
        found |= {name: float(values[0]), f"{name}_low": low, f"{name}_high": high}
    deviation = float(np.std(score.by_seed, ddof=1)) if len(score.by_seed) > 1 else None
    return found | {"deviation_over_seeds": deviation, "where_chosen": score.chosen_on}


def gains(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """Return what every topology adds to the best control, with a paired interval.

    The best control is the one, of any input but topologies and of any probe, that does best on
    the test texts themselves, which is in its favour.
    """
    found = []
    for claim in (score for score in scores if score.input == CLAIM):
        controls = [
            score
            for score in scores
            if score.input not in (CLAIM, SHUFFLED)
            and score.target == claim.target
            and score.layer in (None, claim.layer)
        ]
        best = max(controls, key=lambda score: score.headline[0])
        difference = claim.headline - best.headline
        low, high = interval(difference[1:].tolist())
        found.append(
            {
                "layer": claim.layer, "target": claim.target, "density": claim.density,
                "probe": claim.probe, "metric": next(iter(claim.metrics)),
                "topology": float(claim.headline[0]), "where_chosen": claim.chosen_on,
                "best_control": best.input, "its_probe": best.probe,
                "control": float(best.headline[0]),
                "gain": float(difference[0]), "gain_low": low, "gain_high": high,
            }
        )  # fmt: skip
    return found
