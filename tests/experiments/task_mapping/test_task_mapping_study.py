"""The study on the bundled model: what it writes is what it says."""

import csv
import json
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from statsmodels.stats.multitest import multipletests
from transformers import AutoModelForCausalLM, AutoTokenizer

from experiments.task_mapping.experiment import prepare
from experiments.task_mapping.settings import TaskMappingConfig
from experiments.task_mapping.task import run
from probe.api.interventions import Masks
from probe.cli import compose_job
from probe.models.place import ASSETS

FEATURES = ["trained", "untrained", "token counts", "without token class"]
WORDS = (
    "data=tasks", "study.tasks=[pathology,random_strings]", "study.scans=2", "study.blocks=5",
    "study.prompts=4", "study.tokens=4", "study.null_scans=3", "study.permutations=19",
    "study.repetitions=50", "layers=[1,4]", "runtime.device=cpu", "tracking=none",
)  # fmt: skip


@cache
def configured(*words: str) -> TaskMappingConfig:
    # Not read where nothing is written, and refused then.
    usual = [word for word in WORDS if "study.generate=false" not in words or "tokens=" not in word]
    config = compose_job([*usual, *words], TaskMappingConfig)
    assert isinstance(config, TaskMappingConfig)
    return config


def read_rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def config() -> TaskMappingConfig:
    return configured(
        "study.effects=[lesion]", "study.draws=1", "study.sites=[residual,mlp_output]"
    )


