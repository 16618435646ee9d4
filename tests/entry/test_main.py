"""The commands of the README, from end to end, as processes of their own."""

import json
import os
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from safetensors.torch import load_file, save_file

from probe import api
from probe.api import load_topologies, load_topology
from probe.config import run_folder
from tests.hub import Hub, hub_environment
from tests.tiny_models import save_tiny
from tests.warm import Warm

ROOT = Path(__file__).resolve().parents[2]
QUICK = ["tracking=none", "measures.rewired=0", "runtime.device=cpu"]
FEW = ["data.limit=5", "runtime.token_budget=1600", *QUICK]
PROBE = ["-m", "probe"]
QUIET = {"TRANSFORMERS_VERBOSITY": "error", "OMP_NUM_THREADS": "1"}


def start(*words: str, cwd: Path = ROOT, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=cwd, env=os.environ | QUIET | environment, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def end(process: subprocess.Popen[str], code: int = 0) -> str:
    """Wait for a process and return what it said."""
    out, said = process.communicate(timeout=240)
    assert process.returncode == code, said
    assert "Traceback" not in said
    return out + said


def only_run(output: Path) -> Path:
    [manifest] = output.glob("*/*/*/manifest.json")
    return manifest.parent


@pytest.mark.processes
def test_the_default_run_of_a_wheel_needs_no_network_and_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    build = ["hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run([sys.executable, "-m", *build], cwd=ROOT, check=True, capture_output=True)
    [wheel] = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    assert not (tmp_path / "site" / "experiments").exists()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {
        "PYTHONPATH": str(tmp_path / "site"),
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }
    words = ["data.limit=5", "tracking.mode=offline"]
    said = end(start(*PROBE, *words, cwd=elsewhere, **environment))
    run = only_run(elsewhere / "outputs")
    place = run.relative_to(elsewhere)
    for line in (f"topologies, measures and figures: {place}", "W&B run: ", "all_layers"):
        assert line in said
    assert [t.name for t in load_topologies(run)] == ["all_layers"]
    assert list(run.glob("wandb/offline-run-*/*.wandb"))
    before = {file: file.stat().st_mtime_ns for file in run.rglob("*")}
    # By the clone, too: its model, text and names are the wheel's.
    monkeypatch.chdir(elsewhere)
    caplog.set_level("INFO", logger="probe")
    api.run(*words)
    assert f"{place} is already finished" in caplog.text
    assert {file: file.stat().st_mtime_ns for file in run.rglob("*")} == before


# Slow to import, and of no use for text that comes with the program and no W&B.
IDLE = {
    "datasets", "fsspec", "IPython", "matplotlib.pyplot", "nilearn", "numba", "pandas", "pyarrow",
    "scipy.stats", "sklearn", "torchvision", "wandb",
}  # fmt: skip
RUN = """
import gc, json, sys
from probe.__main__ import main
try:
    main()
finally:
    print(json.dumps([sorted(sys.modules), gc.isenabled(), gc.get_freeze_count()]))
"""


@pytest.mark.processes
def test_a_run_imports_no_more_than_it_needs(tmp_path: Path) -> None:
    said = end(start("-c", RUN, *FEW, f"output={tmp_path}"))
    [found] = [line for line in said.splitlines() if line.startswith("[[")]
    modules, collects, left_out = json.loads(found)
    assert {"torch", "transformers"} <= set(modules)
    assert set(modules) & IDLE == set()
    assert collects
    assert left_out > 100_000, "the collector goes through the libraries"


@pytest.mark.processes
def test_torchrun_and_accelerate_give_the_matrices_of_one_process(tmp_path: Path) -> None:
    """One is a sweep, so that followers come back. Local ranks: `test_ranks.py`."""
    launchers = {
        "torchrun": [
            "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "probe",
            "-m", "layers=0,3",
        ],
        "accelerate": [
            "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
            "-m", "probe", "layers=3",
        ],
    }  # fmt: skip
    started = {
        name: start(*launcher, *FEW, f"output={tmp_path / name}")
        for name, launcher in launchers.items()
    }
    expected = api.extract("layers=[0,3]", *FEW, "launch.num_processes=1")
    for name, process in started.items():
        jobs = expected if name == "torchrun" else expected[1:]
        assert end(process).count(" examples, ") >= len(jobs)
        for topology in jobs:
            words = [f"layers={topology.layer}", *FEW, f"output={tmp_path / name}"]
            run = run_folder(api.compose(*words))
            assert json.loads((run / "manifest.json").read_text())["ranks"] == 2
            # Equal sums, rounded to float32 when they were written.
            found = load_topology(run, topology.name)
            np.testing.assert_allclose(found.matrix, topology.matrix, atol=1.2e-7, rtol=0)


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """Qwen2.5-0.5B, made small, and the psychology of MMLU, as the Hub lays them out."""
    root = tmp_path / "hub"
    save_tiny("qwen2", root / "models/Qwen/Qwen2.5-0.5B/main")
    for subject in ("high_school_psychology", "professional_psychology"):
        folder = root / "datasets/cais/mmlu/main" / subject
        folder.mkdir(parents=True)
        rows = [
            {
                "question": f"Which number of {subject} is the answer to question {i}?",
                "subject": subject,
                "choices": ["one", "two", f"number {i}", "none of these at all"],
                "answer": 2,
            }
            for i in range(4)
        ]
        pyarrow.parquet.write_table(
            pa.Table.from_pylist(rows), folder / "test-00000-of-00001.parquet"
        )
    (root / "datasets/cais/mmlu/main/README.md").write_text("---\nlicense: mit\n---\n")
    return root


def test_hub_and_local_copies_give_the_same_topology(
    hub: Path, libraries: Warm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["model=qwen0.5b", "data=mmlu", "subject=psychology", "layers=middle", *QUICK]
    with Hub(hub) as served:
        environment = hub_environment(served, tmp_path / "cache")
        libraries.run(
            [sys.executable, *PROBE, *words, f"output={tmp_path / 'out'}"],
            env=environment | QUIET, cwd=ROOT,
        )  # fmt: skip
    monkeypatch.setattr(socket.socket, "connect", refuse)
    [other] = api.extract(
        *words,
        f"model.path={hub / 'models/Qwen/Qwen2.5-0.5B/main'}",
        f"data.path={hub / 'datasets/cais/mmlu/main'}",
    )
    one = load_topology(only_run(tmp_path / "out"))
    assert one.examples == 8
    assert one.model == "qwen0.5b"
    assert one.subject == "psychology"
    np.testing.assert_array_equal(one.matrix, other.matrix)


def refuse(*_: object) -> None:
    raise AssertionError("local copies were asked for")


@pytest.fixture
def failing(hub: Path, tmp_path: Path) -> list[str]:
    """Say what to read with a model whose second block gives an activation that is not finite."""
    text = tmp_path / "text.jsonl"
    text.write_text("\n".join(json.dumps({"text": f"some words {i} " * 9}) for i in range(6)))
    model = hub / "models/Qwen/Qwen2.5-0.5B/main"
    weights = load_file(model / "model.safetensors")
    weights["model.layers.1.mlp.down_proj.weight"][0, 0] = float("nan")
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    words = ["model=local", f"model.path={model}", "data=text", f"data.path={text}", *FEW]
    return [*words, f"output={tmp_path / 'out'}"]


NOT_FINITE = "has an activation that is not finite in layer 1"


@pytest.mark.processes
def test_a_rank_that_fails_is_named_in_one_line(
    failing: list[str], program: Warm, tmp_path: Path
) -> None:
    words = [sys.executable, *PROBE, *failing, "launch.num_processes=2"]
    ended = program.run(words, env=os.environ | QUIET, check=False)
    assert ended.returncode == 1
    [line] = [line for line in (ended.stdout + ended.stderr).splitlines() if "probe: " in line]
    assert "text.jsonl/" in line
    assert NOT_FINITE in line
    assert not list(tmp_path.rglob("manifest.json"))


@pytest.mark.usefixtures("one_process")
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_text_that_fails_is_named(failing: list[str], ranks: int, tmp_path: Path) -> None:
    with pytest.raises(api.UserError, match=rf"text.jsonl/.* {NOT_FINITE}"):
        api.run(*failing, f"launch.num_processes={ranks}")
    assert not list(tmp_path.rglob("manifest.json"))
