"""Which topologies are compared, what they are called, and whose neurons are the same."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from probe.compare import compare, load_items
from probe.compare.spaces import Space, group_spaces
from probe.config import to_plain
from probe.errors import UserError
from probe.measures import measure
from probe.runs.manifest import write_manifest
from probe.topology import Topology
from probe.topology.reliability import Reliability
from tests.run_folders import config_of, save_run
from tests.topologies import random_correlations, topology_of


def make(name: str = "all_layers", seed: int = 0, n: int = 20, **changed: Any) -> Topology:
    layers = (int(name.split("_")[1]),) if name.startswith("layer_") else (0, 1)
    return topology_of(random_correlations(n, seed), **{"name": name, "layers": layers} | changed)


def labels(*runs: Path) -> list[str]:
    return [item.label for item in load_items(runs)]


def test_an_item_has_its_runs_measures_and_hubs(tmp_path: Path) -> None:
    layers = [make("layer_0"), make("layer_4", 1)]
    items = load_items([save_run(tmp_path / "run", *layers)])
    assert [item.topology.name for item in items] == ["layer_0", "layer_4"]
    for item, topology in zip(items, layers, strict=True):
        expected = measure(topology)
        assert list(item.hubs) == [neuron for neuron, _ in expected.hubs]
        assert item.numbers["mean_abs_r"] == expected.mean_abs_r
        assert item.half_differences == {}


def test_the_halves_of_the_texts_tell_the_noise_of_a_measure(tmp_path: Path) -> None:
    halves = [{"mean_abs_r": 0.3, "strength_gini": 0.1}, {"mean_abs_r": 0.26}]
    known = Reliability(900, 0.01, 0.8, halves, {}, None)
    run = save_run(tmp_path, make("layer_0", reliability=known), make("layer_1"))
    noisy, silent = load_items([run])
    assert noisy.half_differences == {"mean_abs_r": pytest.approx(0.04)}
    assert silent.half_differences == {}


def test_topologies_of_one_run_need_no_more_than_their_names(tmp_path: Path) -> None:
    run = save_run(tmp_path / "each-mean-01234567", make("layer_0"), make("layer_1"))
    assert labels(run) == ["layer_0", "layer_1"]


def test_runs_of_one_topology_are_called_by_the_run(tmp_path: Path) -> None:
    runs = [tmp_path / "all-mean-01234567", tmp_path / "all-mean-random-89abcdef"]
    assert labels(*(save_run(run, make()) for run in runs)) == ["all-mean", "all-mean-random"]


def test_runs_of_several_topologies_are_called_by_both(tmp_path: Path) -> None:
    one = save_run(tmp_path / "each-mean-01234567", make("layer_0"), make("layer_1"))
    other = save_run(tmp_path / "all-mean-89abcdef", make())
    assert labels(one, other) == ["each-mean/layer_0", "each-mean/layer_1", "all-mean/all_layers"]


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        (["m/words/a-01234567", "m/news/a-89abcdef"], ["words/a", "news/a"]),
        (["m/words/a-01234567", "k/words/a-89abcdef"], ["m/words/a", "k/words/a"]),
        (["m/words/a-01234567", "m/words/a-89abcdef"], ["a-01234567", "a-89abcdef"]),
    ],
)
def test_names_take_as_much_of_the_path_as_tells_them_apart(
    runs: list[str], expected: list[str], tmp_path: Path
) -> None:
    assert labels(*(save_run(tmp_path / run, make()) for run in runs)) == expected


def test_runs_whose_names_are_all_the_same_are_called_by_their_paths(tmp_path: Path) -> None:
    runs = [tmp_path / top / "m/words/a-01234567" for top in ("one", "two")]
    assert labels(*(save_run(run, make()) for run in runs)) == [str(run) for run in runs]


def test_a_run_given_twice_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = save_run(tmp_path / "run", make("layer_0"), make("layer_1"))
    monkeypatch.chdir(tmp_path)
    assert len(load_items([run, "run"])) == 2


def test_one_topology_alone_is_refused(tmp_path: Path) -> None:
    run = save_run(tmp_path / "run", make())
    with pytest.raises(UserError, match="has only one topology, and a comparison needs two; give"):
        load_items([run, run])


@pytest.mark.parametrize("file", ["manifest.json", "measures.json", "measures_by_layer.csv"])
def test_a_folder_that_lacks_a_file_is_refused(file: str, tmp_path: Path) -> None:
    run = save_run(tmp_path / "run", make("layer_0"), make("layer_1"))
    (run / file).unlink()
    with pytest.raises(UserError, match=rf"run.*(lacks|has no) .*{file}"):
        load_items([run])


def space(
    topology: Topology,
    model: str | None = "org/tiny",
    seed: int = 0,
    path: str | None = None,
    fingerprint: str | None = None,
) -> Space:
    config = to_plain(config_of(model, topology.init, seed))
    named = {"name": None, "path": path} if path else {"name": topology.model}
    manifest: dict[str, Any] = {"config": config | {"model": config["model"] | named}}
    if fingerprint is not None:
        manifest["fingerprints"] = {"model": fingerprint, "data": "sha256 00"}
    return Space.of(topology, manifest)


def in_folder(path: str, fingerprint: str | None = None, init: str = "pretrained") -> Space:
    return space(make(init=init), None, path=path, fingerprint=fingerprint)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (space(make("layer_0")), space(make("layer_1", scheme="fisher", data="news"))),
        (space(make(init="random"), seed=3), space(make(init="random"), seed=3)),
        (space(make(init="pretrained"), seed=3), space(make(init="pretrained"), seed=4)),
        (space(make("layer_1", site="mlp")), space(make("layer_1", site="mlp"))),
        (space(make("layer_1", site="attention")), space(make("layer_2", site="attention"))),
        (space(make(model="a")), space(make(model="b"))),  # two names of one repository
        (space(make(model="mine"), None), space(make(model="mine"), None)),
        # One content in two folders, and under a name.
        (in_folder("a/model", "sha256 1"), in_folder("b/copy", "sha256 1")),
        (in_folder("a/model", "sha256 1"), space(make(), fingerprint="sha256 1")),
        (in_folder("a", "sha256 1", "random"), in_folder("b", "sha256 1", "random")),
        # Revisions, by repository and by given name.
        (space(make(), fingerprint="commit 1"), space(make(), fingerprint="commit 2")),
        (
            space(make(model="mine"), None, fingerprint="sha256 1"),
            space(make(model="mine"), None, fingerprint="sha256 2"),
        ),
        # Runs of older versions have no fingerprints.
        (in_folder("a/model"), in_folder("a/model")),
        (in_folder("a/model", "sha256 1"), in_folder("a/model")),
        (space(make()), space(make(), fingerprint="commit 1")),
    ],
)
def test_neurons_that_are_the_same(one: Space, other: Space) -> None:
    assert one.unlike(other) is other.unlike(one) is None
    assert group_spaces([one, other]) == [[0, 1]]


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        (space(make()), space(make(), "org/big"), "org/big and org/tiny are different models"),
        (
            space(make()), space(make(init="random")),
            "pretrained and random (seed 0) weights began differently",
        ),
        (
            space(make(init="random"), seed=1), space(make(init="random"), seed=2),
            "random (seed 1) and random (seed 2) weights began differently",
        ),
        (
            space(make("layer_1")), space(make("layer_1", site="attention")),
            "attention and residual are different neurons",
        ),
        (
            space(make("layer_1", site="mlp")), space(make("layer_2", site="mlp")),
            "every layer has neurons of its own",
        ),
        (space(make(n=8)), space(make(n=9)), "there are 8 neurons and 9"),
        (
            space(make(kind="full", layers=(0, 1))), space(make(kind="full", layers=(0, 2))),
            "every layer has neurons of its own",
        ),
        (space(make(kind="full")), space(make()), "every layer has neurons of its own"),
        (
            space(make(model="mine"), None), space(make(model="yours"), None),
            "mine and yours are different models",
        ),
        (
            space(make(model="model"), None, path="a/model"),
            space(make(model="model"), None, path="b/model"),
            "a/model and b/model are different models",
        ),
        (
            in_folder("a/model", "sha256 1"), in_folder("b/model", "sha256 2"),
            "a/model and b/model are different models",
        ),
        (
            in_folder("model", "sha256 1"), in_folder("model", "sha256 2"),
            "model has held different models",
        ),
        (
            in_folder("a/model", "sha256 1"), space(make(), fingerprint="sha256 2"),
            "a/model and org/tiny are different models",
        ),
        (in_folder("a/model", "sha256 1"), in_folder("b/model"),
         "a/model and b/model are different models"),
        # Of random weights only the configuration is hashed: the seed tells them apart.
        (
            space(make(init="random"), None, 1, "a/model", "sha256 1"),
            space(make(init="random"), None, 2, "b/model", "sha256 1"),
            "random (seed 1) and random (seed 2) weights began differently",
        ),
    ],
)  # fmt: skip
def test_neurons_that_are_not(one: Space, other: Space, reason: str) -> None:
    assert one.unlike(other) == other.unlike(one) == reason
    assert group_spaces([one, other]) == [[0], [1]]


def test_a_model_links_its_revisions_to_copies_of_them() -> None:
    copies = [in_folder("a", "sha256 1"), in_folder("b", "sha256 2"), in_folder("c", "sha256 3")]
    revisions = [space(make(), fingerprint=f"sha256 {number}") for number in (2, 1)]
    assert group_spaces(copies) == [[0], [1], [2]]
    assert sorted(group_spaces([*copies, *revisions, copies[0]])) == [[0, 1, 3, 4, 5], [2]]
    # Equal configurations of two models have equal random weights, and say nothing of trained ones.
    drawn = [
        space(make(init=init), model, fingerprint=fingerprint)
        for model, commit in (("org/a", "commit a"), ("org/b", "commit b"))
        for init, fingerprint in (("random", "sha256 1"), ("pretrained", commit))
    ]
    assert sorted(group_spaces(drawn)) == [[0, 2], [1], [3]]


def test_the_fingerprint_is_read_from_the_manifest(tmp_path: Path) -> None:
    runs = []
    for number, (folder, content) in enumerate([("a", "1"), ("b", "1"), ("c", "2")]):
        config = config_of(None)
        config.model.path = f"{folder}/model"
        run = save_run(tmp_path / folder, make(seed=number), config=config)
        manifest = json.loads((run / "manifest.json").read_text())
        manifest["fingerprints"] = {"model": f"sha256 {content}", "data": "sha256 0"}
        write_manifest(run, manifest)
        runs.append(run)
    pairs = compare(load_items(runs), permutations=9).pairs
    assert [pair.unmatched for pair in pairs] == [
        None, "a/model and c/model are different models", "b/model and c/model are different models"
    ]  # fmt: skip
    assert pairs[0].correlation is not None
    assert pairs[1].correlation is None


def test_matrices_between_layers_are_refused(tmp_path: Path) -> None:
    crossed = make("cross_layer_0_1", kind="cross", layers=(0, 1))
    run = save_run(tmp_path / "run", crossed, replace(crossed, name="cross_layer_0_2"))
    with pytest.raises(UserError, match=r"has matrices between two layers, .* layers="):
        load_items([run])


def test_matrices_of_all_layers_are_compared(tmp_path: Path) -> None:
    whole = make("full", kind="full", layers=(0, 1))
    runs = [save_run(tmp_path / name, whole) for name in ("a", "b")]
    one, other = load_items(runs)
    assert one.space.unlike(other.space) is None