@pytest.fixture(scope="module")
def folder(config: TaskMappingConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("task_mapping")
    facts = run(config, made)
    assert facts["tasks"] == ["pathology", "random_strings"]
    assert facts["units"] == 4 * 128
    return made


@pytest.fixture(scope="module")
def maps(folder: Path) -> dict[str, Any]:
    with np.load(folder / "maps.npz", allow_pickle=False) as file:
        return dict(file)


def test_maps_have_the_shapes_that_are_said(maps: dict[str, Any]) -> None:
    assert maps["tasks"].tolist() == ["pathology", "random_strings"]
    assert maps["tasks"].dtype.kind == "U"
    assert maps["z"].shape == (2, 2, 512)
    assert maps["z"].dtype == maps["z_null"].dtype == np.float32
    assert maps["z_null"].shape == (3, 512)
    assert maps["site"].tolist() == ["residual"] * 256 + ["mlp_output"] * 256
    assert maps["layer"].tolist() == ([1] * 128 + [4] * 128) * 2
    assert maps["neuron"].tolist() == list(range(128)) * 4


def test_a_map_is_the_t_test_of_what_the_model_writes(
    config: TaskMappingConfig, maps: dict[str, Any]
) -> None:
    """Plain transformers: greedy continuation, means over its tokens, least squares by NumPy."""
    experiment = prepare(config)
    scan = experiment.of_tasks[1]
    model = AutoModelForCausalLM.from_pretrained(ASSETS / "tiny", dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(ASSETS / "tiny")
    means = []
    for number in scan.prompts:
        ids = tokenizer(experiment.prompts.documents[number].text, return_tensors="pt")["input_ids"]
        written = model.generate(ids, max_new_tokens=4, do_sample=False)
        if int(written[0, -1]) == tokenizer.eos_token_id:
            written = written[:, :-1]
        with torch.inference_mode():
            hidden = model(written, output_hidden_states=True).hidden_states[2]
        means.append(hidden[0, ids.shape[1] :].double().mean(dim=0).numpy())
    signals = np.array(means)
    n, blocks = len(scan.on), 5
    # Cosines below half the frequency of the off–on cycle, averaged over the tokens of a prompt.
    tokens = experiment.texts.tokens[scan.prompts]
    times = np.arange(tokens.sum())
    drifts = [
        np.cos(np.pi * order * (2 * times + 1) / (2 * len(times)))
        for order in range(1, blocks // 2 + 1)
    ]
    starts = np.cumsum(tokens) - tokens
    columns = [np.add.reduceat(drift, starts) / tokens for drift in drifts]
    design = np.column_stack([scan.on, *columns, np.ones(n)])
    beta, residual = np.linalg.lstsq(design, signals, rcond=None)[:2]
    variance = residual / (n - design.shape[1]) * np.linalg.inv(design.T @ design)[0, 0]
    t = beta[0] / np.sqrt(variance)
    expected = np.sign(t) * stats.norm.isf(stats.t.sf(np.abs(t), n - design.shape[1]))
    np.testing.assert_allclose(maps["z"][0, 1, :128], expected, atol=1e-3)


def test_networks_are_those_of_benjamini_and_hochberg(folder: Path, maps: dict[str, Any]) -> None:
    for name, site in (("networks.npz", "residual"), ("networks_mlp_output.npz", "mlp_output")):
        with np.load(folder / name, allow_pickle=False) as file:
            arrays = dict(file)
        assert str(arrays["site"]) == site
        assert arrays["maps"].shape == arrays["z"].shape == arrays["masks"].shape == (2, 256)
        assert Masks.load(folder / name).masks.shape == (2, 256)
        assert arrays["layer"].tolist() == maps["layer"][maps["site"] == site].tolist()
        known = np.sign(arrays["maps"]) == np.sign(arrays["z"])
        assert known.all(), "the effect has the sign of z"
    parts = [np.load(folder / name) for name in ("networks.npz", "networks_mlp_output.npz")]
    z, masks = (np.concatenate([part[name] for part in parts], axis=1) for name in ("z", "masks"))
    for own, mask in zip(z, masks, strict=True):
        p = 2 * stats.norm.sf(np.abs(own.astype(np.float64)))
        assert np.array_equal(mask, multipletests(p, 0.05, "fdr_bh")[0])
    rows = read_rows(folder / "networks.csv")
    assert [int(row["fdr"]) for row in rows] == [
        int(masks[task, site].sum()) for task in (0, 1) for site in (slice(256), slice(256, None))
    ]


def test_overlap_and_repeatability_stand_beside_every_control(
    folder: Path, maps: dict[str, Any]
) -> None:
    rows = read_rows(folder / "overlap.csv")
    assert [(row["features"], row["rule"]) for row in rows] == [
        (features, rule) for features in FEATURES for rule in ("fdr", "top")
    ]
    with np.load(folder / "networks.npz") as file:
        residual = file["z"]
    [row] = [one for one in rows if (one["features"], one["rule"]) == ("trained", "top")]
    whole = np.concatenate([residual, np.load(folder / "networks_mlp_output.npz")["z"]], axis=1)
    assert float(row["r"]) == pytest.approx(np.corrcoef(whole)[0, 1], abs=1e-5)
    z = maps["z"]
    across = np.corrcoef(z[0, 0], z[1, 1])[0, 1] + np.corrcoef(z[0, 1], z[1, 0])[0, 1]
    assert float(row["r_across"]) == pytest.approx(across / 2, abs=1e-5)
    rows = read_rows(folder / "repeatability.csv")
    assert [row["features"] for row in rows] == [name for name in FEATURES for _ in range(2)]
    for number, row in enumerate(rows[:2]):
        same = np.corrcoef(z[number])[0, 1]
        assert float(row["r_same"]) == pytest.approx(same, abs=1e-5)
        assert float(row["r_least"]) == float(row["r_most"]) == float(row["r_same"])
        assert float(row["r_between"]) == pytest.approx(across / 2, abs=1e-5)
        null = [np.corrcoef(maps["z_null"][list(two)])[0, 1] for two in combinations(range(3), 2)]
        assert float(row["r_null"]) == pytest.approx(np.mean(null), abs=1e-5)
        top = [set(np.argsort(-np.abs(one))[:51]) for one in z[number]]
        assert float(row["dice_same"]) == pytest.approx(len(top[0] & top[1]) / 51, abs=1e-6)


def test_naming_stands_beside_every_control(folder: Path) -> None:
    rows = read_rows(folder / "identification.csv")
    assert [row["features"] for row in rows] == FEATURES
    for row in rows:
        assert (row["scans"], row["null_scans"], float(row["chance"])) == ("4", "3", 0.5)
        assert float(row["rate"]) == pytest.approx(1 / 3), "no lower with three null scans"
    confusion = read_rows(folder / "confusion.csv")
    for row in rows:
        own = [one for one in confusion if one["features"] == row["features"]]
        assert sum(int(one["scans"]) for one in own) == 4
        right = sum(int(one["scans"]) for one in own if one["task"] == one["named"])
        assert right == int(row["right"])


def test_null_scans_say_what_is_called_different(folder: Path, maps: dict[str, Any]) -> None:
    rows = read_rows(folder / "null.csv")
    assert [(row["features"], row["model"]) for row in rows] == [
        (name, "prompt_ols") for name in FEATURES
    ]
    threshold = stats.norm.isf(0.0005)
    share = (np.abs(maps["z_null"]) > threshold).mean()
    assert float(rows[0]["share"]) == pytest.approx(share, abs=1e-9)
    assert float(rows[0]["times_nominal"]) == pytest.approx(1000 * share, abs=1e-6)
    for row in rows:
        assert float(row["low"]) <= float(row["share"]) <= float(row["high"])
    assert float(rows[0]["smallest_p_max_t"]) <= 0.05
    assert rows[1]["smallest_p_max_t"] == "", "max-T is of the trained model only"


def test_every_lesion_stands_beside_its_controls(folder: Path) -> None:
    rows = read_rows(folder / "effects.csv")
    kinds = list(dict.fromkeys((row["site"], row["name"], row["prompts"]) for row in rows))
    tasks = ("pathology", "random_strings")
    assert kinds == [
        (site, network, task)
        for site in ("residual", "mlp_output") for task in tasks for network in tasks
    ]  # fmt: skip
    for kind in kinds:
        own = [row for row in rows if (row["site"], row["name"], row["prompts"]) == kind]
        assert [row["control"] for row in own] == ["none", "random", "random_rms", "largest_rms"]
        assert int(own[0]["units"]) == 26, "a tenth of the site's"
        assert int(own[0]["documents"]) == 8, "prompts of the second scan"


def test_a_lesion_is_the_model_with_zeros_there(config: TaskMappingConfig, folder: Path) -> None:
    """By plain hooks: the network of the first scan, on the prompts of the second."""
    experiment = prepare(config)
    with np.load(folder / "maps.npz", allow_pickle=False) as file:
        here = file["site"] == "mlp_output"
        z, layer, neuron = file["z"][0, 0, here], file["layer"][here], file["neuron"][here]
    largest = np.argsort(-np.abs(z))[:26]
    model = AutoModelForCausalLM.from_pretrained(ASSETS / "tiny", dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(ASSETS / "tiny")

    def zero(number: int) -> Any:
        chosen = torch.from_numpy(neuron[largest][layer[largest] == number])
        return lambda _, __, output: output.index_fill(-1, chosen, 0)

    for number in (1, 4):
        model.model.layers[number].mlp.register_forward_hook(zero(number))
    rows = read_rows(folder / "effects.csv")
    for task, scan in zip(("pathology", "random_strings"), experiment.of_tasks[1::2], strict=True):
        losses = list[torch.Tensor]()
        for prompt in scan.prompts[scan.on]:
            text = experiment.prompts.documents[prompt].text
            ids = tokenizer(text, return_tensors="pt")["input_ids"]
            with torch.inference_mode():
                scores = model(ids).logits[0, :-1]
            losses.append(torch.nn.functional.cross_entropy(scores, ids[0, 1:], reduction="none"))
        [row] = [
            row
            for row in rows
            if (row["site"], row["name"], row["prompts"], row["control"])
            == ("mlp_output", "pathology", task, "none")
        ]
        expected = float(torch.cat(losses).mean().exp())
        assert float(row["value"]) == pytest.approx(expected, rel=1e-4)


def test_figures_and_numbers_are_there(folder: Path) -> None:
    assert {file.stem for file in (folder / "figures").iterdir()} == {
        "design", "layers", "overlap", "repeatability", "confusion", "example",
        "effects_residual", "effects_mlp_output", "lesions_residual", "lesions_mlp_output",
    }  # fmt: skip
    results = json.loads((folder / "results.json").read_text())
    assert set(results) == {
        "networks", "overlap", "repeatability", "identification", "confusion", "null", "effects",
    }  # fmt: skip
    assert not list(folder.glob("tmp*")), "the signals are in a file without a name"


@pytest.mark.campaign
def test_tokens_as_observations_show_what_they_cost(tmp_path: Path) -> None:
    """Of prompts, which are read whole here: tokens of one prompt are not independent."""
    config = configured(
        "study.generate=false", "study.model=tokens_ar1", "site=residual", "layers=[4]",
        "study.prompts=3",
        "study.nuisance=[position,length,log_probability,token_class]",
    )  # fmt: skip
    run(config, tmp_path)
    rows = read_rows(tmp_path / "null.csv")
    assert [(row["features"], row["model"]) for row in rows] == [
        ("trained", "tokens_ar1"), ("untrained", "tokens_ar1"), ("token counts", "tokens_ar1"),
        ("trained", "prompt_ols"), ("trained", "tokens_ols"),
    ]  # fmt: skip
    shares = {row["model"]: float(row["share"]) for row in rows if row["features"] == "trained"}
    assert shares["tokens_ols"] > shares["prompt_ols"]
    with np.load(tmp_path / "maps.npz", allow_pickle=False) as file:
        assert set(file["site"].tolist()) == {"residual"}, "site= given means that site alone"
    assert not (tmp_path / "networks_mlp.npz").exists()
