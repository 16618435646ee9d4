"""Checkpoints: every rank keeps its own sums, and the same command goes on from whatever is there.

`file` is one file, `find` what earlier sessions have left, `keep` what a rank does while it works,
`interruption` how a signal is put off until the sums are kept.
"""

from __future__ import annotations

from probe.extraction.checkpoints.find import find
from probe.extraction.checkpoints.keep import Keeper

__all__ = ["Keeper", "find"]
