"""Neural topology of language models: correlations between hidden-state neurons."""

__version__ = "0.1.0"
