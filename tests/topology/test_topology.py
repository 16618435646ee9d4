"""A topology on disk is whole, plain, named as the published ones, and read without torch."""

import json
import os
import pickle
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from probe.errors import UserError
from probe.runs.load import load_topologies, load_topology
from probe.runs.manifest import MANIFEST
from probe.system.files import atomic_write
from probe.topology import Topology, sparsify
from tests.topologies import random_correlations, topology_of

repeatable = settings(max_examples=60, deadline=None, derandomize=True, database=None)
ROOT = Path(__file__).resolve().parents[2]


def make(name: str = "layer_12", seed: int = 0, **changed: Any) -> Topology:
    return topology_of(random_correlations(5, seed, series=9), **{"name": name} | changed)


def save_run(run: Path, *topologies: Topology) -> list[Path]:
    written = [file for topology in topologies for file in topology.save(run)]
    records = [topology.record() for topology in topologies]
    (run / MANIFEST).write_text(json.dumps({"topologies": records}))
    return written


def test_every_field_comes_back_from_disk(tmp_path: Path) -> None:
    error = np.full((5, 5), 0.125, dtype=np.float32)
    error[1, 2] = np.nan
    saved = make(
        "all_layers_part2",
        layers=(0, 3, 7),
        scheme="fisher",
        weight="token",
        part=2,
        parts=3,
        examples=17,
        undefined=(1, 4),
        site="mlp",
        model="a model",
        data="mmlu",
        subject="psychology",
        init="random",
        standard_error=error,
    )
    save_run(tmp_path, saved)
    (loaded,) = load_topologies(tmp_path)
    for field in fields(Topology):
        before, after = getattr(saved, field.name), getattr(loaded, field.name)
        if isinstance(before, np.ndarray):
            np.testing.assert_array_equal(after, before)
            assert after.dtype == np.float32
        else:
            assert after == before, field.name
            assert type(after) is type(before), field.name


def test_a_topology_without_standard_error_comes_back_without(tmp_path: Path) -> None:
    assert save_run(tmp_path, make()) == [tmp_path / "topology/layer_12_avg_corr.npy"]
    assert load_topology(tmp_path).standard_error is None


def test_files_are_named_as_in_the_published_data_set(tmp_path: Path) -> None:
    error = np.zeros((5, 5), dtype=np.float32)
    written = [
        *make("all_layers").save(tmp_path),
        *make("layer_12_part1", part=1, parts=3, standard_error=error).save(tmp_path),
    ]
    assert [str(file.relative_to(tmp_path)) for file in written] == [
        "topology/all_layers_avg_corr.npy",
        "topology/layer_12_avg_corr_part1.npy",
        "topology/layer_12_avg_corr_stderr_part1.npy",
    ]
    assert sorted(tmp_path.rglob("*.npy")) == sorted(written)
    assert {np.load(file, allow_pickle=False).dtype for file in written} == {np.dtype("float32")}


def test_the_layer_is_known_where_there_is_one() -> None:
    assert make(layers=(3,)).layer == 3
    assert make(layers=(0,)).layer == 0
    assert make(layers=(3, 7)).layer is None
    assert make().n_neurons == 5


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    place = tmp_path / "new" / "file.txt"
    with atomic_write(place) as unfinished:
        unfinished.write_text("old")
        assert not place.exists(), "it must not be seen before it is whole"
        inode = unfinished.stat().st_ino
    assert place.stat().st_ino == inode, "it was renamed, not copied"

    def write_half() -> None:
        with atomic_write(place) as unfinished:
            unfinished.write_text("half")
            raise RuntimeError("disk")

    with pytest.raises(RuntimeError, match="disk"):
        write_half()
    assert place.read_text() == "old"
    assert list(place.parent.iterdir()) == [place]


def test_a_matrix_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = make(seed=1)
    (file,) = old.save(tmp_path)

    def fail(stream: Any, *_: Any, **__: Any) -> None:
        stream.write(b"half a matrix")
        raise OSError("no space left")

    monkeypatch.setattr(np, "save", fail)
    with pytest.raises(OSError, match="no space"):
        make(seed=2).save(tmp_path)
    np.testing.assert_array_equal(np.load(file), old.matrix)
    assert list(file.parent.iterdir()) == [file]


class _Canary:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (os.environ["PROBE_CANARY"],)


