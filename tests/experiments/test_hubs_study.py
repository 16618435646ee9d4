"""Hubs are those of the formula, are counted on texts that did not choose them, beside nulls."""

import csv
import shutil
import subprocess
import sys
from dataclasses import fields
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from experiments.hubs.bases import (
    KEPT,
    OBSERVED,
    RANDOM,
    RANKED,
    RANKED_WITHOUT,
    ROTATED,
    SHIFTED,
    WITHOUT_FIRST,
    WITHOUT_RULING,
    Bases,
    Correlated,
    norm_ratios,
    rotation,
)
from experiments.hubs.figures import frequency_curves, overlap_matrix
from experiments.hubs.frequency import Frequencies, frequency
from experiments.hubs.overlap import Item, first_token_rows, items, items_of_runs
from experiments.hubs.reading import Reading, Tally, read
from experiments.hubs.ruling import kept_rows, token_rows
from experiments.hubs.ruling_tokens import Ruling
from experiments.hubs.settings import Hubs, HubsConfig, check, sources, varied
from experiments.hubs.task import run
from probe import api
from probe.api import UserError, compose
from probe.compare.hubs import Relabelling
from probe.compare.spaces import Space
from probe.config import ModelConfig
from probe.models.place import ASSETS
from tests.run_folders import config_of, save_run
from tests.topologies import random_correlations, topology_of

composed = cache(compose)
WORDS = (
    "data.limit=8", "data.shuffle=true", "data.cut=tokens", "data.window=40", "layers=[1,2]",
    "tracking=none",
)  # fmt: skip
LAYER = 1
N_HUBS = 5


def configured(*words: str, **settings: Any) -> HubsConfig:
    plain = {field.name: getattr(composed(*words), field.name) for field in fields(api.Config)}
    return HubsConfig(**plain, study=Hubs(**settings))


def strongest(r: NDArray[np.float64], number: int) -> set[int]:
    strength = np.nansum(np.abs(r), axis=0) - np.abs(np.diag(r))
    return set(np.argsort(-strength)[:number].tolist())


def read_rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("hubs")
    settings: dict[str, Any] = {
        "hubs": N_HUBS, "over": ["questions: data=sample data.split=questions data.limit=6"],
        "rotations": 2, "inits": 1, "permutations": 50, "repetitions": 50,
    }  # fmt: skip
    run(configured(*WORDS, **settings), made)
    return made


@pytest.fixture(scope="module")
def series() -> list[NDArray[np.float64]]:
    found = sorted(api.iterate(*WORDS), key=lambda example: example.example)
    return [example.layers[LAYER].double().numpy() for example in found]


def test_frequency_is_the_share_of_texts_in_which_a_neuron_is_a_hub(
    folder: Path, series: list[NDArray[np.float64]]
) -> None:
    counts = np.zeros(series[0].shape[1])
    for x in series:
        counts[list(strongest(np.corrcoef(x.T), N_HUBS))] += 1
    rows = read_rows(folder / "neurons.csv")
    rows = [row for row in rows if (row["variant"], row["layer"]) == ("base", str(LAYER))]
    # The windows are of one document each or share one: halves need not be equal.
    halves = [
        np.array([float(row[f"frequency_{half}_half"]) for row in rows])
        for half in ("first", "second")
    ]
    texts = int(read_rows(folder / "frequency.csv")[0]["texts"])
    found = halves[0] * (len(series) - texts) + halves[1] * texts
    np.testing.assert_allclose(found, counts, atol=1e-9)
    hubs = {int(row["neuron"]) for row in rows if row["hub"] == "True"}
    assert hubs == strongest(np.mean([np.corrcoef(x.T) for x in series], axis=0), N_HUBS)


def test_first_tokens_are_left_out_as_by_the_program(
    folder: Path, series: list[NDArray[np.float64]]
) -> None:
    whole, without = (np.mean([np.corrcoef(x[skip:].T) for x in series], axis=0) for skip in (0, 1))
    pairs = np.triu_indices(len(whole), 1)
    row = next(r for r in read_rows(folder / "first_token.csv") if r["layer"] == str(LAYER))
    assert float(row["r"]) == pytest.approx(
        np.corrcoef(whole[pairs], without[pairs])[0, 1], abs=1e-6
    )
    shared = strongest(whole, N_HUBS) & strongest(without, N_HUBS)
    assert int(row["shared"]) == len(shared)


