"""Check the integrity of a finished run: files, matrices, numbers. Uses NumPy, not torch."""

from probe.verify.run import Findings, runs_of, verify
