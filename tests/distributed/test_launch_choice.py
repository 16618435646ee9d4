"""How many ranks a run has, who starts them, and who leads."""

import signal
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import pytest
import torch

from probe import distributed
from probe.distributed import external
from probe.errors import UserError


@pytest.mark.parametrize(
    ("outer", "requested", "device", "gpus", "ranks"),
    [
        (1, None, "auto", 0, 1),
        (1, None, "auto", 4, 4),
        (1, None, "cuda", 4, 4),
        (1, None, "cuda:1", 4, 1),
        (1, None, "cpu", 4, 1),
        (1, 3, "auto", 4, 3),
        (2, None, "auto", 4, 2),
        (2, 3, "cpu", 0, 2),
    ],
)
def test_there_is_a_rank_for_every_gpu_unless_told_otherwise(
    outer: int, requested: int | None, device: str, gpus: int, ranks: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("WORLD_SIZE", str(outer))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert distributed.n_ranks(requested, device) == ranks


@pytest.mark.parametrize(("gpus", "started"), [(2, True), (3, True), (1, False)])
def test_more_ranks_than_gpus_are_refused(
    gpus: int, started: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched: list[int] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(distributed, "find_device", lambda _: torch.device("cuda"))
    monkeypatch.setattr(distributed, "launch", lambda *given: launched.append(given[2]))
    if started:
        distributed.run_ranks("module:work", b"", 2, "cuda")
    else:
        with pytest.raises(UserError, match=r"^launch\.num_processes=2 is more than the 1 GPUs"):
            distributed.run_ranks("module:work", b"", 2, "cuda")
    assert launched == [2] * started


@pytest.mark.parametrize(
    ("size", "rank", "follows"), [(1, "0", False), (1, "1", False), (2, "0", False), (2, "1", True)]
)
def test_rank_0_of_an_outer_launch_leads_and_ends_it(
    size: int, rank: str, follows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []
    module = import_module("probe.distributed.external")
    monkeypatch.setenv("WORLD_SIZE", str(size))
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setattr(module, "_broadcast", sent.append)
    monkeypatch.setattr(module, "leave", lambda: None)
    assert external.follows() is follows
    external.release()
    assert sent == ([b""] if size == 2 and not follows else [])


def test_a_gpu_that_is_not_there_is_refused_with_those_that_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert distributed.find_device("cuda:2") == torch.device("cuda:2")
    with pytest.raises(UserError, match=r"which has cuda:0 to cuda:2$"):
        distributed.find_device("cuda:3")


def test_ranks_start_deaf_to_ctrl_c_which_their_driver_hears_again() -> None:
    launch = import_module("probe.distributed.launch")

    def handler() -> object:
        with launch._not_interrupted():
            return signal.getsignal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    assert handler() == signal.SIG_IGN
    assert signal.getsignal(signal.SIGINT) is before
    with ThreadPoolExecutor(1) as pool:  # where no handler can be set
        assert pool.submit(handler).result() is before


@pytest.mark.parametrize(("cores", "threads"), [(7, "3"), (1, "1")])
def test_ranks_share_the_cores_that_a_container_has(
    cores: int, threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = import_module("probe.distributed.launch")
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(module, "cores", lambda: cores)
    assert module._environment(0, 2, 1)["OMP_NUM_THREADS"] == threads