def test_every_basis_stands_in_the_table(folder: Path) -> None:
    rows = read_rows(folder / "frequency.csv")
    bases = [row["basis"] for row in rows if (row["variant"], row["layer"]) == ("base", "1")]
    assert bases == [OBSERVED, WITHOUT_FIRST, *KEPT, ROTATED, SHIFTED, RANDOM]
    questions = {row["basis"] for row in rows if row["variant"] == "questions"}
    assert questions == {OBSERVED, WITHOUT_FIRST, *KEPT, ROTATED, SHIFTED}
    for row in rows:
        assert float(row["low"]) <= float(row["frequency"]) <= float(row["high"])
        assert float(row["chance"]) == N_HUBS / 128


def test_hubs_by_rank_are_those_of_scipy(folder: Path, series: list[NDArray[np.float64]]) -> None:
    whole = np.mean([np.corrcoef(x.T) for x in series], axis=0)
    ranked = np.mean([stats.spearmanr(x).statistic for x in series], axis=0)
    rows = read_rows(folder / "without_ruling.csv")
    by_basis = {
        row["basis"]: row for row in rows if (row["variant"], row["layer"]) == ("base", "1")
    }
    assert list(by_basis) == [OBSERVED, *KEPT]
    shared = strongest(whole, N_HUBS) & strongest(ranked, N_HUBS)
    assert by_basis[RANKED]["kept"].split() == [str(neuron) for neuron in sorted(shared)]
    pairs = np.triu_indices(len(whole), 1)
    for row, matrix in ((by_basis[OBSERVED], whole), (by_basis[RANKED], ranked)):
        assert float(row["mean_abs_r"]) == pytest.approx(np.abs(matrix[pairs]).mean(), abs=1e-6)
        dimension = len(matrix) ** 2 / (matrix**2).sum()
        assert float(row["effective_dimension"]) == pytest.approx(dimension, rel=1e-5)
    # No token of this small model rules.
    assert float(by_basis[WITHOUT_RULING]["r"]) == pytest.approx(1)
    assert (folder / "figures/ruling_tokens.png").read_bytes().startswith(b"\x89PNG")


