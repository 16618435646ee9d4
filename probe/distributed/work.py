"""Names of functions that ranks run.

A module of such a function may also have `fetch(payload)`. It is called once on every machine,
before its ranks start to work, and leaves in the cache whatever they would ask a network for.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TypeAlias

from torch import Tensor

from probe.distributed.ranks import Ranks

Result: TypeAlias = dict[str, Tensor]
# Work gets a payload and its place among the ranks; only what rank 0 returns is used.
Work: TypeAlias = Callable[[bytes, Ranks], Result]


def find_work(name: str) -> Work:
    """Import `module:function`."""
    module, function = name.split(":")
    work: Work = getattr(import_module(module), function)
    return work


def fetch(name: str, payload: bytes) -> None:
    """Fetch what work of this name needs, where its module says how."""
    module = import_module(name.partition(":")[0])
    if hasattr(module, "fetch"):
        module.fetch(payload)
