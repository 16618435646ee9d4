"""The same configuration gives the same bytes, and `--rerun` shows it, or says why not."""

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import probe
from probe import api, pipeline
from probe.config import run_folder
from probe.errors import UserError
from probe.runs.manifest import write_manifest
from probe.runs.repeated import compare_runs, differences
from probe.runs.rerun import rerun_config
from probe.verify import verify
from tests import ranks_here
from tests.run_folders import draw_dots

ROOT = Path(probe.__file__).resolve().parent.parent
WORDS = [
    "data.limit=4", "layers=2", "average.parts=2", "average.std=true", "null.shifts=1",
    "measures.rewired=1", "tracking=none", "runtime.device=cpu",
]  # fmt: skip
ARRAYS = [".npy", ".json", ".csv"]


def start(*words: str, here: Path, seed: str) -> subprocess.Popen[str]:
    """Start the program where sets have another order in every process."""
    environment = {
        **os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-m", "probe", *words],
        env=environment, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    said, _ = process.communicate(timeout=240)
    assert process.returncode == code, said
    return said


def in_this_process(here: Path, two: list[str]) -> str:
    """Do as the program does with `--rerun`; return what it says the first time."""
    run, said = api.run(*WORDS, f"output={here / 'outputs'}"), io.StringIO()
    repetition, handler = pipeline.run(rerun_config(run, [])), logging.StreamHandler(said)
    logging.getLogger("probe.runs.repeated").addHandler(handler)
    logging.getLogger("probe.runs.repeated").setLevel(logging.INFO)
    compare_runs(run, repetition)
    logging.getLogger("probe.runs.repeated").removeHandler(handler)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("probe.distributed.launch", ranks_here.launch)
        draw_dots(patch)
        pipeline.run(rerun_config(run, two))
    return said.getvalue()


def in_three_processes(here: Path, two: list[str]) -> str:
    finish(start(*WORDS, here=here, seed="1"))
    [run] = (here / "outputs/tiny/sample").iterdir()
    # Run by run, so that one does not take the other's cores.
    said = finish(start("--rerun", str(run), here=here, seed="2"))
    finish(start("--rerun", str(run), *two, here=here, seed="3"))
    return said


@pytest.fixture(
    scope="module",
    params=[in_this_process, pytest.param(in_three_processes, marks=pytest.mark.processes)],
)
def done(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str, Path]:
    """Do a run, and again on one rank and, elsewhere, on two; return folder, words, folder."""
    here = tmp_path_factory.mktemp("here")
    said = request.param(here, ["launch.num_processes=2", f"output={here / 'two'}"])
    [run] = (here / "outputs/tiny/sample").iterdir()
    [ranks] = (here / "two/tiny/sample").iterdir()
    return run, said, ranks


def results(run: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(run)): file.read_bytes()
        for file in run.rglob("*")
        if file.suffix in ARRAYS and file.name != "manifest.json"
    }


def manifest_of(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "manifest.json").read_text())
    return content


def test_a_repetition_has_the_same_bytes_beside_the_run(done: tuple[Path, str, Path]) -> None:
    run, said, _ = done
    repetition = run.parents[2] / ".rerun" / run.relative_to(run.parents[2])
    assert len(results(run)) == 2 * 2 + 3
    assert results(run) == results(repetition)
    assert said.splitlines()[-1].endswith(
        "matrices identical to the byte: 4 of 4; measures.json: identical"
    )
    assert "changed:" not in said


# In this process figures are one pixel.
@pytest.mark.parametrize(
    "done", [pytest.param(in_three_processes, marks=pytest.mark.processes)], indirect=True
)
def test_figures_have_the_same_bytes_too(done: tuple[Path, str, Path]) -> None:
    run = done[0]
    repetition = run.parents[2] / ".rerun" / run.relative_to(run.parents[2])
    images = [file.relative_to(run) for file in run.rglob("*.png")]
    assert images
    assert all((run / one).read_bytes() == (repetition / one).read_bytes() for one in images)


