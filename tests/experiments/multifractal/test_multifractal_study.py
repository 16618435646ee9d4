"""The study's tables are what they say, and it goes on where it was interrupted."""

import csv
import json
import re
import runpy
import shutil
import sys
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from benchmarks.published_multifractal import Block, published
from experiments.multifractal import keeping
from experiments.multifractal.checkpoints import runs
from experiments.multifractal.controls import mean_degree, norm, shuffled
from experiments.multifractal.layouts import layout
from experiments.multifractal.matrices import analyse
from experiments.multifractal.network import Link, Network
from experiments.multifractal.reading import network as read_network
from experiments.multifractal.reading import neurons
from experiments.multifractal.settings import Multifractal, MultifractalConfig
from experiments.multifractal.task import run
from probe import api
from probe.api import UserError
from probe.models import open_weights
from tests.hub import Hub, hub_environment
from tests.warm import Warm

BLOCKS, WIDTH, SIZE, SAMPLES = 2, 48, 16, 3
STEPS = (0, 1, 4, 16)
SMALL: dict[str, Any] = {"sample": SIZE, "samples": SAMPLES, "repetitions": 50, "permutations": 50}
composed = cache(api.compose)


def configured(*words: str, **settings: Any) -> MultifractalConfig:
    plain = {one.name: getattr(composed(*words), one.name) for one in fields(api.Config)}
    return MultifractalConfig(**plain, study=Multifractal(**(SMALL | settings)))


