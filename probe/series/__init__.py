"""Activation series of every example on disk, written by all ranks, read without torch."""

from probe.series.store import LayerSeries, SeriesStore, StoredExample, open_series