def test_two_ranks_give_the_same_within_single_precision(done: tuple[Path, str, Path]) -> None:
    run, _, ranks = done
    assert compare_runs(run, ranks)
    assert "ranks 1 → 2" in differences(manifest_of(run), manifest_of(ranks))
    assert verify(ranks).faults == verify(run).faults == []


def test_the_manifest_holds_what_a_repetition_needs(done: tuple[Path, str, Path]) -> None:
    manifest = manifest_of(done[0])
    assert {"torch", "transformers", "tokenizers", "numpy", "scipy", "networkit"} < set(
        manifest["versions"]
    )
    assert manifest["device"].startswith("cpu (")
    assert manifest["threads"] == 1
    assert manifest["fingerprints"].keys() == {"model", "data", "tokens"}
    seeds = [manifest["config"][part]["seed"] for part in ("data", "init", "null", "measures")]
    assert seeds == [0, 0, 0, 0]
    assert "git" in manifest


# What is compared, on folders made by hand.


@pytest.fixture
def pair(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Make two runs, each of one matrix, and of manifests that may differ."""

    def make(first: Any, second: Any, **changed: Any) -> tuple[Path, Path]:
        runs = []
        for name, array, more in (("a", first, {}), ("b", second, changed)):
            run = tmp_path / name / "model" / "data" / "leaf"
            (run / "topology").mkdir(parents=True)
            file = "topology/layer_3_avg_corr.npy"
            np.save(run / file, np.asarray(array, np.float32), allow_pickle=False)
            record = {"file": file, "standard_error_file": None}
            manifest = {"config": {"site": "mlp", "output": name}, "topologies": [record]}
            (run / "manifest.json").write_text(json.dumps(manifest | more))
            (run / "measures.json").write_text("{}")
            runs.append(run)
        return runs[0], runs[1]

    return make


@pytest.mark.parametrize(
    ("second", "same", "words"),
    [
        (
            [[1, 0.5], [0.5, 1]],
            True,
            "matrices identical to the byte: 1 of 1; measures.json: identical",
        ),
        ([[1, 0.5000008], [0.5, 1]], True, "the largest difference is 7.75e-07 in topology/"),
        ([[1, 0.5], [0.499, 1]], False, "the largest difference is 0.001 in topology/"),
        ([[1, np.nan], [0.5, 1]], False, "the largest difference is inf in topology/"),
        ([[1]], False, "layer_3_avg_corr.npy has a different shape"),
    ],
)
def test_matrices_are_compared(
    pair: Callable[..., tuple[Path, Path]],
    caplog: pytest.LogCaptureFixture,
    second: Any,
    same: bool,
    words: str,
) -> None:
    caplog.set_level("INFO", "probe")
    assert compare_runs(*pair([[1, 0.5], [0.5, 1]], second)) is same
    assert words in caplog.text


def test_unknown_standard_errors_are_the_same(pair: Callable[..., tuple[Path, Path]]) -> None:
    assert compare_runs(*pair([[0, np.nan], [0.5, 0]], [[0, np.nan], [0.5000001, 0]]))


def test_other_matrices_are_named(
    pair: Callable[..., tuple[Path, Path]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "probe")
    record = {"file": "topology/full_avg_corr.npy", "standard_error_file": None}
    assert not compare_runs(*pair([[1]], [[1]], topologies=[record]))
    assert "only in one run: topology/full_avg_corr.npy, topology/layer_3" in caplog.text


def test_every_difference_that_matters_is_a_line() -> None:
    before = {
        "git": "1a", "ranks": 1, "device": "cpu (AVX2)", "versions": {"torch": "2.7"},
        "fingerprints": {"model": "commit 1", "data": "ff"}, "config": {"site": "mlp"},
    }  # fmt: skip
    now = before | {
        "git": None, "ranks": 2, "device": "cuda (H)", "versions": {"torch": "2.8", "scipy": "1"},
        "fingerprints": {"model": "commit 2", "data": "ff"},
        "config": {"site": "residual", "output": "there", "figures": {"dpi": 80}}, "seconds": 3,
    }  # fmt: skip
    assert differences(before, now) == [
        "git 1a → none",
        "ranks 1 → 2",
        "device cpu (AVX2) → cuda (H)",
        "fingerprints.model commit 1 → commit 2",
        "versions.torch 2.7 → 2.8",
        "site mlp → residual",
        "versions.scipy none → 1",
    ]


def test_another_definition_of_measures_is_a_sentence() -> None:
    before: dict[str, Any] = {"config": {}}
    now = before | {"measures_definition": 3}
    assert differences(now, now) == []
    assert differences(before, now) == [
        "communities and rewired graphs are measured by definition 3, not by 1 as then, so their "
        "numbers differ; docs/results.md says how"
    ]


# How it is configured.


def test_the_manifest_rules_and_overrides_change_it(done: tuple[Path, str, Path]) -> None:
    run = done[0]
    config = rerun_config(run, [])
    assert run_folder(config) == run.parents[2] / ".rerun" / run.relative_to(run.parents[2])
    assert (config.data.limit, config.average.parts, config.overwrite) == (4, 2, True)
    assert not config.tracking.enabled
    config = rerun_config(run, ["layers=[1,2]", "data.limit=5", "data=text", "data.path=README.md"])
    assert (config.layers.index, config.average.parts, config.subject) == ([1, 2], 2, None)
    assert (config.data.source, config.data.limit) == ("text", 5)
    assert (
        rerun_config(run, ["layers=full", "null.shifts=0", "average.std=false"]).average.halves
        is False
    )
    config = rerun_config(run, ["data.limit=null", "average.std=false", "runtime.device=auto"])
    assert (config.data.limit, config.average.std, config.average.parts) == (None, False, 2)
    assert config.runtime.device == "auto"
    assert rerun_config(run, ["tracking=wandb"]).tracking.enabled


def test_a_manifest_of_an_older_version_has_fewer_keys(
    done: tuple[Path, str, Path], tmp_path: Path
) -> None:
    run = tmp_path / done[0].relative_to(done[0].parents[2])
    manifest = manifest_of(done[0])
    for name in ("sha256", "fingerprints", "versions", "git"):
        del manifest[name]
    del manifest["config"]["null"]
    del manifest["config"]["measures"]["density_rule"]
    run.mkdir(parents=True)
    (run / "manifest.json").write_text(json.dumps(manifest))
    config = rerun_config(run, ["data.shuffle=true", "data.seed=1"])
    assert (config.data.limit, config.data.seed, config.null.shifts) == (4, 1, 0)
    assert config.measures.density_rule == "pairs"


@pytest.mark.parametrize(
    ("change", "words", "said"),
    [
        ({}, ["output={output}"], "the repetition would replace {run}, with which it is"),
        (
            {},
            ["experiment=average_100"],
            "experiment= cannot be laid over another configuration; give its keys",
        ),
        ({}, ["data.limt=3"], "unknown key 'data.limt'; did you mean 'data.limit'"),
        (
            {"config": {"old": 1}},
            [],
            "{run} was configured for probe 0.1.0, not for this version (",
        ),
        (
            {"config": {"subject": None}},
            ["subject=law"],
            "this data set has no subjects; leave subject= out",
        ),
        (
            {"topologies": []},
            [],
            "{run} has no topologies; give the folder of a run of python -m probe",
        ),
    ],
)
def test_a_repetition_that_cannot_be_is_refused(
    done: tuple[Path, str, Path],
    tmp_path: Path,
    change: dict[str, Any],
    words: list[str],
    said: str,
) -> None:
    run = tmp_path / done[0].relative_to(done[0].parents[2])
    run.mkdir(parents=True)
    manifest = manifest_of(done[0])
    for key, value in change.items():
        manifest[key] = value | manifest[key] | value if isinstance(value, dict) else value
    write_manifest(run, manifest)
    with pytest.raises(UserError) as refused:
        rerun_config(run, [word.format(output=tmp_path) for word in words])
    assert str(refused.value).startswith(said.format(run=run))


def test_a_broken_manifest_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(UserError, match=r"manifest\.json is corrupt \(it cannot be read"):
        rerun_config(tmp_path, [])
