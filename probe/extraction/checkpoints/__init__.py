"""Checkpoints: every rank saves its own sums, and the same command resumes from them.

`file` is one file, `find` chooses among those of earlier sessions, `keep` saves them during a run,
`interruption` defers a signal until the sums are saved.
"""

from probe.extraction.checkpoints.find import find
from probe.extraction.checkpoints.keep import Keeper
