"""The ranks that share an extraction: who am I, which device is mine, hand sums to rank 0."""

from __future__ import annotations

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

# Followers idle while rank 0 computes measures, and shares can be uneven: never time out on that.
_PATIENCE = timedelta(days=30)
_POLL = 0.05  # seconds


def world_size() -> int:
    """Count the processes that torchrun or accelerate has started, 1 without either."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@cache
def join() -> Any:
    """Join the process group once a process; return the group that carries sums and messages.

    The group is gloo whatever the devices are: sums are float64 on the host, and one reduction a
    run costs nothing.
    """
    # accelerate knows no process groups on Apple's GPUs: to it such ranks are CPU ranks.
    PartialState(cpu=not torch.cuda.is_available(), timeout=_PATIENCE)
    return dist.new_group(backend="gloo", timeout=_PATIENCE)


def leave() -> None:
    """Leave the group together, or a rank that is quicker aborts the others."""
    dist.barrier(group=join())
    PartialState().destroy_process_group()


@dataclass
class Ranks:
    """A process among the ranks of an extraction.

    Attributes
    ----------
    index, size : int
        This rank, from 0, and how many there are.
    device : torch.device
        Where this rank runs the model.
    """

    index: int
    size: int
    device: torch.device
    _done: tuple[int, int] = (0, 0)

    @property
    def main(self) -> bool:
        """Whether this is the rank that writes."""
        return self.index == 0

    def count(self, examples: int, tokens: int, run: str) -> tuple[int, int]:
        """Report examples and tokens done here; return how many all ranks have done so far."""
        if self.size == 1:
            self._done = self._done[0] + examples, self._done[1] + tokens
            return self._done
        store = dist.distributed_c10d._get_default_store()
        done = store.add(f"probe/{run}/examples", examples)
        return int(done), int(store.add(f"probe/{run}/tokens", tokens))

    def meet(self, run: str, go_on: Callable[[], bool]) -> None:
        """Wait until all ranks are here, asking meanwhile whether to go on.

        Inside a collective, where ranks would wait otherwise, Python hears no signal.
        """
        if self.size == 1:
            return
        store = dist.distributed_c10d._get_default_store()
        store.add(f"probe/{run}/here", 1)
        while go_on() and store.add(f"probe/{run}/here", 0) < self.size:
            time.sleep(_POLL)

    def collect(self, state: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
        """Yield on rank 0 what every other rank passes, in the order of the ranks."""
        if self.size == 1:
            return
        group = join()
        if not self.main:
            blob = torch.frombuffer(bytearray(save(_on_host(state))), dtype=torch.uint8)
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
    """Work out this process's rank and device (`runtime.device`).

    Raises
    ------
    UserError
        If the device is not on this machine.
    """
    if world_size() > 1:
        join()
        index, size, local = (
            dist.get_rank(),
            dist.get_world_size(),
            PartialState().local_process_index,
        )
    else:
        index, size, local = 0, 1, 0
    found = find_device(device, local)
    if found.type == "cuda":
        torch.cuda.set_device(found)
    return Ranks(index, size, found)


def find_device(device: str, local: int = 0) -> torch.device:
    """Turn `auto`, `cpu`, `cuda`, `cuda:1`, `mps` into a device, one GPU for each local rank."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if device == "auto":
        device = accelerator.type if accelerator is not None else "cpu"
    try:
        found = torch.device(device)
    except RuntimeError:
        raise UserError(f"runtime.device={device} is no device; take auto, cpu or cuda") from None
    if found.type != "cpu" and (accelerator is None or accelerator.type != found.type):
        has = accelerator.type if accelerator is not None else "cpu"
        raise UserError(f"runtime.device={device} is not on this machine, which has {has}")
    if found.type == "cuda":
        index = found.index if found.index is not None else local % torch.cuda.device_count()
        if index >= torch.cuda.device_count():
            raise UserError(
                f"runtime.device={device} is not on this machine, "
                f"which has cuda:0 to cuda:{torch.cuda.device_count() - 1}"
            )
        found = torch.device("cuda", index)
    return found


def machine(device: str) -> tuple[str, int]:
    """Name the device of this process, and count its threads.

    Sums of single precision depend on both, in their last bits.

    Parameters
    ----------
    device : str
        `runtime.device`.
    """
    found = find_device(device)
    name = torch.backends.cpu.get_cpu_capability()
    if found.type == "cuda":
        name = torch.cuda.get_device_name(found)
    return f"{found.type} ({name})", torch.get_num_threads()


def _on_host(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.cpu().contiguous() for name, tensor in state.items()}
