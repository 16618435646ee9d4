"""The functions that ranks run, by name.

Their module may also have `fetch(payload)`, which is called once per machine before its ranks
start, and downloads everything they need.
"""

from collections.abc import Callable
from importlib import import_module
from typing import TypeAlias

from torch import Tensor

from probe.distributed.ranks import Ranks

Result: TypeAlias = dict[str, Tensor]
# Called with a payload and the process's `Ranks`; only rank 0's result is used.
Work: TypeAlias = Callable[[bytes, Ranks], Result]


def find_work(name: str) -> Work:
    """Import `module:function`."""
    module, function = name.split(":")
    work: Work = getattr(import_module(module), function)
    return work


def fetch(name: str, payload: bytes) -> None:
    """Download what a function needs, if its module has a `fetch`."""
    module = import_module(name.partition(":")[0])
    if hasattr(module, "fetch"):
        module.fetch(payload)
