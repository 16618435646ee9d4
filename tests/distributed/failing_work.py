"""Work that goes wrong in every way that a rank can."""

import os
import signal
import time
from pathlib import Path

import torch
from torch import Tensor

from probe.distributed import Ranks
from probe.errors import UserError


def add_up(payload: bytes, ranks: Ranks) -> dict[str, Tensor]:
    """Collect every rank's number, and count with all."""
    own = {"sum": torch.tensor(float(payload) + ranks.index)}
    done, tokens = ranks.count(1, 100, "run")
    assert 1 <= done <= ranks.size
    assert 100 <= tokens <= 100 * ranks.size
    total = own["sum"] + sum(state["sum"] for state in ranks.collect(own))
    # Nobody is behind the collection: all have counted.
    return {"sum": total, "done": torch.tensor(ranks.count(0, 0, "run"))}


def fail(payload: bytes, ranks: Ranks) -> dict[str, Tensor]:
    """Let rank 1 fail in a given way while the others wait for it."""
    if ranks.index == 1:
        if payload == b"user":
            raise UserError("example 17 is not finite; leave it out")
        if payload == b"raise":
            raise ArithmeticError("a bug")
        if payload == b"kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if payload == b"exit":
            os._exit(3)
    return {"none": torch.zeros(1)} if not list(ranks.collect({})) else {}


def wait(payload: bytes, ranks: Ranks) -> dict[str, Tensor]:
    """Say who is here, and stay."""
    (Path(payload.decode()) / str(os.getpid())).touch()
    time.sleep(600)
    return {}
