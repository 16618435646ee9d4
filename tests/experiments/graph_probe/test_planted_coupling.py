"""Every probe finds what is planted in the couplings, and no control finds anything."""

from functools import cache

import numpy as np
import pytest
import torch
from planted_coupling import planted

from experiments.graph_probe.fits import Parts, fit_all
from experiments.graph_probe.inputs import (
    Input,
    embedding_inputs,
    layer_inputs,
    plain_inputs,
    random_inputs,
)
from experiments.graph_probe.scores import Score, Scorer, gains
from experiments.graph_probe.settings import PROBES, GraphProbe
from experiments.graph_probe.targets import Target

CONTROLS = [
    "length", "bag_of_tokens", "embedding_topology", "random_topology", "last_token",
    "mean_activation", "mean_and_deviation", "covariance",
]  # fmt: skip
# Probes that are trained take seconds for every control.
EACH = [one if one == "ridge" else pytest.param(one, marks=pytest.mark.campaign) for one in PROBES]


@cache
def inputs() -> list[Input]:
    texts, layer, embeddings, random, _ = planted()
    return [
        *plain_inputs(texts), *embedding_inputs(embeddings), *random_inputs(random),
        *layer_inputs(layer, [1.0]),
    ]  # fmt: skip


@cache
def scores(probe: str, epochs: int, *names: str) -> list[Score]:
    texts, *_, number = planted()
    # Epochs of controls are few, as they have nothing to find; ridge has none.
    settings = GraphProbe(probes=[probe], epochs=epochs)
    target, parts = Target("coupling", number), {0: Parts.of(texts.groups, "validation", 0)}
    chosen = [one for one in inputs() if one.name in names]
    fits = fit_all(chosen, [target], parts, settings, torch.device("cpu"))
    return Scorer(texts.groups, [target], parts, 100).scores(3, fits)


@pytest.mark.parametrize("probe", EACH)
def test_every_probe_finds_the_coupling(probe: str) -> None:
    [score] = scores(probe, 100, "topology")
    assert score.headline[0] >= 0.95


@pytest.mark.parametrize("probe", EACH)
def test_controls_find_nothing(probe: str) -> None:
    found = {score.input: score.headline[0] for score in scores(probe, 12, *CONTROLS)}
    graphs = {"embedding_topology", "random_topology", "covariance"}
    assert found.keys() == (graphs if probe == "gcn" else set(CONTROLS))
    assert max(found.values()) <= 0.05, found


@pytest.mark.parametrize("probe", EACH)
def test_shuffled_targets_cannot_be_predicted(probe: str) -> None:
    [score] = scores(probe, 12, "shuffled_targets")
    assert score.headline[0] <= 0.02


@pytest.mark.campaign
def test_the_gain_is_over_the_best_control_of_any_probe() -> None:
    found = [*scores("ridge", 100, "topology"), *scores("ridge", 12, *CONTROLS),
             *scores("mlp", 12, *CONTROLS), *scores("ridge", 12, "shuffled_targets")]  # fmt: skip
    [gain] = gains(found)
    controls = [score for score in found if score.input in CONTROLS]
    best = max(controls, key=lambda score: score.headline[0])
    level, name, probe = max((0.0, "constant", "none"), (best.headline[0], best.input, best.probe))
    assert (gain["best_control"], gain["its_probe"]) == (name, probe)
    assert gain["gain"] == pytest.approx(gain["topology"] - level)
    assert gain["gain_low"] > 0.8


@pytest.mark.parametrize(
    ("metric", "control", "named", "gain"),
    [
        ("r2", 0.3, "length", 0.1), ("r2", -0.2, "constant", 0.4), ("r2", 0.0, "constant", 0.4),
        ("auc", 0.6, "length", -0.2), ("auc", 0.45, "constant", -0.1),
        ("auc", float("nan"), "constant", -0.1),
    ],
)  # fmt: skip
def test_the_best_control_is_at_least_a_constant_prediction(
    metric: str, control: float, named: str, gain: float
) -> None:
    def score(name: str, value: float) -> Score:
        values = {metric: np.array([value, value - 0.1, value + 0.1])}
        return Score(None if name == "length" else 2, "year", name, 1.0, "ridge", values, [], 0.0)

    [row] = gains([score("topology", 0.4), score("length", control)])
    assert (row["best_control"], row["its_probe"]) == (
        named, "ridge" if named == "length" else "none",
    )  # fmt: skip
    assert row["gain"] == pytest.approx(gain)
    assert row["control"] == pytest.approx(0.4 - gain)
    # Draws of a constant do not vary; those of the control vary as the topology's do.
    spread = row["gain_high"] - row["gain_low"]
    assert spread == pytest.approx(0 if named == "length" else 0.19)
