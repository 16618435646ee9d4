"""Every way to spoil a run is found and named; what is whole is said to be."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probe.config import Config, ModelConfig
from probe.runs.folder import RunFolder
from probe.runs.manifest import seal
from probe.topology import Topology
from probe.topology.reliability import BINS, Null, Reliability
from probe.verify import __main__ as program
from probe.verify import matrix, verify
from tests.run_folders import save_run
from tests.topologies import random_correlations, topology_of

N = 12
MATRIX = "topology/layer_3_avg_corr_part1.npy"
ERROR = "topology/layer_3_avg_corr_stderr_part1.npy"


def reliability(tokens: int) -> Reliability:
    counts = [0] * (len(BINS) - 1)
    counts[100] = 2 * N * (N - 1) // 2
    null = Null(2, 0.1, 0.02, {"0.5": 0.05, "0.95": 0.2, "0.99": 0.3, "0.999": 0.3}, counts)
    return Reliability(tokens, 0.001, 0.9, [{}, {}], {}, null)


def layer_parts() -> list[Topology]:
    """Two parts of a layer, neuron 4 constant in both, with standard errors."""
    made = []
    for part in (1, 2):
        r = np.array(random_correlations(N, seed=part))
        r[4, :] = r[:, 4] = 0
        error = np.full((N, N), 0.1, np.float32)
        error[4, :] = error[:, 4] = np.nan
        made.append(
            topology_of(
                r, name=f"layer_3_part{part}", layers=(3,), part=part, parts=2, examples=5,
                undefined=(4,), standard_error=error, reliability=reliability(50),
            )
        )  # fmt: skip
    return made


def cross() -> list[Topology]:
    block = np.array(random_correlations(N, seed=3))[:8, 5:]
    block[2, :] = block[:, 6] = 0
    return [
        topology_of(
            block, name="cross_layer_3_7", layers=(3, 7), kind="cross", examples=10,
            undefined=(2, 8 + 6),
        )
    ]  # fmt: skip


def full() -> list[Topology]:
    return [
        topology_of(
            random_correlations(N, seed=4), name="full", layers=(3, 7), kind="full", examples=10
        )
    ]


def finish(output: Path, topologies: list[Topology]) -> Path:
    """Leave topologies as a finished run does, without a model and figures."""
    config = replace(Config(), model=ModelConfig(id="org/tiny"), output=str(output))
    config.data.source = "words"
    config.average.parts = topologies[0].parts
    folder = RunFolder(config)
    with folder.locked(), folder.claimed([]) as work:
        save_run(work, *topologies)
        (work / "manifest.json").unlink()
        folder.close(
            {
                "ranks": 1, "examples": 10, "tokens": 100, "skipped": {}, "seconds": 1.0,
                "layers": sorted({layer for t in topologies for layer in t.layers}),
                "fingerprints": {}, "topologies": [t.record() for t in topologies],
            }
        )  # fmt: skip
    return folder.path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return finish(tmp_path / "out", layer_parts())


def manifest_of(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "manifest.json").read_text())
    return content


def forge(run: Path, change: Callable[[dict[str, Any]], object] = lambda manifest: None) -> None:
    """Change the manifest, and make its hashes those of what is there now."""
    import hashlib

    manifest = manifest_of(run)
    for name in manifest["files"]:
        manifest["files"][name] = hashlib.sha256((run / name).read_bytes()).hexdigest()
    change(manifest)
    (run / "manifest.json").write_text(json.dumps(manifest | {"sha256": seal(manifest)}))


def set_entries(file: Path, *entries: tuple[int, int, float]) -> None:
    array = np.load(file, allow_pickle=False)
    for row, column, value in entries:
        array[row, column] = value
    np.save(file, array, allow_pickle=False)


def check(*words: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str], list[str]]:
    code = program.main([str(word) for word in words])
    said = capsys.readouterr()
    return code, said.out.splitlines(), said.err.splitlines()


@pytest.mark.parametrize("made", [layer_parts, cross, full])
def test_a_whole_run_is_one_line_and_exit_0(
    made: Callable[[], list[Topology]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finish(tmp_path, made())
    code, out, err = check(run, capsys=capsys)
    assert (code, err) == (0, [])
    [line] = out
    assert line.startswith(f"{run}: OK: ")
    assert line.endswith(" counts and measures")
    assert "sha256" in line


def test_what_was_checked_is_counted(run: Path) -> None:
    assert verify(run).checked == (
        "8 files match their sha256, 2 matrices of kind layer and 2 of standard errors, "
        "counts and measures"
    )


def test_a_truncated_matrix_is_found(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = (run / MATRIX).read_bytes()
    (run / MATRIX).write_bytes(content[:-7])
    code, [line], _ = check(run, capsys=capsys)
    assert code == 1
    assert line.startswith(f"{run}: {MATRIX}: expected sha256 ")
    assert line.endswith(f"({len(content) - 7} bytes)")


@pytest.mark.parametrize("seed", range(30))
def test_any_flipped_bit_of_any_file_is_found(tmp_path: Path, seed: int) -> None:
    run, random = finish(tmp_path, full()), np.random.default_rng(seed)
    name = str(random.choice(sorted(manifest_of(run)["files"])))
    content = bytearray((run / name).read_bytes())
    place = int(random.integers(8 * len(content)))
    content[place // 8] ^= 1 << place % 8
    (run / name).write_bytes(content)
    [fault] = verify(run).faults
    assert fault.startswith(f"{name}: expected sha256 ")


@pytest.mark.parametrize("seed", range(30))
def test_a_flipped_bit_of_the_manifest_is_found_if_it_changes_what_it_says(
    tmp_path: Path, seed: int
) -> None:
    run, random = finish(tmp_path, full()), np.random.default_rng(seed)
    file, before = run / "manifest.json", manifest_of(run)
    content = bytearray(file.read_bytes())
    place = int(random.integers(8 * len(content)))
    content[place // 8] ^= 1 << place % 8
    file.write_bytes(content)
    try:
        same = json.loads(file.read_bytes().decode()) == before
    except ValueError:
        same = False
    assert bool(verify(run).faults) != same


@pytest.mark.parametrize("left", [0, 1, 100])
def test_a_truncated_manifest_is_found(
    run: Path, left: int, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "manifest.json").write_bytes((run / "manifest.json").read_bytes()[:left])
    code, [line], _ = check(run, capsys=capsys)
    assert code == 1
    assert line.startswith(f"{run}: manifest.json is corrupt (it cannot be read: ")


def test_a_run_without_a_manifest_is_found(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "manifest.json").unlink()
    code, out, _ = check(run, capsys=capsys)
    assert (code, out) == (
        1,
        [f"{run}: is not a finished run: it has no manifest.json; give a run's folder"],
    )


def test_a_missing_file_is_found(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "measures.json").unlink()
    code, [line], _ = check(run, capsys=capsys)
    assert code == 1
    assert line.startswith(f"{run}: measures.json: expected a file, found none that can be read")


def test_a_strange_file_is_a_note_and_known_ones_are_not(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("wandb", "page"):
        (run / folder).mkdir()
    for name in ("mine.txt", "report.html", "wandb/log.txt", "page/3_17.html"):
        (run / name).write_text("a word")
    code, [ok, note], _ = check(run, capsys=capsys)
    assert code == 0
    assert ": OK: " in ok
    assert note.startswith(f"{run}: note: mine.txt does not belong to the run: manifest.json does")


# A matrix and its hash changed together: only what it says gives it away.

TAMPERED = [
    (MATRIX, [(3, 7, 0.5)], "symmetry, found"),
    (MATRIX, [(3, 3, 0.5)], "a diagonal of 1 (0 for undefined neurons), found 0.5 at row 3"),
    (MATRIX, [(4, 4, 1)], "a diagonal of 1 (0 for undefined neurons), found 1.0 at row 4"),
    (MATRIX, [(4, 7, 0.1), (7, 4, 0.1)], "0 for undefined neurons, found 0.1 at row 4, column 7"),
    (MATRIX, [(3, 7, 1.5), (7, 3, 1.5)], "from -1 to 1, found 1.5 at row 3, column 7 and 1 more"),
    (MATRIX, [(3, 7, np.nan), (7, 3, np.nan)], "from -1 to 1, found nan at row 3, column 7"),
    (MATRIX, [(3, 7, -np.inf), (7, 3, -np.inf)], "from -1 to 1, found -inf at row 3, column 7"),
    (ERROR, [(3, 7, -0.1), (7, 3, -0.1)], "no negative or infinite error, found -0.1 at row 3"),
    (ERROR, [(3, 7, np.inf), (7, 3, np.inf)], "no negative or infinite error, found inf"),
    (ERROR, [(3, 7, 0.2)], "symmetry, found 0.2 at row 3, column 7"),
    (ERROR, [(3, 7, np.nan)], "symmetry, found nan at row 3, column 7"),
]


@pytest.mark.parametrize("tile", [5, 2048])
@pytest.mark.parametrize(("name", "entries", "words"), TAMPERED, ids=[t[2] for t in TAMPERED])
def test_a_matrix_that_was_changed_with_its_hash_is_found(
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    tile: int,
    name: str,
    entries: list[tuple[int, int, float]],
    words: str,
) -> None:
    monkeypatch.setattr(matrix, "_TILE", tile)
    set_entries(run / name, *entries)
    forge(run)
    faults = verify(run).faults
    assert any(f"{Path(name).name}: expected" in fault and words in fault for fault in faults), (
        faults
    )


def test_a_symmetric_change_within_bounds_is_found_by_the_measures(run: Path) -> None:
    set_entries(run / MATRIX, (3, 7, 0.123), (7, 3, 0.123))
    forge(run)
    faults = verify(run).faults
    assert any(
        fault.startswith("measures.json, layer_3_part1: expected mean_abs_r 0.") for fault in faults
    )


def test_another_matrix_in_the_place_of_one_is_found(run: Path) -> None:
    (run / MATRIX).write_bytes((run / MATRIX.replace("part1", "part2")).read_bytes())
    forge(run)
    assert verify(run).faults


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.eye(N), "expected a matrix of float32, found float64 of shape (12, 12)"),
        (np.ones(3, np.float32), "expected a matrix of float32, found float32 of shape (3,)"),
        (np.ones((5, 6), np.float32), "expected a square, found 5 rows and 6 columns"),
        (np.ones((0, 0), np.float32), "expected a matrix, found an empty one"),
        (np.ones((3, 3), np.float32), "expected undefined neurons from 0 to 2, found [4]"),
    ],
)
def test_a_file_of_another_shape_or_type_is_found(
    run: Path, array: np.ndarray[Any, Any], words: str
) -> None:
    np.save(run / MATRIX, array, allow_pickle=False)
    forge(run)
    assert any(words in fault for fault in verify(run).faults)


@pytest.mark.parametrize(
    "content", [b"", b"no matrix", b"\x93NUMPY\x01\x00", b"PK\x03\x04", b"\x93NUMPY" + b"\xff" * 99]
)
def test_a_file_that_is_no_matrix_is_found(run: Path, content: bytes) -> None:
    (run / MATRIX).write_bytes(content)
    forge(run)
    [fault] = [f for f in verify(run).faults if f.startswith(Path(MATRIX).name)]
    assert "expected a matrix, found a file that is not one (" in fault
    assert "\n" not in fault


def test_objects_in_a_matrix_are_not_unpickled(run: Path) -> None:
    np.save(run / MATRIX, np.array([[print]], dtype=object), allow_pickle=True)
    forge(run)
    assert any("found a file that is not one" in fault for fault in verify(run).faults)


@pytest.mark.parametrize(("row", "column", "value", "words"), [
    (0, 0, 1.5, "from -1 to 1, found 1.5 at row 0, column 0"),
    (0, 0, np.nan, "from -1 to 1, found nan at row 0, column 0"),
    (2, 0, 0.5, "0 for undefined neurons, found 0.5 at row 2, column 0"),
    (0, 6, 0.5, "0 for undefined neurons, found 0.5 at row 0, column 6"),
    (0, 1, 0.5, "expected mean_r "),
])  # fmt: skip
@pytest.mark.parametrize("tile", [3, 2048])
def test_a_changed_matrix_between_layers_is_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tile: int,
    row: int,
    column: int,
    value: float,
    words: str,
) -> None:
    monkeypatch.setattr(matrix, "_TILE", tile)
    run = finish(tmp_path, cross())
    set_entries(run / "topology/cross_layer_3_7_avg_corr.npy", (row, column, value))
    forge(run)
    assert any(words in fault for fault in verify(run).faults)


def first(manifest: dict[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = manifest["topologies"][0]
    return record


FORGED: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda m: m.update(format=1), "expected format 2, found 1"),
    (lambda m: m.pop("seconds"), "expected the key seconds, found none"),
    (lambda m: m.update(examples="ten"), "expected int as examples, found str"),
    (lambda m: m.update(files={"../x": "0"}), "expected files in the run's folder, found ../x"),
    (lambda m: m.update(files={"/x": "0"}), "expected files in the run's folder, found /x"),
    (lambda m: m["files"].pop(MATRIX), f"expected a sha256 of {MATRIX}, found none"),
    (lambda m: m.update(topologies=[3]), "topology 0: expected an object, found int"),
    (lambda m: first(m).pop("kind"), "topology 0: expected the key kind, found none"),
    (lambda m: first(m).update(file="../x.npy"), f"expected {MATRIX} as file of layer_3_part1"),
    (lambda m: first(m).update(examples=6), "expected 10 examples behind layer_3, found 11"),
    (lambda m: m.update(tokens=99), "expected 99 tokens behind layer_3, found 100"),
    (lambda m: m.update(layers=[3, 5]), "expected topologies of layers [3, 5], found them of [3]"),
    (lambda m: m["topologies"].pop(), "expected parts 1 to 2 of layer_3, found [1]"),
    (lambda m: m["topologies"].append(first(m)), "expected topologies with unique names"),
    (lambda m: first(m).update(scheme="fisher"), "expected scheme mean of layer_3_part1, as conf"),
    (lambda m: first(m).update(correlation="spearman"), "expected correlation pearson of layer_3"),
    (lambda m: first(m)["reliability"].update(split_half=2), "expected split_half of layer_3"),
    (lambda m: first(m)["reliability"].update(halves=[{}]), "expected two halves of layer_3_part1"),
    (lambda m: first(m)["reliability"]["null"].update(mean_abs_r=3), "expected a null of layer_3"),
    (lambda m: first(m)["reliability"]["null"]["counts"].pop(), "expected 200 bins of 2 shifts'"),
    (lambda m: first(m)["reliability"].update(null={}), "expected the records of a run, found"),
    (lambda m: first(m).update(name="layer_4_part1", file=MATRIX), "expected topology/layer_4"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "words"), FORGED, ids=[words for _, words in FORGED])
def test_a_manifest_that_was_forged_is_found(
    run: Path, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    forge(run, change)
    found = verify(run).faults
    assert any(fault.startswith("manifest.json") and words in fault for fault in found), found


def test_measures_of_other_topologies_are_found(run: Path) -> None:
    measures = json.loads((run / "measures.json").read_text())
    measures["layer_9"] = measures.pop("layer_3_part1")
    (run / "measures.json").write_text(json.dumps(measures))
    forge(run)
    expected = (
        "measures.json: expected measures of layer_3_part1, layer_3_part2, found layer_3_part2"
    )
    assert verify(run).faults == [f"{expected}, layer_9"]


def test_a_table_unlike_the_measures_is_found(run: Path) -> None:
    table = run / "measures_by_layer.csv"
    mean = json.loads((run / "measures.json").read_text())["layer_3_part1"]["mean_abs_r"]
    table.write_text(table.read_text().replace(str(mean), "0.5"))
    forge(run)
    assert verify(run).faults == [
        f"measures_by_layer.csv, layer_3_part1: expected mean_abs_r {mean}, as the matrix has it, "
        "found 0.5"
    ]


@pytest.mark.parametrize("content", ["", "[]", '{"layer_3_part1": 3, "layer_3_part2": {}}'])
def test_broken_measures_are_a_fault_and_no_traceback(run: Path, content: str) -> None:
    (run / "measures.json").write_text(content)
    forge(run)
    assert verify(run).faults


def test_a_study_without_topologies_has_its_files_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(replace(Config(), output=str(tmp_path)), tmp_path / "study" / "1")
    with folder.locked(), folder.claimed([]) as work:
        (work / "found.txt").write_text("a word")
        folder.close({"seconds": 1.0, "fingerprints": {}})
    code, out, _ = check(folder.path, capsys=capsys)
    assert code == 0
    assert "OK: 3 files match their sha256" in out[0]
    assert "lists no topologies: only files were checked" in out[1]
    (folder.path / "found.txt").write_text("another")
    assert check(folder.path, capsys=capsys)[0] == 1


def test_a_sweep_stands_for_its_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [finish(tmp_path / name, full()) for name in "ab"]
    sweep = tmp_path / "sweep"
    sweep.mkdir()
    jobs = [{"overrides": [], "run": str(run), "error": None} for run in runs]
    jobs.append({"overrides": [], "run": None, "error": "it failed"})
    (sweep / "summary.json").write_text(json.dumps({"jobs": jobs, "varied": []}))
    code, out, _ = check(sweep, runs[0], capsys=capsys)
    assert code == 0
    assert [line.partition(": ")[0] for line in out] == [str(run) for run in runs]
    (sweep / "summary.json").write_text('{"jobs": [], "varied": []}')
    code, _, [line] = check(sweep, capsys=capsys)
    assert code == 2
    assert line == f"probe: {sweep} is a sweep without runs: all its jobs failed"
    for content in ("{", '{"jobs": [3], "varied": []}', "[]"):
        (sweep / "summary.json").write_text(content)
        code, _, [line] = check(sweep, capsys=capsys)
        assert code == 2
        assert line.startswith(f"probe: {sweep / 'summary.json'} is corrupt (")
        assert line.endswith("); run the sweep again")


def test_one_faulty_run_among_several_is_exit_1(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = finish(tmp_path / "good", full())
    (run / "config.yaml").unlink()
    code, [fault, ok], _ = check(run, good, capsys=capsys)
    assert code == 1
    assert "config.yaml" in fault
    assert ": OK: " in ok


@pytest.mark.parametrize("words", [["no/such"], [], ["--fast", "."]])
def test_a_wrong_command_line_is_one_line_and_exit_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, [line] = check(*words, capsys=capsys)
    assert (code, out) == (2, [])
    assert line.startswith("probe: ")


@pytest.mark.processes
def test_it_runs_without_torch(run: Path) -> None:
    script = (
        "import sys; from probe.verify.__main__ import main; code = main(sys.argv[1:]); "
        "sys.exit(code or 3 * bool({'torch', 'transformers', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(run)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
