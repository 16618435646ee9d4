"""Any number of ranks gives the same sums, in this process and as processes of their own."""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from probe.api import compose
from probe.api.per_text import planned
from probe.distributed import find_device, n_ranks, run_ranks
from probe.distributed.work import Result
from probe.errors import RankError, UserError
from probe.examples import token_ids
from probe.examples.request import Request
from probe.examples.token_ids import TokenStore
from probe.extraction.extracted import Extracted

EXTRACT = "probe.extraction.loop:extract"
WORK = "tests.distributed.failing_work"
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]


@pytest.fixture(scope="module")
def request_of_seven() -> Request:
    """Seven examples in three batches, so that one of four ranks has none."""
    words = ["data.limit=7", "layers=each", "runtime.token_budget=2400", "data.max_tokens=800",
             "average.halves=false"]  # fmt: skip
    request = planned(compose(*words))[0]
    assert request.n_examples == 7
    assert len(request.batches) == 3
    return request


@pytest.fixture(scope="module")
def alone(request_of_seven: Request) -> Result:
    return run_ranks(EXTRACT, request_of_seven.to_bytes(), 1, "cpu")


def same(ranks: Result, alone: Result) -> None:
    one, many = Extracted.from_tensors(alone), Extracted.from_tensors(ranks)
    assert many.examples == one.examples == 7
    assert many.tokens == one.tokens
    for layer in range(6):
        name = f"matrix/layer_{layer}"
        difference = ranks[name] - alone[name]
        assert difference.abs().max() < 1e-7  # equal sums, rounded to float32


@pytest.mark.usefixtures("one_process")
@pytest.mark.parametrize("size", [2, 3, 4])
def test_any_number_of_ranks_gives_the_same_sums(
    request_of_seven: Request, alone: Result, size: int
) -> None:
    same(run_ranks(EXTRACT, request_of_seven.to_bytes(), size, "cpu"), alone)


@pytest.mark.processes
def test_processes_give_the_same_sums_too(
    request_of_seven: Request, alone: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Token ids in a file, as those of many texts.
    monkeypatch.setattr(token_ids, "_HELD", 100)
    store = TokenStore(str(tmp_path))
    batches = [
        replace(batch, ids=[store.add(ids) for ids in batch.ids])
        for batch in request_of_seven.batches
    ]
    payload = replace(request_of_seven, batches=batches).to_bytes()
    assert len(payload) < len(request_of_seven.to_bytes()) - 4 * int(alone["counts"][1])
    (tmp_path / "payload").write_bytes(payload)
    with socket.create_server(("127.0.0.1", 0)) as free:
        meeting = f"127.0.0.1:{free.getsockname()[1]}"
    # As on two machines that meet, each with a rank.
    machines = [
        subprocess.Popen(
            [*TORCHRUN, "--nnodes", "2", "--nproc-per-node", "1", "--local-addr", "127.0.0.1",
             "--rdzv-backend", "c10d", "--rdzv-endpoint", meeting,
             "-m", "tests.distributed.extract_under_torchrun",
             str(tmp_path / "payload"), str(tmp_path / "result")],
            stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    launched = run_ranks(EXTRACT, payload, 4, "cpu")
    for machine in machines:
        _, said = machine.communicate(timeout=120)
        assert machine.returncode == 0, said
    for ranks in (launched, load_file(tmp_path / "result")):
        same(ranks, alone)


def collect_and_count(ranks: int) -> None:
    result = run_ranks(f"{WORK}:add_up", b"10", ranks, "cpu")
    assert result["sum"] == sum(range(10, 10 + ranks))
    assert result["done"].tolist() == [ranks, 100 * ranks]


@pytest.mark.usefixtures("one_process")
@pytest.mark.parametrize("ranks", [1, 2, 5])
def test_ranks_collect_and_count_together(ranks: int) -> None:
    collect_and_count(ranks)


@pytest.mark.processes
@pytest.mark.usefixtures("warm_ranks")
def test_processes_collect_and_count_together() -> None:
    collect_and_count(2)


@pytest.mark.processes
@pytest.mark.usefixtures("warm_ranks")
@pytest.mark.parametrize(
    ("way", "error", "message"),
    [
        ("user", UserError, "^example 17 is not finite; leave it out$"),
        ("raise", RankError, "^rank 1 of 2: ArithmeticError: a bug"),
        ("kill", RankError, r"^rank 1 of 2: was killed by signal 9 \(out of memory\?\)"),
        ("exit", RankError, "^rank 1 of 2: exit 3"),
    ],
)
def test_a_rank_that_fails_ends_the_run_with_its_own_error(
    way: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run_ranks(f"{WORK}:fail", way.encode(), 2, "cpu")


@pytest.mark.processes
def test_no_rank_outlives_its_driver(tmp_path: Path) -> None:
    program = (
        "from probe.distributed import run_ranks;"
        f"run_ranks('{WORK}:wait', {str(tmp_path).encode()!r}, 2, 'cpu')"
    )
    driver = subprocess.Popen([sys.executable, "-c", program])
    children = _wait_for(lambda: [int(f.name) for f in tmp_path.iterdir()], count=2)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    _wait_for(lambda: [pid for pid in children if not _alive(pid)], count=2)


def _wait_for(found: object, count: int) -> list[int]:
    assert callable(found)
    deadline = time.monotonic() + 60
    while len(found()) < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return list(found())


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


def test_ranks_are_one_a_gpu_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert n_ranks(3, "auto") == 3
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert n_ranks(None, "auto") == 4
    assert n_ranks(None, "cpu") == 1
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert n_ranks(None, "cpu") == 2


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: None)
    with pytest.raises(UserError, match=r"runtime.device=cuda is not on this machine"):
        find_device("cuda")
    with pytest.raises(UserError, match=r"runtime.device=gpu is not a device; use auto, cpu"):
        find_device("gpu")
    assert find_device("auto") == torch.device("cpu")
