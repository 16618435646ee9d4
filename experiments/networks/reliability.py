"""Are the networks the same elsewhere? Over starts, solvers, halves, texts and data sets."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.networks.finding import Found
from experiments.networks.masks import Masks, sizes
from experiments.networks.matching import stability
from experiments.networks.recurrence import iou, permuted, recurrence
from experiments.networks.settings import Networks
from experiments.networks.signals import Matrix

Row = dict[str, Any]
Layers = NDArray[np.int64]
# Draws of the null model of |r| between halves, whose spread is small over so many units.
_DRAWS = 20


def network_rows(
    found: Found,
    layers: Layers,
    solver: Matrix | None,
    half: Found | None,
    recurring: Sequence[Row],
    settings: Networks,
) -> list[Row]:
    """Return a row for each network: size, layers, stability and recurrence beside their nulls.

    Parameters
    ----------
    found : Found
        The networks.
    layers : ndarray of int, shape (n_units,)
        The layer of every unit.
    solver : ndarray of float64, shape (k, n_units), optional
        Maps of the other solver.
    half : Found, optional
        Networks of the other half of the documents.
    recurring : sequence of dict
        Of `recurrence_rows`, in the texts of the other half.
    """
    by_layer, names = sizes(found.masks, layers), np.unique(layers)
    starts = _mean(found.maps, found.others)
    by_solver = _mean(found.maps, [] if solver is None else [solver])
    halves = _mean(found.maps, [] if half is None else [half.maps])
    null = [None] * len(found.maps) if half is None else _half_null(found, half, layers, settings)
    rows = []
    for number, own in enumerate(by_layer):
        largest = int(own.argmax())
        again = recurring[number] if recurring else {}
        rows.append(
            {
                "network": number,
                "units": int(own.sum()),
                "share": float(own.sum() / len(layers)),
                "layers": int((own > 0).sum()),
                "largest_layer": int(names[largest]) if own.sum() else None,
                "in_largest_layer": int(own[largest]),
                "stability_starts": starts[number],
                "stability_solver": by_solver[number],
                "stability_halves": halves[number],
                "stability_halves_null": null[number],
                **{name: again.get(name) for name in ("recurrence", "null", "null_high")},
                "below_null": again.get("below_null"),
            }
        )
    return rows


def recurrence_rows(
    where: str, found: Found, others: Sequence[Masks], layers: Layers, settings: Networks
) -> list[Row]:
    """Return for each network how many of others' networks it recurs in, beside its null model.

    Parameters
    ----------
    where : str
        What the others are networks of.
    others : sequence of ndarray of bool, each of shape (k', n_units)
        Networks of texts, or of a data set.
    """
    if not others:
        return []
    counted = recurrence(
        found.masks, others, layers, settings.recurs, settings.permutations, settings.seed
    )
    best = np.max([iou(found.masks, masks).max(axis=1) for masks in others], axis=0)
    return [
        {
            "network": number,
            "where": where,
            "sets": len(others),
            "recurrence": int(counted.counts[number]),
            "null": float(counted.null[number]),
            "null_low": float(counted.low[number]),
            "null_high": float(counted.high[number]),
            "below_null": bool(counted.within_null[number]),
            "best_iou": float(best[number]),
        }
        for number in range(len(found.masks))
    ]


def _mean(maps: Matrix, others: Sequence[Matrix]) -> list[float | None]:
    """Return the mean |r| of each network's match in other decompositions; None without any."""
    if not others:
        return [None] * len(maps)
    return list(np.nanmean(stability(maps, others), axis=1).tolist())


def _half_null(found: Found, half: Found, layers: Layers, settings: Networks) -> list[float]:
    """Return the mean |r| of the matches of maps that are permuted within layers."""
    rng = np.random.default_rng(settings.seed)
    draws = [
        stability(found.maps[:, permuted(layers, rng)], [half.maps])[:, 0]
        for _ in range(min(_DRAWS, settings.permutations))
    ]
    return list(np.nanmean(draws, axis=0).tolist())
