"""Sweeps: what their jobs note down, and one table and one figure over all of them.

Every job, in whatever process or on whatever machine it runs, writes a note into the sweep's
folder; when Hydra is done, the driver reads the notes. `probe.sweep.summary` is imported only then,
as it brings matplotlib.
"""

from __future__ import annotations

from probe.sweep.jobs import (
    UNFINISHED,
    Job,
    failed,
    make_folder,
    note,
    read_jobs,
    write_jobs,
)

__all__ = ["UNFINISHED", "Job", "failed", "make_folder", "note", "read_jobs", "write_jobs"]
