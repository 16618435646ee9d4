"""A run checks itself on its first texts, before it counts."""

from probe.extraction.checks.causal import refuse_two_sided
from probe.extraction.checks.run import Checks, settle
from probe.extraction.checks.sinks import settle_sinks
