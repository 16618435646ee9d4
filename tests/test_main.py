"""The commands of the README, from end to end, as processes of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from probe.api import load_topologies, load_topology
from tests.hub import Hub, hub_environment
from tests.tiny_models import save_tiny

ROOT = Path(__file__).resolve().parent.parent
FEW = ["data.limit=5", "runtime.token_budget=1600", "tracking=none"]
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


def test_the_default_run_needs_no_network_and_is_found_again(tmp_path: Path) -> None:
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    words = [*PROBE, f"output={tmp_path}", "data.limit=5", "tracking.mode=offline"]
    said = end(start(*words, **nowhere))
    run = only_run(tmp_path)
    for line in (f"topologies, measures and figures: {run}", "W&B run: ", "all_layers"):
        assert line in said
    assert list(run.glob("wandb/offline-run-*/*.wandb"))
    before = {file: file.stat().st_mtime_ns for file in run.rglob("*")}
    assert f"{run} is finished already" in end(start(*words))
    assert {file: file.stat().st_mtime_ns for file in run.rglob("*")} == before


def test_local_ranks_torchrun_and_accelerate_give_the_matrices_of_one_process(
    tmp_path: Path,
) -> None:
    sweep = ["-m", "layers=0,3", *FEW]
    launchers = {
        "one": ["-m", "probe", "launch.num_processes=1"],
        "two": ["-m", "probe", "launch.num_processes=2"],
        "torchrun": ["-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "probe"],
        "accelerate": [
            "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
            "-m", "probe",
        ],
    }  # fmt: skip
    started = {
        name: start(*launcher, *sweep, f"output={tmp_path / name}")
        for name, launcher in launchers.items()
    }
    for process in started.values():
        assert end(process).count(" examples, ") >= 2
    found = {name: sorted((tmp_path / name).glob("*/*/*/topology/*.npy")) for name in launchers}
    assert len(found["one"]) == 2
    for name in ("two", "torchrun", "accelerate"):
        ranks = {
            json.loads((f.parents[1] / "manifest.json").read_text())["ranks"] for f in found[name]
        }
        assert ranks == {2}
        for ours, alone in zip(found[name], found["one"], strict=True):
            assert ours.relative_to(tmp_path / name) == alone.relative_to(tmp_path / "one")
            # Equal sums, rounded to float32 when they were written.
            np.testing.assert_allclose(np.load(ours), np.load(alone), atol=1.2e-7, rtol=0)


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


def test_hub_and_local_copies_give_the_same_topology(hub: Path, tmp_path: Path) -> None:
    words = ["model=qwen0.5b", "data=mmlu", "subject=psychology", "tracking=none", "layers=middle"]
    with Hub(hub) as served:
        environment = hub_environment(served, tmp_path / "cache")
        end(start(*PROBE, *words, f"output={tmp_path / 'a'}", **environment))
    local = [
        f"model.path={hub / 'models/Qwen/Qwen2.5-0.5B/main'}",
        f"data.path={hub / 'datasets/cais/mmlu/main'}",
        f"output={tmp_path / 'b'}",
    ]
    end(start(*PROBE, *words, *local, HF_HUB_OFFLINE="1"))
    one, other = (load_topology(only_run(tmp_path / name)) for name in "ab")
    assert one.examples == 8
    assert one.model == "qwen0.5b"
    assert one.subject == "psychology"
    np.testing.assert_array_equal(one.matrix, other.matrix)


def test_a_rank_that_fails_is_named_in_one_line(hub: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.jsonl"
    text.write_text("\n".join(json.dumps({"text": f"some words {i} " * 9}) for i in range(6)))
    model = hub / "models/Qwen/Qwen2.5-0.5B/main"
    spoil = (
        "import sys; from safetensors.torch import load_file, save_file;"
        "w = load_file(sys.argv[1]); k = [k for k in w if 'layers.1.mlp.down' in k][0];"
        "w[k][0, 0] = float('nan'); save_file(w, sys.argv[1], metadata={'format': 'pt'})"
    )
    subprocess.run([sys.executable, "-c", spoil, str(model / "model.safetensors")], check=True)
    words = ["model=local", f"model.path={model}", "data=text", f"data.path={text}", *FEW]
    started = [
        start(*PROBE, *words, f"launch.num_processes={n}", f"output={tmp_path / str(n)}")
        for n in (1, 2)
    ]
    for process in started:
        said = end(process, 1)
        [line] = [line for line in said.splitlines() if "probe: " in line]
        assert "text.jsonl/" in line
        assert "has an activation that is not finite in layer 1" in line
    assert not list(tmp_path.rglob("manifest.json"))


def test_a_wheel_runs_in_another_folder(tmp_path: Path) -> None:
    build = [
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "-t",
        "wheel",
        "-d",
        str(tmp_path / "dist"),
    ]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    assert not (tmp_path / "site" / "experiments").exists()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    words = [*PROBE, *FEW, "layers=2", "average=partitioned"]
    said = end(start(*words, cwd=elsewhere, PYTHONPATH=str(tmp_path / "site")))
    run = only_run(elsewhere / "outputs")
    assert str(run.relative_to(elsewhere)) in said
    assert [t.name for t in load_topologies(run)] == [f"layer_2_part{i}" for i in (1, 2, 3)]
    shutil.rmtree(tmp_path / "site")
