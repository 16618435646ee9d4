"""Weights & Biases: the only importer of wandb. A run never fails because of it."""

from probe.tracking.run import Record, track
from probe.tracking.study import track_study
from probe.tracking.sweep import SweepRecord, track_sweep