def test_a_pickle_in_the_place_of_a_matrix_is_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = save_run(tmp_path, make())
    monkeypatch.setenv("PROBE_CANARY", str(tmp_path / "canary"))
    np.save(file, np.array([_Canary()], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"):
        load_topologies(tmp_path)
    file.write_bytes(pickle.dumps(_Canary()))
    with pytest.raises(ValueError, match="pickle"):
        load_topologies(tmp_path)
    assert not (tmp_path / "canary").exists()


def test_a_folder_without_manifest_is_no_finished_run(tmp_path: Path) -> None:
    make().save(tmp_path)
    with pytest.raises(UserError, match=rf"{tmp_path} is not a finished run.*manifest\.json"):
        load_topologies(tmp_path)
    with pytest.raises(UserError, match="not a finished run"):
        load_topology(tmp_path / "nowhere", "layer_12")


def test_a_missing_matrix_is_named(tmp_path: Path) -> None:
    (file,) = save_run(tmp_path, make())
    file.unlink()
    with pytest.raises(UserError, match=rf"lacks .*{file.name}; repeat the run"):
        load_topologies(tmp_path)


def test_an_unknown_name_is_answered_with_the_nearest_and_all(tmp_path: Path) -> None:
    save_run(tmp_path, make("layer_1"), make("all_layers"))
    with pytest.raises(UserError) as caught:
        load_topology(tmp_path, "layers_1")
    message = str(caught.value)
    assert "no topology 'layers_1'" in message
    assert "did you mean 'layer_1'" in message
    assert message.endswith("give one of layer_1, all_layers")


def test_one_of_several_needs_a_name(tmp_path: Path) -> None:
    save_run(tmp_path, make("layer_1", seed=1), make("layer_2", seed=2))
    with pytest.raises(UserError, match=r"several topologies; give one of layer_1, layer_2"):
        load_topology(tmp_path)
    np.testing.assert_array_equal(
        load_topology(tmp_path, "layer_2").matrix, make("layer_2", seed=2).matrix
    )


def test_the_only_one_needs_no_name(tmp_path: Path) -> None:
    save_run(tmp_path, make("all_layers"))
    assert load_topology(str(tmp_path)).name == "all_layers"


def test_loading_one_of_many_reads_only_its_matrix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_run(tmp_path, *(make(f"layer_{layer}", layers=(layer,)) for layer in range(3)))
    read: list[str] = []
    load = np.load

    def spy(file: Any, *args: Any, **options: Any) -> Any:
        read.append(Path(file).name)
        return load(file, *args, **options)

    monkeypatch.setattr(np, "load", spy)
    load_topology(tmp_path, "layer_1")
    assert read == ["layer_1_avg_corr.npy"]


@pytest.mark.processes
def test_reading_a_result_imports_no_torch(tmp_path: Path) -> None:
    save_run(tmp_path, make())
    program = (
        "import sys; from probe import api; [t] = api.load_topologies(sys.argv[1]);"
        "print(api.measure(t).neurons, api.load_topology(sys.argv[1]).name);"
        "print(sorted({'torch', 'transformers', 'accelerate', 'wandb'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["5 layer_12", "[]"]


@st.composite
def matrices(draw: st.DrawFn) -> NDArray[np.float32]:
    """Symmetric, diagonal 1, with ties where values are rounded."""
    n, digits = draw(st.integers(0, 12)), draw(st.sampled_from([1, 7]))
    half = np.random.default_rng(draw(st.integers(0, 1000))).uniform(-1, 1, (n, n))
    matrix = np.round(np.triu(half, 1), digits)
    return (matrix + matrix.T + np.eye(n)).astype(np.float32)


densities = st.one_of(st.floats(0.001, 1), st.sampled_from([0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0]))


def check_edges(matrix: NDArray[np.float32], kept: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Check what holds for every rule, and return which entries were kept."""
    edges = kept != 0
    assert kept.dtype == np.float32
    np.testing.assert_array_equal(kept, kept.T)
    np.testing.assert_array_equal(kept[edges], matrix[edges])
    assert not np.diagonal(kept).any()
    return edges


@given(matrices(), densities)
@repeatable
def test_as_many_pairs_stay_as_the_density_says_and_the_strongest(
    matrix: NDArray[np.float32], density: float
) -> None:
    edges = check_edges(matrix, sparsify(matrix, density))
    upper = [(a, b) for a in range(len(matrix)) for b in range(a + 1, len(matrix))]
    ranked = sorted(upper, key=lambda pair: (-abs(matrix[pair]), pair))
    expected = {pair for pair in ranked[: round(density * len(upper))] if matrix[pair]}
    assert {pair for pair in upper if edges[pair]} == expected


@given(matrices(), densities)
@repeatable
def test_the_papers_rule_is_numpys_percentile_over_all_entries(
    matrix: NDArray[np.float32], density: float
) -> None:
    edges = check_edges(matrix, sparsify(matrix, density, "paper"))
    if len(matrix) < 2:
        return
    magnitude = np.abs(matrix).astype(np.float64)
    least = np.percentile(magnitude, 100 - 100 * density)
    clear = np.abs(magnitude - least) > 1e-12  # of a tie, rounding errors decide in NumPy
    expected = (magnitude >= least) & ~np.eye(len(matrix), dtype=bool) & (matrix != 0)
    np.testing.assert_array_equal(edges[clear], expected[clear])


def test_the_papers_rule_keeps_an_entry_right_at_the_percentile() -> None:
    """Twice 1/16 to 10/16 are the entries of ranks 0 to 19, five ones the rest up to 24."""
    matrix = np.eye(5, dtype=np.float32)
    matrix[np.triu_indices(5, 1)] = np.arange(1, 11, dtype=np.float32) / 16
    matrix = np.maximum(matrix, matrix.T)
    for density, rank, least in [(0.25, 18, 10), (0.75, 6, 4), (0.3, 16.8, 9)]:
        assert (1 - density) * 24 == pytest.approx(rank)
        kept = sparsify(matrix, density, "paper")
        assert kept[kept > 0].min() == least / 16
    assert np.count_nonzero(sparsify(matrix, 0.2, "paper")) == 0, "the diagonal takes it all"


def test_a_float_error_of_the_rank_costs_no_edge() -> None:
    """Rank 21 of 120, the higher entry of the 11th pair, is 21.000000000000007 in floats."""
    matrix = np.eye(11, dtype=np.float32)
    matrix[np.triu_indices(11, 1)] = np.arange(1, 56, dtype=np.float32) / 64
    matrix = np.maximum(matrix, matrix.T)
    assert (1 - 0.825) * 120 > 21
    assert np.count_nonzero(sparsify(matrix, 0.825, "paper")) == 2 * 45


@given(matrices(), densities, st.sampled_from(["pairs", "paper"]))
@repeatable
def test_signs_do_not_matter_to_what_stays(
    matrix: NDArray[np.float32], density: float, rule: str
) -> None:
    signs = np.random.default_rng(0).choice([-1, 1], len(matrix)).astype(np.float32)
    flip = np.outer(signs, signs)
    np.testing.assert_array_equal(
        sparsify(matrix * flip, density, rule), sparsify(matrix, density, rule) * flip
    )


@pytest.mark.parametrize("rule", ["pairs", "paper"])
def test_density_one_keeps_all(rule: str) -> None:
    matrix = make().matrix
    np.testing.assert_array_equal(sparsify(matrix, 1, rule), matrix - np.eye(5, dtype=np.float32))


def test_of_ties_the_first_pairs_stay() -> None:
    kept = sparsify(np.full((4, 4), -0.5, dtype=np.float32), 0.5)
    assert np.argwhere(np.triu(kept)).tolist() == [[0, 1], [0, 2], [0, 3]]


def test_sparsify_leaves_the_matrix_as_it_was() -> None:
    matrix = make().matrix
    before = matrix.copy()
    sparsify(matrix, 0.5)
    np.testing.assert_array_equal(matrix, before)


def test_an_unknown_rule_or_density_is_refused() -> None:
    matrix = make().matrix
    with pytest.raises(UserError, match=r"no density rule 'pair'.*'pairs'.*one of pairs, paper"):
        sparsify(matrix, 0.1, "pair")
    for density in (0, -0.1, 1.01, float("nan")):
        with pytest.raises(UserError, match=f"above 0 and up to 1, not {density:g}"):
            sparsify(matrix, density)


def test_a_study_has_no_topologies_and_a_broken_manifest_is_said(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text("{}")
    with pytest.raises(UserError, match="has no topologies; give the folder of a run of python -m"):
        load_topologies(tmp_path)
    (tmp_path / MANIFEST).write_text("{")
    with pytest.raises(UserError, match=r"manifest\.json is corrupt \(it cannot be read: "):
        load_topologies(tmp_path)
