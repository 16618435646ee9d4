"""Follow-up studies, each on its own: `python -m experiments.NAME`."""
