"""Studies built on `probe.api`, each run by `python -m experiments.NAME`."""
