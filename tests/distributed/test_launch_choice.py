"""How many ranks a run has, who starts them, and who leads."""

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
