"""Real processes are killed, ended, broken and hung; what they had kept is there afterwards."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from probe import api
from probe.extraction.checkpoints.file import check
from tests.distributed.test_ranks import _alive
from tests.warm import PIPE, Warm

pytestmark = pytest.mark.processes

WORDS = [
    "data.limit=9", "data.max_tokens=700", "runtime.token_budget=700", "runtime.device=cpu",
    "layers=2", "tracking=none", "measures.rewired=0", "runtime.checkpoint_minutes=0",
]  # fmt: skip


class Program:
    """The program with a fault, in a folder of its own."""

    def __init__(self, warm: Warm, folder: Path, fault: str, *words: str) -> None:
        self.folder = folder
        self.process = warm.Popen(
            [sys.executable, "-m", "benchmarks.fault_injection", *WORDS, *words,
             f"output={folder / 'out'}"],
            env=os.environ | {"FAULT": fault, "HERE": str(folder)}, stderr=PIPE,
        )  # fmt: skip

    def end(self) -> tuple[int, str]:
        """Wait for it, and see that it left no process behind and no file half written."""
        _, said = self.process.communicate(timeout=120)
        assert "Traceback" not in said
        assert list(self.folder.rglob("*.part")) == []
        deadline = time.monotonic() + 20
        while any(_alive(pid) for pid in ranks_of(self.folder)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return self.process.returncode, said

    @property
    def batches(self) -> dict[str, list[int]]:
        """Batches in the checkpoints, by file."""
        return {
            file.name.removesuffix(".safetensors"): check(file)[0].batches
            for file in sorted(self.folder.glob("out/**/*.unfinished/.checkpoints/*"))
        }


def ranks_of(folder: Path) -> Iterator[int]:
    """Find the processes that a run of this folder has started."""
    for place in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"HERE={folder}".encode() in place.read_bytes().split(b"\0"):
                yield int(place.parent.name)
        except OSError:
            continue


@pytest.fixture(scope="module")
def started(
    program: Warm, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Program]]:
    """Start the first process of each story, side by side."""
    stories = {
        "killed": ("0:3:SIGKILL",),
        "hung": ("1:1:hang", "launch.num_processes=2", "runtime.checkpoint_minutes=60"),
        "sweep": ("0:2:SIGTERM", "-m", "layers=2,3"),
    }
    programs = {
        name: Program(program, tmp_path_factory.mktemp(name), *story)
        for name, story in stories.items()
    }
    yield programs
    for one in programs.values():
        one.process.kill()


@pytest.mark.usefixtures("warm_ranks")
def test_a_run_that_is_killed_goes_on_with_other_ranks(
    started: dict[str, Program], caplog: pytest.LogCaptureFixture
) -> None:
    first = started["killed"]
    assert first.end()[0] == -signal.SIGKILL
    assert first.batches == {"session1-rank0": [0, 1, 2]}
    caplog.set_level("INFO", logger="probe")
    run = api.run(*WORDS, f"output={first.folder / 'out'}", "launch.num_processes=2")
    assert any("examples are already done" in line for line in caplog.messages)
    [found], [expected] = api.load_topologies(run), api.extract(*WORDS)
    np.testing.assert_allclose(found.matrix, expected.matrix, atol=1.2e-7, rtol=0)
    assert not list(first.folder.rglob("*.safetensors"))


def test_sigterm_ends_a_sweep_whose_pass_keeps_its_sums(started: dict[str, Program]) -> None:
    program = started["sweep"]
    code, said = program.end()
    assert code == 143
    assert said.splitlines()[-1] == "probe: terminated; the same command resumes it"
    assert program.batches == {"session1-rank0": [0, 1, 2]}
    assert "run 1 of the sweep" in said
    assert "run 2 of the sweep" not in said


def test_ctrl_c_ends_a_rank_that_hangs_while_others_keep_their_sums(
    started: dict[str, Program],
) -> None:
    program = started["hung"]
    deadline = time.monotonic() + 100
    while not all((program.folder / name).exists() for name in ("0", "1")):
        assert time.monotonic() < deadline
        assert program.process.poll() is None
        time.sleep(0.1)
    program.process.send_signal(signal.SIGINT)
    code, said = program.end()
    assert code == 130
    line = "probe: interrupted; the same command resumes it"
    assert said.splitlines()[-1] == line
    assert program.batches.keys() == {"session1-rank0"}
