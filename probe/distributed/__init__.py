"""Ranks: processes that share an extraction. Only this package imports accelerate."""

import torch

from probe.distributed.dispatch import spread
from probe.distributed.external import follow, follows, lead, release
from probe.distributed.launch import launch
from probe.distributed.ranks import (
    Ranks,
    find_device,
    machine,
    on_one_machine,
    this_rank,
    world_size,
)
from probe.distributed.work import Result, find_work
from probe.errors import UserError


def n_ranks(num_processes: int | None, device: str) -> int:
    """Return the number of ranks of a run: existing ones, those requested, or one per GPU.

    Parameters
    ----------
    num_processes : int or None
        `launch.num_processes`; None means one per GPU, or one without GPUs.
    device : str
        `runtime.device`.
    """
    if world_size() > 1:
        return world_size()
    if num_processes is not None:
        return num_processes
    return max(1, torch.cuda.device_count()) if device in ("auto", "cuda") else 1


def run_ranks(name: str, payload: bytes, num_processes: int | None, device: str) -> Result:
    """Run `module:function` on every rank and return what rank 0 returns.

    A single rank runs in this process; several are started here, unless torchrun or accelerate
    has started them.

    Parameters
    ----------
    name : str
        The function, `module:function`, called with the payload and its `Ranks`.
    payload : bytes
        Its input, the same on all ranks.
    num_processes, device
        See `n_ranks`.

    Raises
    ------
    UserError
        If a rank raised one.
    RankError
        If a rank failed otherwise.
    """
    size = n_ranks(num_processes, device)
    if world_size() > 1:
        return lead(name, payload, device)
    if size > 1:
        if find_device(device).type == "cuda" and size > torch.cuda.device_count():
            raise UserError(
                f"launch.num_processes={size} is more than the {torch.cuda.device_count()} GPUs of "
                "this machine; use at most as many, or runtime.device=cpu"
            )
        return launch(name, payload, size, device)
    return find_work(name)(payload, this_rank(device))
