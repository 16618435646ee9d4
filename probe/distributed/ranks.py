"""The ranks of an extraction: this rank's index and device, collecting sums on rank 0."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

import torch
import torch.distributed as dist
from accelerate import PartialState
from safetensors.torch import load, save
from torch import Tensor

from probe.errors import UserError

# Followers idle while rank 0 computes measures, and shares can be uneven: never time out.
_PATIENCE = timedelta(days=30)
_POLL = 0.05  # seconds


def world_size() -> int:
    """Return the number of processes started by torchrun or accelerate, 1 without either."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def on_one_machine() -> bool:
    """Return whether all ranks see this machine's files; those of a launch over several do not."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) >= world_size()


@cache
def join() -> Any:
    """Join the process group once per process; return the group for sums and messages.

    The group is gloo on all devices: sums are float64 on the host, and one reduction per run costs
    nothing.
    """
    # accelerate has no process groups on Apple's GPUs: such ranks are CPU ranks to it.
    PartialState(cpu=not torch.cuda.is_available(), timeout=_PATIENCE)
    return dist.new_group(backend="gloo", timeout=_PATIENCE)


def leave() -> None:
    """Leave the group together; a rank that left earlier would abort the others."""
    dist.barrier(group=join())
    PartialState().destroy_process_group()


@dataclass
class Ranks:
    """A process among the ranks of an extraction.

    Attributes
    ----------
    index, size : int
        This rank, from 0, and the number of ranks.
    device : torch.device
        Where this rank runs the model.
    """

    index: int
    size: int
    device: torch.device
    _done: tuple[int, int] = (0, 0)

    @property
    def main(self) -> bool:
        """Return whether this is the rank that writes."""
        return self.index == 0

    def count(self, examples: int, tokens: int, run: str) -> tuple[int, int]:
        """Add this rank's finished examples and tokens; return the totals of all ranks."""
        if self.size == 1:
            self._done = self._done[0] + examples, self._done[1] + tokens
            return self._done
        store = dist.distributed_c10d._get_default_store()
        done = store.add(f"probe/{run}/examples", examples)
        return int(done), int(store.add(f"probe/{run}/tokens", tokens))

    def meet(self, run: str, go_on: Callable[[], bool]) -> None:
        """Wait until all ranks are here or `go_on` returns False.

        In a collective, the usual way to wait, Python does not handle signals.
        """
        if self.size == 1:
            return
        store = dist.distributed_c10d._get_default_store()
        store.add(f"probe/{run}/here", 1)
        while go_on() and store.add(f"probe/{run}/here", 0) < self.size:
            time.sleep(_POLL)

    def decide(self, run: str, work: Callable[[], str]) -> str:
        """Return what `work` returns on rank 0, for which the other ranks wait."""
        if self.size == 1:
            return work()
        store = dist.distributed_c10d._get_default_store()
        key = f"probe/{run}/decided"
        if self.main:
            store.set(key, work())
        while not store.check([key]):
            time.sleep(_POLL)
        return str(store.get(key).decode())

    def collect(self, state: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
        """Yield on rank 0 the states of the other ranks, in their order."""
        if self.size == 1:
            return
        group = join()
        if not self.main:
            on_host = {name: tensor.cpu().contiguous() for name, tensor in state.items()}
            blob = torch.frombuffer(bytearray(save(on_host)), dtype=torch.uint8)
            dist.send(torch.tensor([len(blob)]), dst=0, group=group)
            dist.send(blob, dst=0, group=group)
            return
        for rank in range(1, self.size):
            length = torch.zeros(1, dtype=torch.long)
            dist.recv(length, src=rank, group=group)
            blob = torch.empty(int(length), dtype=torch.uint8)
            dist.recv(blob, src=rank, group=group)
            yield load(blob.numpy().tobytes())


def this_rank(device: str) -> Ranks:
    """Return this process's rank and device (`runtime.device`).

    Raises
    ------
    UserError
        If the device is not on this machine.
    """
    if world_size() > 1:
        join()
        index, size = dist.get_rank(), dist.get_world_size()
        local = PartialState().local_process_index
    else:
        index, size, local = 0, 1, 0
    own = find_device(device, local)
    if own.type == "cuda":
        torch.cuda.set_device(own)
    return Ranks(index, size, own)


def find_device(device: str, local: int = 0) -> torch.device:
    """Turn `auto`, `cpu`, `cuda`, `cuda:1`, `mps` into a device, one GPU per local rank."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if device == "auto":
        device = accelerator.type if accelerator is not None else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise UserError(f"runtime.device={device} is not a device; use auto, cpu or cuda") from None
    if chosen.type != "cpu" and (accelerator is None or accelerator.type != chosen.type):
        has = accelerator.type if accelerator is not None else "cpu"
        raise UserError(f"runtime.device={device} is not on this machine, which has {has}")
    if chosen.type == "cuda":
        index = chosen.index if chosen.index is not None else local % torch.cuda.device_count()
        if index >= torch.cuda.device_count():
            raise UserError(
                f"runtime.device={device} is not on this machine, "
                f"which has cuda:0 to cuda:{torch.cuda.device_count() - 1}"
            )
        chosen = torch.device("cuda", index)
    return chosen


def machine(device: str) -> tuple[str, int]:
    """Return the name of this process's device and its number of threads.

    The last bits of float32 sums depend on both.

    Parameters
    ----------
    device : str
        `runtime.device`.
    """
    own = find_device(device)
    name = torch.backends.cpu.get_cpu_capability()
    if own.type == "cuda":
        name = torch.cuda.get_device_name(own)
    return f"{own.type} ({name})", torch.get_num_threads()
