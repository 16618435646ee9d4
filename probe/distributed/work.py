"""Names of functions that ranks run, and the running of one."""

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
