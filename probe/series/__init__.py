"""Activation series of every example on disk, written by all ranks, read without torch."""

from probe.series.store import LayerSeries, SeriesStore, open_series
from probe.series.stored import StoredExample
