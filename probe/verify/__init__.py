"""Check that a finished run is whole: its files, its matrices, its numbers. NumPy, no torch."""

from __future__ import annotations

from probe.verify.run import Findings, runs_of, verify

__all__ = ["Findings", "runs_of", "verify"]
