"""Matched pairs of pretrained and random weights in a sweep."""

from collections.abc import Sequence
from pathlib import Path

from probe.runs.load import load_topology
from probe.runs.measures_files import read_numbers
from probe.sweep.jobs import Job
from probe.topology import Topology


def matched_pairs(
    jobs: Sequence[Job], varied: Sequence[str], most: int = 4
) -> list[tuple[str, Topology]]:
    """Load topologies of pretrained weights, each followed by that of random weights, with labels.

    Parameters
    ----------
    jobs : sequence of Job
        Jobs of a sweep; two match if they differ only in `init`.
    varied : sequence of str
        Keys that differ between the jobs.
    most : int
        Topologies to load; of more, those evenly spaced from the first to the last.
    """
    others = [key for key in varied if key != "init"]
    runs: dict[str, dict[str, Path]] = {}
    for job in jobs:
        if job.run is not None:
            same = " ".join(job.values.get(key, "") for key in others)
            runs.setdefault(same, {}).setdefault(job.values.get("init", ""), Path(job.run))
    pairs = [
        (both, name, same)
        for same, both in runs.items()
        if {"pretrained", "random"} <= both.keys()
        for name in read_numbers(both["pretrained"])
    ]
    n = min(most // 2, len(pairs))
    chosen = [pairs[place * (len(pairs) - 1) // max(1, n - 1)] for place in range(n)]
    return [
        (f"{init} {name}\n{same}".strip(), load_topology(both[init], name))
        for both, name, same in chosen
        for init in ("pretrained", "random")
    ]
