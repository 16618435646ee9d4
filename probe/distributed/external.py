"""Ranks started by torchrun or `accelerate launch`: rank 0 leads, the others follow.

Only rank 0 composes, writes and logs. The others wait for a message with a function's name and
payload, run it and wait again, until an empty message ends them; so a sweep works.
"""

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
from probe.system.importing import importing

logger = logging.getLogger(__name__)


def follows() -> bool:
    """Return whether this process is a rank other than 0 of an external launch."""
    return world_size() > 1 and os.environ.get("RANK", "0") != "0"


def follow() -> None:
    """Run the functions that rank 0 names until it ends the ranks."""
    if not _fetches():
        # Read when transformers is imported, which has not happened yet.
        os.environ["HF_HUB_OFFLINE"] = "1"
    with importing("probe.models"):  # takes seconds; meanwhile rank 0 reads the texts
        import_module("probe.models")
    while message := _broadcast(b""):
        name, device, payload = message.split(b"\0", 2)
        _run(name.decode(), payload, device.decode())
    leave()


def lead(name: str, payload: bytes, device: str) -> Result:
    """Run a function on all ranks, and return this rank's result.

    Downloads come first: if they fail, the followers are not started.
    """
    fetch(name, payload)
    _broadcast(b"\0".join([name.encode(), device.encode(), payload]))
    return _run(name, payload, device)


def release() -> None:
    """End the followers, if this is rank 0 of an external launch."""
    if world_size() > 1 and not follows():
        _broadcast(b"")
        leave()


def _fetches() -> bool:
    """Return whether this rank downloads for all on its machine."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def _run(name: str, payload: bytes, device: str) -> Result:
    try:
        if follows() and _fetches():
            fetch(name, payload)
        dist.barrier(group=join())
        return find_work(name)(payload, this_rank(device))
    except Exception as error:
        # The other ranks wait inside a collective: only the end of the process ends the launch.
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
    """Return on every rank the bytes that rank 0 passes; the others may pass anything."""
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