def save(folder: Path, step: int, seed: int = 0, **config: Any) -> Path:
    """Save a GPT-NeoX whose weights grow with the steps."""
    settings = AutoConfig.for_model(
        "gpt_neox",
        **{
            "vocab_size": 32, "hidden_size": WIDTH, "num_hidden_layers": BLOCKS,
            "num_attention_heads": 4, "intermediate_size": 4 * WIDTH,
            "max_position_embeddings": 32,
        } | config,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(settings)
        for parameter in model.parameters():
            if parameter.dim() == 2:
                rows = 1 + 0.3 * np.log1p(step) * torch.rand(len(parameter), 1)
                torch.nn.init.normal_(parameter, std=0.03)
                parameter.data *= rows
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training")
    for step in STEPS:
        save(folder / f"step-{step}", step)
    return folder


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("scores") / "scores.csv"
    lines = [f"{step},bits,{4 - np.log1p(step) / 2}" for step in STEPS]
    file.write_text("\n".join(["step,task,value", *lines]))
    return file


@pytest.fixture(scope="module")
def robust(checkpoints: Path, scores: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("robust")
    settings = {"checkpoints": f"{checkpoints}/step*", "scores": str(scores)}
    run(configured(**settings), folder)
    return folder


@pytest.fixture(scope="module")
def public(checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("public")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.multifractal.task.sensitivity_rows", lambda *_: [])
        run(configured(checkpoints=f"{checkpoints}/step*", mode="public"), folder)
    return folder


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def column(folder: Path, name: str, of: str) -> np.ndarray:
    return np.array([float(row[of]) for row in rows(folder, name)])


def blocks(folder: Path) -> list[Block]:
    saved = load_file(folder / "model.safetensors")
    names = ("attention.query_key_value", "attention.dense", "mlp.dense_h_to_4h")
    return [
        Block(
            *(
                saved[f"gpt_neox.layers.{block}.{name}.weight"].numpy()
                for name in (*names, "mlp.dense_4h_to_h")
            )
        )
        for block in range(BLOCKS)
    ]


def test_public_numbers_are_those_of_the_published_procedure(
    public: Path, robust: Path, checkpoints: Path, tmp_path: Path
) -> None:
    found = rows(public, "networks")
    assert list(found[0]) == [
        "step", "sample", "width", "alpha0", "alpha0_public", "nodes", "radii", "r2_min", "concave",
    ]  # fmt: skip
    places = [(int(row["step"]), int(row["sample"])) for row in found]
    assert places == [(step, sample) for step in STEPS for sample in range(SAMPLES)]
    beside = rows(robust, "networks")
    for (step, sample), row, other in zip(places, found, beside, strict=True):
        expected = published(blocks(checkpoints / f"step-{step}"), SIZE, sample, tmp_path)
        assert float(row["width"]) == pytest.approx(expected.width, abs=1e-11)
        tied = np.array(expected.alpha)[np.array(expected.f) > max(expected.f) - 1e-11]
        assert np.abs(tied - float(row["alpha0"])).min() < 1e-11
        assert row["alpha0_public"] == row["alpha0"] == other["alpha0_public"]


def test_emergence_is_that_of_the_networks_means(public: Path, robust: Path) -> None:
    for folder in (public, robust):
        table = rows(folder, "networks")
        alpha0, width = (
            np.array([float(row[name]) for row in table]).reshape(len(STEPS), SAMPLES).mean(axis=1)
            for name in ("alpha0", "width")
        )
        expected = width / width[0] * np.log(alpha0[0] / alpha0)
        np.testing.assert_allclose(column(folder, "emergence", "emergence"), expected, atol=1e-12)
        np.testing.assert_allclose(column(folder, "emergence", "alpha0"), alpha0, atol=1e-12)
        for row in rows(folder, "emergence"):
            for name in ("emergence", "alpha0", "width"):
                assert float(row[f"{name}_low"]) <= float(row[name]) <= float(row[f"{name}_high"])
    assert abs(column(robust, "emergence", "emergence")[-1]) > 0.05


def test_robust_keeps_the_neurons_of_step_0(robust: Path, public: Path) -> None:
    nodes = column(robust, "networks", "nodes").reshape(len(STEPS), SAMPLES)
    assert (nodes == nodes[0]).all()
    counted = column(public, "networks", "nodes").reshape(len(STEPS), SAMPLES)
    np.testing.assert_array_equal(column(robust, "emergence", "nodes_public"), counted.mean(axis=1))


def test_spectra_are_tau_and_its_slopes(robust: Path) -> None:
    table = rows(robust, "spectrum")
    own = [row for row in table if row["step"] == "4"]
    q = np.array([float(row["q"]) for row in own])
    np.testing.assert_allclose(q, np.linspace(-3, 3, 61), atol=1e-12)
    tau = np.array([float(row["tau"]) for row in own])
    alpha, f = (np.array([float(row[one]) for row in own[:-1]]) for one in ("alpha", "f"))
    np.testing.assert_allclose(alpha, np.diff(tau) / 0.1, atol=1e-9)
    np.testing.assert_allclose(f, q[:-1] * alpha - tau[:-1], atol=1e-9)
    assert own[-1]["alpha"] == ""
    assert len(table) == 61 * len(STEPS)


def test_controls_stand_beside(robust: Path, checkpoints: Path) -> None:
    np.testing.assert_allclose(column(robust, "controls", "log_step"), np.log1p(STEPS))
    strength = column(robust, "controls", "norm")
    assert (np.diff(strength) > 0).all()
    for name in ("alpha0", "width", "emergence"):
        own, without, beyond = (
            column(robust, "emergence", name),
            column(robust, "controls", f"{name}_shuffled"),
            column(robust, "controls", f"{name}_beyond_shuffled"),
        )
        np.testing.assert_allclose(beyond, own - without, atol=1e-12)


def test_scores_are_correlated_with_every_measure(robust: Path) -> None:
    table = {row["measure"]: row for row in rows(robust, "agreement")}
    assert table.keys() == {
        "emergence", "emergence_public", "emergence_shuffled", "alpha0", "width", "norm",
        "mean_degree", "alpha0_shuffled", "width_shuffled", "log_step",
    }  # fmt: skip
    assert {row["n"] for row in table.values()} == {str(len(STEPS))}
    assert float(table["log_step"]["pearson"]) == pytest.approx(-1)
    expected = np.corrcoef(
        column(robust, "emergence", "emergence"), 4 - np.log1p(STEPS) / 2
    )[0, 1]  # fmt: skip
    assert float(table["emergence"]["pearson"]) == pytest.approx(expected)


def test_other_thresholds_and_samples_are_told(robust: Path) -> None:
    table = rows(robust, "sensitivity")
    values = {one: {float(r["value"]) for r in table if r["choice"] == one} for one in
              ("threshold", "sample")}  # fmt: skip
    assert values == {"threshold": {50, 75, 100, 150, 200, 300}, "sample": {4, 8, 16, 32}}
    chosen = [row for row in table if row["value"] in ("150.0", "16")]
    ends = [row for row in rows(robust, "emergence") if row["step"] in ("0", "16")]
    for row, own in zip(chosen, ends * 2, strict=True):
        assert {name: row[name] for name in own} == own


def test_figures_and_numbers_are_left(robust: Path) -> None:
    drawn = {file.stem for file in (robust / "figures").iterdir()}
    assert drawn == {"spectrum", "fit", "training", "sensitivity", "agreement"}
    saved = json.loads((robust / "results.json").read_text())
    assert len(saved["networks"]) == len(STEPS) * SAMPLES


def test_an_interrupted_study_goes_on_where_it_stopped(
    robust: Path, checkpoints: Path, scores: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    config = configured(checkpoints=f"{checkpoints}/step*", scores=str(scores))
    measured: list[str] = []
    measure = keeping.measure

    def interrupted(*given: Any) -> Any:
        if len(measured) == 2:
            raise KeyboardInterrupt
        measured.append(given[-1])
        return measure(*given)

    with monkeypatch.context() as patch:
        patch.setattr(keeping, "measure", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path)
    assert measured == ["step-0", "step-1"]
    assert len(rows(tmp_path, "networks")) == 2 * SAMPLES

    def counted(*given: Any) -> Any:
        measured.append(given[-1])
        return measure(*given)

    monkeypatch.setattr(keeping, "measure", counted)
    run(config, tmp_path)
    assert measured[:4] == ["step-0", "step-1", "step-4", "step-16"]
    for name in ("networks", "emergence", "controls", "spectrum", "agreement", "sensitivity"):
        assert rows(tmp_path, name) == rows(robust, name)


def test_what_was_kept_of_other_weights_is_measured_again(
    checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.multifractal.task.sensitivity_rows", lambda *_: [])
    own, folder = tmp_path / "own", tmp_path / "study"
    shutil.copytree(checkpoints, own)
    config = configured(checkpoints=f"{own}/step*")
    run(config, folder)
    before = rows(folder, "networks")
    save(own / "step-4", 4, seed=1)
    run(config, folder)
    after = rows(folder, "networks")
    same = [old == new for old, new in zip(before, after, strict=True)]
    assert same == [row["step"] != "4" for row in before]
    save(own / "step-0", 0, seed=1)  # the others are of the neurons that counted at step 0
    measured: list[str] = []
    measure = keeping.measure
    monkeypatch.setattr(
        keeping, "measure",
        lambda *given: (measured.append(given[-1]), measure(*given))[1],
    )  # fmt: skip
    run(config, folder)
    assert measured == ["step-0", "step-1", "step-4", "step-16"]


def test_models_of_other_sizes_stand_beside(
    checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.multifractal.task.sensitivity_rows", lambda *_: [])
    for step in (0, 16):
        save(tmp_path / "wide" / f"step-{step}", step, hidden_size=64, intermediate_size=256)
    config = configured(
        checkpoints=f"{checkpoints}/step-*[06]",
        also=[f"study.checkpoints={tmp_path}/wide/step*"],
        samples=2,
    )
    run(config, tmp_path / "study")
    table = rows(tmp_path / "study", "networks")
    names = [f"{checkpoints.name}/step-*[06]", "wide/step*"]
    assert [row["model"] for row in table] == [name for name in names for _ in range(4)]
    assert (tmp_path / "study" / "figures" / "sizes.png").is_file()


def test_random_weights_stand_in_for_a_step_0_that_nobody_kept(
    checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.multifractal.task.sensitivity_rows", lambda *_: [])
    path = f"model.path={checkpoints / 'step-16'}"
    config = configured("model=local", path, origin="random")
    run(config, tmp_path)
    assert [row["step"] for row in rows(tmp_path, "networks")] == [""] * SAMPLES
    found = rows(tmp_path, "emergence")
    assert [(row["step"], row["weights"]) for row in found] == [("0", "random"), ("", "given")]
    assert float(found[1]["emergence"]) != 0
    run(configured("model=local", path, "init=random"), tmp_path / "alone")
    alone = rows(tmp_path / "alone", "emergence")[0]
    assert alone["alpha0"] == found[0]["alpha0"]
    assert alone["emergence"] == ""


def test_a_threshold_can_be_in_units_of_the_first_weights(
    checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.multifractal.task.sensitivity_rows", lambda *_: [])
    used = layout(AutoConfig.from_pretrained(checkpoints / "step-0"), "tiny")
    weights = open_weights(api.ModelConfig(path=f"{checkpoints}/step-0"), api.InitConfig())
    squares = [
        np.concatenate([np.square(w.weights).ravel() for w in network.links if not w.invented])
        for network in (
            read_network(weights, used, neurons(used, SIZE, seed)) for seed in range(SAMPLES)
        )
    ]
    sigma = np.mean([np.sqrt(one.mean(dtype=np.float64)) for one in squares])
    pattern = f"{checkpoints}/step*"
    run(configured(checkpoints=pattern, relative=3.0), tmp_path / "relative")
    run(configured(checkpoints=pattern, threshold=float(3 / sigma)), tmp_path / "absolute")
    for name in ("width", "alpha0", "nodes"):
        own, other = (column(tmp_path / one, "networks", name) for one in ("relative", "absolute"))
        np.testing.assert_allclose(own, other, rtol=1e-9)


def test_weights_too_small_for_the_published_threshold_are_measured(
    checkpoints: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("experiments.multifractal.task.sensitivity_rows", lambda *_: [])
    for step in (0, 16):
        folder = shutil.copytree(checkpoints / f"step-{step}", tmp_path / f"step-{step}")
        saved = load_file(folder / "model.safetensors")
        small = {name: weight / 64 for name, weight in saved.items()}
        save_file(small, folder / "model.safetensors", metadata={"format": "pt"})
    run(configured(checkpoints=f"{tmp_path}/step*", relative=3.0, samples=1), tmp_path / "study")
    assert "with study.threshold=150, measure nothing in some networks; their" in caplog.text
    for name in ("networks", "emergence"):
        for row in rows(tmp_path / "study", name):
            assert (row["alpha0_public"], row["alpha0"] != "") == ("", True)
    found = rows(tmp_path / "study", "emergence")[1]
    assert (found["nodes_public"], found["emergence_public"]) == ("0.0", "")
    assert float(found["emergence"]) != 0
    json.loads((tmp_path / "study" / "results.json").read_text(), parse_constant=pytest.fail)


@pytest.mark.parametrize("strictness", [1, 2, 3])
def test_a_published_filter_leaves_networks_out_of_the_mean_spectra(
    strictness: int, robust: Path, checkpoints: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr("experiments.multifractal.task.sensitivity_rows", lambda *_: [])
    shutil.copytree(robust / "measured" / "0", tmp_path / "measured" / "0")
    run(configured(checkpoints=f"{checkpoints}/step*", filter=strictness), tmp_path)
    for name in ("networks", "emergence"):
        assert rows(tmp_path, name) == rows(robust, name)
    for step in STEPS:
        with np.load(robust / "measured" / "0" / f"step-{step}.npz") as held:
            alpha, f = held["moment alpha"], held["moment f"]
        kept = np.array([
            not (strictness in (1, 3) and max(one_f) > 1e-9)
            and not (strictness in (2, 3) and max(one) - one[0] > 0.01)
            for one, one_f in zip(alpha, f, strict=True)
        ])  # fmt: skip
        own = [row for row in rows(tmp_path, "spectrum") if row["step"] == str(step)]
        assert {row["networks"] for row in own} == {str(kept.sum())}
        if kept.any():
            found = [float(row["alpha"]) for row in own[:-1]]
            np.testing.assert_allclose(found, alpha[kept].mean(axis=0), rtol=1e-12)
        else:
            assert f"step-{step}: study.filter={strictness} keeps the spec" in caplog.text
            assert {row["alpha"] for row in own} == {""}


def test_a_shuffle_keeps_the_weights_and_takes_their_places() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(2, 30, 40)) * np.linspace(0.1, 3, 30)[:, None]
    links = (
        Link(0, 1, weights[0]), Link(1, 2, np.eye(40), invented=True),
        Link(0, 2, weights[1]),
    )  # fmt: skip
    network = Network((30, 40, 40), links)
    mixed = shuffled(network, seed=5)
    for before, after in zip(links, mixed.links, strict=True):
        assert before.invented == after.invented
        np.testing.assert_array_equal(np.sort(before.weights, None), np.sort(after.weights, None))
    np.testing.assert_array_equal(mixed.links[1].weights, np.eye(40))
    rows_of = [np.abs(link.weights).sum(axis=1) for link in (links[0], mixed.links[0])]
    assert rows_of[1].std() < 0.4 * rows_of[0].std()
    again = shuffled(network, seed=5)
    np.testing.assert_array_equal(again.links[2].weights, mixed.links[2].weights)
    assert norm(network) == pytest.approx(np.linalg.norm(weights))
    assert norm(mixed) == pytest.approx(norm(network))
    # The invented edges of layer 1 are no weights of its nodes.
    assert mean_degree(network) == pytest.approx(np.abs(weights).sum() / 30)


def test_matrices_of_ones_own_are_analysed() -> None:
    rng = np.random.default_rng(1)
    matrices = [rng.normal(scale=0.05, size=shape) for shape in ((50, 80), (80, 30))]
    found = analyse(matrices, sample=20, samples=2)
    assert found[0].boxes.nodes.sizes == (20, 20, 20)
    whole = analyse(matrices, sample=None)
    assert [one.boxes.nodes.sizes for one in whole] == [(50, 80, 30)]
    later = analyse([2 * one for one in matrices], sample=None, first=whole)
    np.testing.assert_array_equal(later[0].boxes.nodes.numbers, whole[0].boxes.nodes.numbers)
    public = analyse(matrices, sample=None, mode="public")[0].spectrum
    assert whole[0].spectrum.width == public.width
    with pytest.raises(UserError, match="a sample of 40 neurons is larger than its layer of 30"):
        analyse(matrices, sample=40)


def test_checkpoints_are_sorted_as_numbers(tmp_path: Path) -> None:
    for name in ("checkpoint-1000", "checkpoint-20", "checkpoint-0", "checkpoint-3"):
        save(tmp_path / name, 0)
    pattern = f"{tmp_path}/checkpoint-*"
    [found] = runs(configured(checkpoints=pattern))
    assert found.steps == [0, 3, 20, 1000]
    assert found.name == f"{tmp_path.name}/checkpoint-*"
    [named] = runs(configured("model.name=mine", checkpoints=pattern))
    assert named.name == "mine"


def test_revisions_are_the_hubs(monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured(
        "model=pythia160m", revisions=["step512", "step0"], also=["model=pythia70m"]
    )
    first, second = runs(config)
    revisions = [one.config.model.revision for one in first.checkpoints]
    assert (first.name, first.steps, revisions) == ("pythia160m", [0, 512], ["step0", "step512"])
    assert second.name == "pythia70m"
    assert {one.config.model.id for one in second.checkpoints} == {"EleutherAI/pythia-70m"}


@pytest.mark.processes
def test_revisions_come_from_the_hub_without_texts_or_a_tokenizer(
    libraries: Warm, checkpoints: Path, tmp_path: Path
) -> None:
    for step in (0, 16):
        stored = tmp_path / "hub" / "models" / "Tiny" / "neox" / f"step{step}"
        shutil.copytree(checkpoints / f"step-{step}", stored)
    with Hub(tmp_path / "hub") as hub:
        command = [
            sys.executable, "-m", "experiments.multifractal", "model=hub", "model.id=Tiny/neox",
            "study.revisions=[step16,step0]", f"study.sample={SIZE}", f"study.samples={SAMPLES}",
            "tracking=none", f"output={tmp_path}/out",
        ]  # fmt: skip
        libraries.run(command, env=hub_environment(hub, tmp_path / "cache"))
        assert hub.sent.keys() == {"config.json", "model.safetensors"}
    [folder] = (tmp_path / "out" / "multifractal").iterdir()
    local = tmp_path / "local"
    run(configured(checkpoints=f"{checkpoints}/step-*[06]"), local)
    names = ("step", "sample", "alpha0", "alpha0_public", "width", "nodes")
    own, other = (
        [[row[name] for name in names] for row in rows(one, "networks")] for one in (folder, local)
    )
    assert own == other
    assert [row[0] for row in own] == ["0"] * SAMPLES + ["16"] * SAMPLES


MADE = "{made}/step*"
ONE = ("model=local", "model.path={made}/step-0")
WRONG: list[tuple[tuple[str, ...], dict[str, Any], str]] = [
    ((), {"checkpoints": "{made}/step-*[14]"}, "E is counted from step 0, and the steps are 1, 4"),
    ((), {"checkpoints": "{made}/none*"}, "none* finds no folder; give e.g. RUN/step*"),
    ((), {"checkpoints": "{made}"}, "which has no config.json"),
    ((), {"checkpoints": "/"}, "study.checkpoints finds /, which has no config.json"),
    ((), {"checkpoints": "{made}/**none"}, "**none finds no folder; give e.g. RUN/step*"),
    ((), {"checkpoints": MADE, "origin": "random"}, "study.origin=random stands in for step 0"),
    (("init=random",), {"checkpoints": MADE}, "init=random has no checkpoints; leave study.check"),
    (("init=random",), {"origin": "random"}, "init=random is what study.origin=random counts from"),
    (
        ONE,
        {"checkpoints": MADE},
        "study.checkpoints and model.path both choose checkpoint",
    ),
    (
        ONE,
        {"revisions": ["step0"]},
        "study.revisions and model.path both choose checkpoint",
    ),
    (
        ("model=gpt2",),
        {"revisions": ["main", "step0"]},
        "checkpoint main has no number in its name",
    ),
    (("model=gpt2",), {"revisions": ["step0", "a0"]}, "step 0 has two checkpoints; give each step"),
    ((), {"reach": "far"}, "study.reach=far is not direct, all, or a number of edges from 1 up"),
    ((), {"reach": "all", "mode": "public"}, "study.mode=public leaves study.reach as the publish"),
    ((), {"radii": 20, "mode": "public"}, "study.mode=public leaves study.radii as the published"),
    ((), {"also": ["data=mmlu"]}, "study.also has data=mmlu, and chooses other models; give words"),
    ((), {"also": ["model='gpt2"]}, "study.also has model='gpt2, whose quotes are not closed; clo"),
    ((), {"also": ["model=gpt2", "model=gpt2"]}, "study.also has gpt2 twice; give each model once"),
    (
        (),
        {"sample": 129},
        "study.sample=129 is more than a layer of tiny has: 6 blocks of width 12",
    ),
    ((), {"scores": "none.csv"}, "study.scores=none.csv does not exist"),
    (
        (),
        {"threshold": 2.0},
        "no node has more than 10 edges of length 1 to 2; give a larger thres",
    ),
]


@pytest.mark.parametrize(("words", "settings", "said"), WRONG)
def test_mistakes_are_told_in_a_line(
    words: tuple[str, ...], settings: dict[str, Any], said: str, checkpoints: Path, tmp_path: Path
) -> None:
    def there(value: Any) -> Any:
        return value.replace("{made}", str(checkpoints)) if isinstance(value, str) else value

    config = configured(
        *map(there, words), **{name: there(value) for name, value in settings.items()}
    )
    with pytest.raises(UserError, match=re.escape(said)) as error:
        run(config, tmp_path)
    assert "\n" not in str(error.value)


def test_scores_of_other_checkpoints_are_refused_before_any_work(
    checkpoints: Path, scores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(keeping, "measure")
    config = configured(checkpoints=f"{checkpoints}/step-[01]", scores=str(scores))
    with pytest.raises(
        UserError, match=r"no task of study\.scores has values of 4 or more of the 2"
    ):
        run(config, tmp_path)


def test_steps_of_different_shapes_are_refused_before_any_work(
    checkpoints: Path, tmp_path: Path
) -> None:
    save(tmp_path / "step-0", 0)
    save(tmp_path / "step-8", 8, hidden_size=32, intermediate_size=128)
    with pytest.raises(UserError) as error:
        run(configured(checkpoints=f"{tmp_path}/step*"), tmp_path / "study")
    assert str(error.value) == (
        "step-8 has 2 blocks of width 32 with 32 attended neurons and 128 hidden units, and step-0 "
        "2 blocks of width 48 with 48 attended neurons and 192 hidden units; give checkpoints of "
        "one model, and others with study.also"
    )


def test_a_checkpoint_without_safetensors_is_told(checkpoints: Path, tmp_path: Path) -> None:
    shutil.copytree(checkpoints / "step-0", tmp_path / "step-0")
    (tmp_path / "step-0" / "model.safetensors").unlink()
    config = configured("model=local", f"model.path={tmp_path}/step-0")
    with pytest.raises(UserError, match=r"has no weights in safetensors; convert them \(load and"):
        run(config, tmp_path / "study")


def test_equal_distances_are_told(tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(save(tmp_path / "made", 0))
    for parameter in model.parameters():
        if parameter.dim() == 2:
            torch.nn.init.constant_(parameter, 0.02)
    model.save_pretrained(tmp_path / "equal")
    config = configured("model=local", f"model.path={tmp_path}/equal")
    with pytest.raises(UserError, match="all distances are equal, so that no slope over radii is"):
        run(config, tmp_path / "study")


@pytest.fixture
def arguments(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    given = ["multifractal", "tracking=none"]
    monkeypatch.setattr(sys, "argv", given)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    return given


def test_the_command_reads_neither_texts_nor_a_tokenizer(
    arguments: list[str], checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("texts or a tokenizer were read")

    monkeypatch.setattr("probe.pipeline.load_documents", refuse)
    monkeypatch.setattr("probe.models.load.load_tokenizer", refuse)
    monkeypatch.setattr("experiments.multifractal.task.sensitivity_rows", lambda *_: [])
    arguments += [
        "model=local", f"study.checkpoints={checkpoints}/step*", "study.sample=16",
        "study.samples=1", f"output={tmp_path}",
    ]  # fmt: skip
    with pytest.raises(SystemExit) as end:
        runpy.run_module("experiments.multifractal", run_name="__main__")
    assert end.value.code == 0
    [manifest] = tmp_path.glob("multifractal/model-*/manifest.json")
    facts = json.loads(manifest.read_text())
    assert sorted(facts["fingerprints"]) == ["model", "model 2", "model 3", "model 4"]
    assert facts["headline"].keys() == {"alpha0", "width", "emergence"}
