"""A run checks itself on its first texts, before it counts."""

from probe.extraction.checks.run import Checks, settle