def test_overlaps_tell_which_neurons_are_others(folder: Path) -> None:
    rows = read_rows(folder / "overlap.csv")
    unlike = {row["second"]: row["unlike"] for row in rows if row["first"] == "base layer 1"}
    assert unlike["questions layer 2"] == ""
    assert "weights began differently" in unlike["random 0 layer 1"]
    for name in ("frequency", "frequency_1", "overlap"):
        assert (folder / f"figures/{name}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("no_figures")
def test_finished_runs_are_compared_too(tmp_path: Path) -> None:
    made = api.run("data.limit=2", "layers=1", "tracking=none", "measures.rewired=0",
                   f"output={tmp_path}")  # fmt: skip
    nulls: dict[str, Any] = {"rotations": 0, "shifts": 0, "inits": 0, "permutations": 9}
    config = configured(*WORDS, runs=[str(made)], repetitions=9, **nulls)
    assert sources(config)[1:] == [made / "topology" / "layer_1_avg_corr.npy"], "compared on reuse"
    run(config, tmp_path / "hubs")
    matrix = api.load_topology(made).matrix.astype(float)
    rows = read_rows(tmp_path / "hubs/overlap.csv")
    (row,) = [r for r in rows if r["first"] == "base layer 1" and "layer 1" in r["second"][6:]]
    neurons = read_rows(tmp_path / "hubs/neurons.csv")
    ours = {int(n["neuron"]) for n in neurons if n["layer"] == "1" and n["hub"] == "True"}
    assert int(row["shared"]) == len(ours & strongest(matrix, 7))


def test_a_copy_of_the_model_has_the_same_neurons(tmp_path: Path) -> None:
    config = compose(*WORDS)
    reading = read(config, Bases(0, 0, 0, False), 3)
    [original, *_] = items("original", config, reading)
    shutil.copytree(ASSETS / "tiny", tmp_path / "copy")
    config.model = ModelConfig(path=str(tmp_path / "copy"))
    [copy, *_] = items("copy", config, reading)
    assert original.space.unlike(copy.space) is None
    (tmp_path / "copy/config.json").write_text("{}")
    [other, *_] = items("other", config, reading)
    assert (
        original.space.unlike(other.space)
        == f"{tmp_path}/copy and bundled/tiny are different models"
    )


def test_an_average_leaves_out_what_is_undefined() -> None:
    rng = np.random.default_rng(0)
    texts = [rng.normal(size=(30, 6)) for _ in range(4)]
    texts[0][:, 2] = texts[1][:, 2] = 0.1
    tally = Tally(6, 2, torch.device("cpu"))
    for number, x in enumerate(texts):
        tally.add(Correlated.of(torch.from_numpy(x)), number % 2)
    r = np.array([np.corrcoef(x.T) for x in texts])
    r[:2, 2] = r[:2, :, 2] = np.nan  # what corrcoef makes of a constant is rounding errors
    expected = np.nanmean(r, axis=0)
    average = tally.average(0, 1)
    np.testing.assert_allclose(average.matrix.numpy(), expected, atol=1e-6)
    assert average.defined.all()
    assert set(tally.hubs(0, 1).tolist()) == strongest(expected, 2)


def test_neurons_that_never_vary_are_no_chance_of_common_hubs() -> None:
    """Of 2 hubs among 6 neurons a third is shared by chance, however many are dead."""
    rng = np.random.default_rng(0)
    bases = (OBSERVED, WITHOUT_FIRST)
    tallies = {(LAYER, basis, 0): Tally(30, 2, torch.device("cpu")) for basis in bases}
    for text in range(4):
        x = rng.normal(size=(40, 30))
        x[:, 6:] = 0.1
        tallies[LAYER, OBSERVED, 0].add(Correlated.of(torch.from_numpy(x)), text % 2)
        tallies[LAYER, WITHOUT_FIRST, 0].add(Correlated.of(torch.from_numpy(x[1:])), text % 2)
    reading = Reading([0, 1, 0, 1], [40] * 4, list("abcd"), tallies, {LAYER: [1.0] * 4})
    [row] = first_token_rows("base", reading, Relabelling(2000, seed=0))
    assert row["chance"] == pytest.approx(2 / 6, abs=0.03)


def test_planted_hubs_are_found_in_every_text_and_no_more_when_shifted() -> None:
    rng, planted, tallies = np.random.default_rng(0), [3, 8, 11], dict[str, Tally]()
    bases = Bases(rotations=0, shifts=1, seed=0, without_first=False)
    for text in range(40):
        common = rng.normal(size=(60, 1))
        x = rng.normal(size=(60, 20)) + 0.5 * common
        x[:, planted] = common + 0.1 * rng.normal(size=(60, 3))
        for basis, _, seen in bases(torch.from_numpy(x), text):
            tally = tallies.setdefault(basis, Tally(20, 3, torch.device("cpu")))
            tally.add(Correlated.of(seen), text % 2)
    halves = np.arange(0, 40, 2), np.arange(1, 40, 2)
    found = Frequencies(OBSERVED, [tallies[OBSERVED]], *halves)
    assert sorted(tallies[OBSERVED].hubs(0).tolist()) == planted
    assert found.count(1) == 3
    assert found.hits.tolist() == [1.0] * 20
    assert found.curves[0].tolist() == [1.0] * 3 + [0.0] * 17
    assert Frequencies(SHIFTED, [tallies[SHIFTED]], *halves).hits.mean() < 0.4


def test_hubs_of_one_half_are_counted_on_the_other() -> None:
    tally = Tally(4, 1, torch.device("cpu"))
    tally.strongest = [np.array([n]) for n in (0, 1, 0, 1, 0, 2)]
    first, second = np.array([0, 2, 4]), np.array([1, 3, 5])
    assert frequency(tally, first).tolist() == [1, 0, 0, 0]
    curve = Frequencies(OBSERVED, [tally], first, second).curves[0]
    np.testing.assert_allclose(curve, [0, 2 / 3, 1 / 3, 0])


def test_what_one_token_rules_is_told_and_goes_without_it() -> None:
    """A massive token makes hubs of the neurons it is large in; the others' hubs remain."""
    rng, made, real = np.random.default_rng(0), [0, 1, 2], [7, 8, 9]
    bases = Bases(rotations=0, shifts=0, seed=0, without_first=False, ruling=10)
    reading, texts = Reading([0, 1] * 6, [60] * 12, list("abcdefghijkl")), []
    for text in range(12):
        common = rng.normal(size=(60, 1))
        x = rng.normal(size=(60, 20))
        x[:, real] = common + 0.5 * rng.normal(size=(60, 3))
        x[text, made] = 300 * rng.normal(1, 0.1, 3)
        x = x.astype(np.float32)
        activations = torch.from_numpy(x)
        texts.append(x.astype(np.float64))
        reading.ruling[LAYER].append(Ruling.of(activations, norm_ratios(activations), 10))
        for basis, draw, seen in bases(activations, text):
            tally = reading.tallies.setdefault(
                (LAYER, basis, draw), Tally(20, 3, torch.device("cpu"))
            )
            tally.add(Correlated.of(seen), text % 2)
    by_basis = {row["basis"]: row for row in kept_rows("base", reading, Relabelling(20, seed=0))}
    hubs = {basis: set(reading.draws(LAYER, basis)[0].hubs(0, 1).tolist()) for basis in by_basis}
    assert hubs[OBSERVED] == set(made)
    assert hubs[WITHOUT_RULING] == hubs[RANKED] == hubs[RANKED_WITHOUT] == set(real)
    assert by_basis[RANKED]["shared"] == 0
    left = [np.delete(x, text, axis=0) for text, x in enumerate(texts)]
    expected = np.mean([stats.spearmanr(x).statistic for x in left], axis=0)
    average = reading.draws(LAYER, RANKED_WITHOUT)[0].average(0, 1).matrix
    np.testing.assert_allclose(average, expected, atol=1e-6)
    [row] = token_rows("base", reading)
    assert row["ruling_per_text"] == 1
    assert row["ruling_first"] == pytest.approx(1 / 12)
    r = np.mean([np.corrcoef(x.T) for x in texts], axis=0)
    z = [stats.zscore(x)[text] / np.sqrt(60) for text, x in enumerate(texts)]
    s = np.mean([np.outer(one, one) for one in z], axis=0)
    off = ~np.eye(20, dtype=bool)
    share = (s * r)[off].sum() / (r**2)[off].sum()
    assert row["strongest_share"] == pytest.approx(share, rel=1e-4)
    assert share > 0.5


def test_a_rotation_keeps_lengths_and_a_shift_keeps_values() -> None:
    x = torch.randn(12, 6, generator=torch.Generator().manual_seed(0))
    found = {basis: seen for basis, _, seen in Bases(1, 1, 0, True)(x, 0)}
    torch.testing.assert_close(found[ROTATED].norm(dim=1), x.norm(dim=1))
    torch.testing.assert_close(found[SHIFTED].sort(dim=0).values, x.sort(dim=0).values)
    assert not (found[SHIFTED] == x).all(dim=0).any()
    torch.testing.assert_close(found[WITHOUT_FIRST], x[1:], rtol=0, atol=0)
    assert not torch.equal(rotation(6, 0), rotation(6, 1))


def test_words_take_the_place_of_the_users() -> None:
    config = configured("data.limit=5", "layers=3", "data.skip_first=1")
    other = varied(config, "data.limit=9")
    assert (other.data.limit, other.data.skip_first, other.layers.index) == (9, 1, 3)
    other = varied(
        config, "data=mmlu subject=psychology 'layers=[1,2]' data.shuffle=true data.seed=4"
    )
    assert (other.data.source, other.data.limit, other.data.seed) == ("mmlu", None, 4)
    assert other.layers.index == [1, 2]
    assert other.subject is not None
    assert other.subject.mmlu == ["high_school_psychology", "professional_psychology"]
    assert config.data.limit == 5
    other = varied(config, "data.limit=null data.skip_first=0 layers=all")
    assert (other.data.limit, other.data.skip_first, other.layers.index) == (None, 0, None)
    assert varied(configured("init=random", "init.seed=3"), "init=pretrained") == configured()
    assert varied(configured("data.cut=tokens"), "data.window=40").data.window == 40


@pytest.mark.parametrize(
    ("words", "settings", "said"),
    [
        ([], {"hubs": 0}, "study.hubs=0 is too small; give 1 or more"),
        ([], {"ruling": 0.5}, "study.ruling=0.5 is too small; give 1 or more"),
        ([], {"rotations": -1}, "study.rotations=-1 is too small; give 0 or more"),
        ([], {"over": ["layers=1", "layers=1"]}, "has two variants 'layers=1'"),
        ([], {"over": ["output=x"]}, "study.over has output, which is common to all"),
        ([], {"over": ["new: "]}, "study.over has a variant without words"),
        ([], {"over": ["data.limit=0"]}, "data.limit=0 is too small"),
        ([], {"over": ["layers=cross"]}, "layers=cross joins the neurons of several"),
        ([], {"runs": ["nowhere"]}, "nowhere is not a finished run"),
        (["data.min_tokens=3"], {}, r"data.min_tokens=3 \(base\) leaves too few tokens"),
    ],
)
def test_mistakes_are_told_before_any_work(
    words: list[str], settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        check(configured(*words, **settings))


def test_one_document_has_no_halves(tmp_path: Path) -> None:
    config = configured("data.limit=1", rotations=0, inits=0)
    with pytest.raises(UserError, match="base has texts of one document only"):
        run(config, tmp_path)


@pytest.mark.processes
def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import runpy, sys; sys.argv = ['hubs', '--help']\n"
        "try: runpy.run_module('experiments.hubs', run_name='__main__')\n"
        "finally: print('torch' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "study.rotations" in ended.stdout
    assert ended.stdout.rstrip().endswith("False")


def test_runs_are_named_by_what_distinguishes_them(tmp_path: Path) -> None:
    def saved(name: str, init: str, **changed: Any) -> str:
        topology = topology_of(random_correlations(9, 0), name="layer_1", layers=(1,), init=init)
        return str(save_run(tmp_path / name, topology, config=config_of(init=init, **changed)))

    runs = [saved("mean-aaaa1111", "pretrained"), saved("mean-bbbb2222", "random", seed=3)]
    assert [one.label.partition(" layer 1")[2] for one in items_of_runs(runs[:1], 2)] == [""]
    labels = [one.label.partition(" layer 1")[2] for one in items_of_runs(runs, 2)]
    assert labels == [", init=pretrained, init.seed=0", ", init=random, init.seed=3"]
    again = items_of_runs([runs[0], saved("mean-cccc3333", "pretrained")], 2)
    assert [one.label.partition(" layer 1")[2] for one in again] == [" (aaaa1111)", " (cccc3333)"]


def test_every_row_of_the_overlaps_is_named_and_no_name_lies_on_another() -> None:
    space = Space("tiny", "pretrained", "residual", None, 9, "a")
    every = [
        Item(f"a variant of some length, layer {k}", space, frozenset({k % 9}), frozenset(range(9)))
        for k in range(40)
    ]
    figure = overlap_matrix("tiny on sample", every, Relabelling(1, 0))
    figure.draw_without_rendering()
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [one.label for one in every]
    boxes = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert not any(one.overlaps(other) for one, other in pairwise(boxes))
    assert figure.get_size_inches().max() < 14


def test_the_observed_curve_shows_below_that_without_the_first_token() -> None:
    tally = Tally(6, 2, torch.device("cpu"))
    for number in range(4):
        x = np.random.default_rng(number).normal(size=(30, 6))
        tally.add(Correlated.of(torch.from_numpy(x)), number % 2)
    halves = np.array([0, 2]), np.array([1, 3])
    layer = {name: Frequencies(name, [tally], *halves) for name in (OBSERVED, WITHOUT_FIRST)}
    axes = frequency_curves("tiny on sample", {1: layer}).axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    observed, without = lines[OBSERVED], lines[WITHOUT_FIRST]
    np.testing.assert_array_equal(observed.get_ydata(), without.get_ydata())
    assert without.get_zorder() > observed.get_zorder()
    assert without.get_linewidth() < observed.get_linewidth()
    assert (observed.is_dashed(), without.is_dashed()) == (False, True)
    assert "chance" in lines
