"""Tokens that rule: how much of a topology is one token of each text, and which hubs are not its.

A token rules its text if its norm is many times the text's median (a massive activation, often an
attention sink). It counts as one token in a rank correlation, and not at all where it is left out.
"""

from dataclasses import asdict
from typing import Any

import numpy as np

from experiments.hubs.bases import KEPT, OBSERVED, Correlated
from experiments.hubs.overlap import agreement, hubs_and_defined
from experiments.hubs.reading import Reading
from experiments.hubs.ruling_tokens import share
from probe.api.parts import Relabelling

Rows = list[dict[str, Any]]


def token_rows(variant: str, reading: Reading) -> Rows:
    """Return the rows that tell how many tokens rule, and how much: one of each layer."""
    rows = []
    for layer, rulings in reading.ruling.items():
        positions = [position for one in rulings for position in one.positions]
        rows.append(
            {
                "variant": variant,
                "layer": layer,
                "texts": len(rulings),
                "largest_norm": float(np.median([one.largest for one in rulings])),
                "ruling_per_text": len(positions) / len(rulings),
                "ruling_first": float(np.mean(np.array(positions) == 0)) if positions else None,
                "strongest_share": share(rulings, reading.draws(layer, OBSERVED)[0].average(0, 1)),
            }
        )
    return rows


def kept_rows(variant: str, reading: Reading, null: Relabelling) -> Rows:
    """Return the rows that compare topologies and hubs with those as published, by layer."""
    rows = []
    for layer in reading.layers:
        whole = reading.draws(layer, OBSERVED)[0]
        hubs, defined = hubs_and_defined(whole)
        for basis in (OBSERVED, *KEPT):
            for tally in reading.draws(layer, basis):
                theirs, still = hubs_and_defined(tally)
                common = null.overlap(hubs, theirs, defined & still)
                if common is not None:  # some neuron varies
                    rows.append(
                        {"variant": variant, "layer": layer, "basis": basis}
                        | _numbers(tally.average(0, 1))
                        | {"r": agreement(whole, tally)}
                        | asdict(common)
                        | {"kept": " ".join(map(str, sorted(hubs & theirs)))}
                    )
    return rows


def _numbers(average: Correlated) -> dict[str, float]:
    """Return mean |r| and the effective dimension n²/‖R‖² over the neurons that vary."""
    defined = average.defined
    matrix = average.matrix[defined][:, defined].cpu().double()
    n = len(matrix)
    off = matrix.abs().sum() - matrix.diagonal().abs().sum()
    return {
        "mean_abs_r": float(off / max(n * (n - 1), 1)),
        "effective_dimension": float(n**2 / (matrix**2).sum()) if n else 0.0,
    }
