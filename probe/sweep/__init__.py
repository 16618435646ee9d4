"""Sweeps: every job is recorded, and one table and one figure summarise them.

Every job, in whatever process or on whatever machine, writes a record into the sweep's folder; when
Hydra is done, the driver reads the records. `probe.sweep.summary` is imported only then, because it
imports matplotlib.
"""
