"""Ranks that torchrun or `accelerate launch` has started: rank 0 leads, the others follow.

Only rank 0 composes, writes and logs. The others wait for a message with the name of a function
and its payload, run it, and wait again, until an empty message sends them home; so a sweep works.
"""

from __future__ import annotations

import logging
import os
import sys
from importlib import import_module

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.elastic.multiprocessing.errors import get_error_handler

from probe.distributed.ranks import join, leave, this_rank, world_size
from probe.distributed.work import Result, fetch, find_work
from probe.errors import UserError

logger = logging.getLogger(__name__)


def follows() -> bool:
    """Whether this process is a rank other than 0 of an external launch."""
    return world_size() > 1 and os.environ.get("RANK", "0") != "0"


def follow() -> None:
    """Do what rank 0 says until it says to stop."""
    if not _fetches():
        # Read when transformers is imported, which nothing has done so far.
        os.environ["HF_HUB_OFFLINE"] = "1"
    import_module("probe.models")  # takes seconds; meanwhile rank 0 reads the texts
    while message := _broadcast(b""):
        name, device, payload = message.split(b"\0", 2)
        _run(name.decode(), payload, device.decode())
    leave()


def lead(name: str, payload: bytes, device: str) -> Result:
    """Tell the followers to run a function, run it too, and return this rank's result.

    What all need is fetched before: if it cannot be had, the followers never hear of the work.
    """
    fetch(name, payload)
    _broadcast(b"\0".join([name.encode(), device.encode(), payload]))
    return _run(name, payload, device)


def release() -> None:
    """Send the followers home; of no effect unless this is rank 0 of an external launch."""
    if world_size() > 1 and not follows():
        _broadcast(b"")
        leave()


def _fetches() -> bool:
    """Whether this is the rank that fetches for all on its machine."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def _run(name: str, payload: bytes, device: str) -> Result:
    try:
        if follows() and _fetches():
            fetch(name, payload)
        dist.barrier(group=join())
        return find_work(name)(payload, this_rank(device))
    except Exception as error:
        # The other ranks wait inside a collective: only ending the process ends the launch.
        get_error_handler().record_exception(error)
        rank = os.environ["RANK"]
        if isinstance(error, UserError):
            logger.error("probe: %s", error)
        else:
            logger.exception("rank %s of %s failed", rank, world_size())
        logging.shutdown()
        sys.stderr.flush()
        os._exit(1)


def _broadcast(message: bytes) -> bytes:
    """Send bytes from rank 0 to all; the others pass anything and get what rank 0 sent."""
    group = join()
    length = torch.tensor([len(message)])
    dist.broadcast(length, src=0, group=group)
    if not int(length):
        return b""
    blob: Tensor = torch.empty(int(length), dtype=torch.uint8)
    if dist.get_rank() == 0:
        blob = torch.frombuffer(bytearray(message), dtype=torch.uint8)
    dist.broadcast(blob, src=0, group=group)
    return blob.numpy().tobytes()
