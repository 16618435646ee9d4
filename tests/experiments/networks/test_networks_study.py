"""The study on the bundled model: what it writes is what it says, and networks do what masks do."""

import csv
import json
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from experiments.networks.masks import fix_signs
from experiments.networks.settings import Networks, NetworksConfig, check, published, varied
from experiments.networks.task import run
from experiments.statistics import split_by_group
from probe import api
from probe.api import UserError
from probe.api.interventions import Masks
from probe.cli import compose_job
from probe.models.place import ASSETS

WORDS = (
    "data.limit=8", "data.shuffle=true", "data.cut=tokens", "data.window=48", "layers=[1,4]",
    "site=mlp_output", "runtime.device=cpu", "tracking=none",
)  # fmt: skip
composed = cache(lambda *words: compose_job(list(words), NetworksConfig))


def configured(*words: str, **settings: Any) -> NetworksConfig:
    plain = composed(*WORDS, *words)
    config = {field.name: getattr(plain, field.name) for field in fields(api.Config)}
    return NetworksConfig(**config, study=Networks(**settings))


def read_rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def config() -> NetworksConfig:
    return configured(
        components=[3, 2], starts=2, samples=2, permutations=9, draws=1, measure=["perplexity"],
        effects=["lesion", "keep", "amplify"], networks=[0],
        also=["data=sample data.limit=3 data.cut=tokens data.window=48"],
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(config: NetworksConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("networks")
    run(config, made)
    return made


def test_networks_are_the_neurons_beyond_the_threshold(folder: Path) -> None:
    with np.load(folder / "networks.npz", allow_pickle=False) as file:
        maps, z, masks, layer, neuron = (
            file[name] for name in ("maps", "z", "masks", "layer", "neuron")
        )
        assert str(file["site"]) == "mlp_output"
    assert maps.shape == z.shape == masks.shape == (3, 256)
    assert layer.tolist() == [1] * 128 + [4] * 128
    assert neuron.tolist() == [*range(128)] * 2
    expected = (maps - maps.mean(axis=1)[:, None]) / maps.std(axis=1)[:, None]
    np.testing.assert_allclose(z, expected, atol=1e-4)
    assert np.array_equal(masks, np.abs(z) > 1.96)
    assert np.array_equal(fix_signs(maps.astype(np.float64)), maps), "skewness is positive"
    rows = read_rows(folder / "networks.csv")
    assert [int(row["units"]) for row in rows] == masks.sum(axis=1).tolist()
    assert sorted(masks.sum(axis=1).tolist(), reverse=True) == masks.sum(axis=1).tolist()


def test_stability_and_recurrence_stand_beside_their_nulls(folder: Path) -> None:
    for row in read_rows(folder / "networks.csv"):
        for name in ("starts", "solver", "halves", "halves_null"):
            assert 0 <= float(row[f"stability_{name}"]) <= 1
    rows = read_rows(folder / "recurrence.csv")
    places = {row["where"]: int(row["sets"]) for row in rows}
    assert list(places.values()) == [2, 1]
    assert len(rows) == 6
    for row in rows:
        assert float(row["null_low"]) <= float(row["null"]) <= float(row["null_high"])
        beyond = int(row["recurrence"]) > float(row["null_high"])
        assert row["below_null"] == str(not beyond)


def test_the_model_without_the_union_is_the_model_with_zeros_there(
    config: NetworksConfig, folder: Path
) -> None:
    """By plain hooks on the texts of the other half."""
    masks = Masks.load(folder / "networks.npz")
    union = masks.masks.any(axis=0)
    store = api.series(config)
    half = split_by_group([one.group for one in store.examples], [0.5, 0.5], 0)[1]
    model = AutoModelForCausalLM.from_pretrained(ASSETS / "tiny", dtype=torch.float32).eval()

    def zero(layer: int) -> Any:
        chosen = torch.from_numpy(masks.neuron[union & (masks.layer == layer)])
        return lambda _, __, output: output.index_fill(-1, chosen, 0)

    def perplexity() -> float:
        losses, tokens = 0.0, 0
        for number in half:
            ids = torch.from_numpy(store.tokens(int(number)))[None]
            with torch.inference_mode():
                losses += float(model(ids, labels=ids).loss) * (ids.shape[1] - 1)
            tokens += ids.shape[1] - 1
        return float(np.exp(losses / tokens))

    [row] = [
        row
        for row in read_rows(folder / "effects.csv")
        if (row["effect"], row["network"], row["control"]) == ("lesion", "union of 3", "none")
    ]
    assert int(row["units"]) == union.sum()
    assert float(row["untouched"]) == pytest.approx(perplexity(), rel=1e-5)
    for layer in (1, 4):
        model.model.layers[layer].mlp.register_forward_hook(zero(layer))
    assert float(row["value"]) == pytest.approx(perplexity(), rel=1e-5)


def test_every_effect_stands_beside_its_controls(folder: Path) -> None:
    rows = read_rows(folder / "effects.csv")
    kinds = {(row["effect"], row["network"], row["treatment"]) for row in rows}
    assert kinds == {
        ("lesion", "network 0", "zero"), ("lesion", "union of 3", "zero"),
        ("keep", "union of 3", "zero"), ("keep", "union of 2", "zero"),
        ("amplify", "union of 3", "scale 1.5"),
    }  # fmt: skip
    for kind in kinds:
        own = [r for r in rows if (r["effect"], r["network"], r["treatment"]) == kind]
        assert [row["control"] for row in own] == ["none", "random", "random_rms", "largest_rms"]
        assert own[0]["best"] in ("random", "random_rms", "largest_rms")
        assert float(own[0]["beyond_low"]) <= float(own[0]["beyond_high"])


def test_connectivity_and_figures_are_there(folder: Path) -> None:
    r = np.load(folder / "connectivity.npy", allow_pickle=False)
    assert r.shape == (3, 3)
    np.testing.assert_array_equal(r, r.T)
    assert {file.stem for file in (folder / "figures").iterdir()} == {
        "where", "recurrence", "connectivity", "time_courses", "effects", "preservation",
    }  # fmt: skip
    assert len(json.loads((folder / "results.json").read_text())["networks"]) == 3
    assert not list(folder.glob("tmp*")), "the signals are in a file without a name"


def test_the_papers_choices() -> None:
    own = published(configured(protocol="paper", effects=["lesion"])).study
    assert (own.method, own.standardise, own.rule, own.components) == (
        "temporal", "none", "one_sided", [10],
    )  # fmt: skip
    with pytest.raises(
        UserError, match=r"^study\.protocol=paper has study\.method=temporal, and spatial was given"
    ):
        published(configured(protocol="paper", method="spatial"))


def test_the_papers_table_says_which_controls_it_lacks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = configured(
        protocol="paper", samples=0, permutations=2, draws=1, effects=["lesion"], networks=[0],
        measure=["perplexity"],
    )  # fmt: skip
    run(config, tmp_path)
    rows = read_rows(tmp_path / "effects.csv")
    published_rows = [row["network"] for row in rows if row["published"] == "True"]
    assert published_rows == ["network 0", "union of 10", "random 15%"]
    lacking = {row["control"] for row in rows if row["published"] == "False"}
    assert lacking == {"random", "random_rms", "largest_rms"}
    assert (
        "only control is random 15% of all neurons: it lacks random and random_rms" in caplog.text
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"components": [4, 4]}, r"study\.components=\[4, 4\] names a number twice"),
        ({"networks": [10]}, r"study\.networks has 10, and the networks are 0 to 9"),
        (
            {"rule": "percentile", "threshold": 10.0},
            r"study\.threshold=10 of rule percentile .* must be below the number of networks, 10",
        ),
        ({"effects": ["amplify"], "scale": []}, r"needs amounts; give study\.add= or study\.scale"),
        ({"also": ["model=gpt2"]}, r"study\.also has model=gpt2, and chooses other texts"),
        ({"also": [" "]}, r"study\.also has no words"),
        ({"also": ["data='mbpp"]}, r"study\.also has data='mbpp, whose quotes are not closed; clo"),
        ({"also": ["data=mbpp", "data=mbpp"]}, r"study\.also names texts twice"),
        ({"on": "layers=3"}, r"study\.on has layers=3, and chooses other texts"),
    ],
)
def test_settings_that_cannot_work_cost_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check(configured(**settings))


def test_one_document_is_too_few(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"tested on the other, and there is 1 document; give more"):
        run(configured("data.limit=1"), tmp_path)


def test_effects_on_texts_of_the_finding_half_are_refused(tmp_path: Path) -> None:
    """The same texts again: half of their documents were used."""
    config = configured(
        components=[2], starts=1, samples=0, permutations=2, effects=["lesion"],
        on="data.limit=8",
    )  # fmt: skip
    with pytest.raises(UserError, match=r"^study\.on has \d documents? in which the networks were"):
        run(config, tmp_path)
    assert varied(config, "data.limit=3", "study.on").data.limit == 3
