"""Networks of tasks: the units that differ, at a false discovery rate or as a share of all."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.task_mapping.agreement import top_share
from experiments.task_mapping.inference import active, bonferroni_threshold, fdr_threshold
from experiments.task_mapping.mapping import Maps
from experiments.task_mapping.reading import Units
from experiments.task_mapping.settings import TaskMapping
from probe.api import atomic_write

Row = dict[str, Any]
Masks = NDArray[np.bool_]


def fdr_networks(maps: Maps, rate: float) -> Masks:
    """Return the units of every map at a false discovery rate, shape (n_maps, n_units)."""
    return np.stack([active(z, fdr_threshold(z, rate)) for z in maps])


def top_networks(maps: Maps, share: float) -> Masks:
    """Return the units of largest |z| of every map, shape (n_maps, n_units).

    A share of those that differ at all: none is there by its place among equal ones.

    Examples
    --------
    >>> top_networks(np.float32([[0, 0, 0, 3, -1]]), 0.5).tolist()
    [[False, False, False, True, False]]
    """
    return np.stack([top_share(np.where(differs(z), z, np.nan), share) for z in maps])


def differs(z: Maps) -> Masks:
    """Return which units have a value, and not exactly 0."""
    return np.asarray(np.isfinite(z) & (z != 0))


def network_rows(
    tasks: Sequence[str], maps: Maps, units: Units, settings: TaskMapping
) -> list[Row]:
    """Return a row for each task and site: how many units its network has, and where they lie.

    Parameters
    ----------
    tasks : sequence of str
        In the order of the maps.
    maps : ndarray of float32, shape (n_tasks, n_units)
        Over all scans.
    units : Units
        Where every unit is.
    settings : TaskMapping
        Rates and shares.
    """
    rows = []
    fdr, top = fdr_networks(maps, settings.alpha), top_networks(maps, settings.top)
    for task, z, own, largest in zip(tasks, maps, fdr, top, strict=True):
        known = np.isfinite(z)
        bonferroni = active(z, bonferroni_threshold(int(known.sum()), settings.alpha))
        for site in units.sites:
            here = units.site == site
            by_layer = np.bincount(units.layer[here & own], minlength=1)
            rows.append(
                {
                    "task": task,
                    "site": site,
                    "units": int(here.sum()),
                    "left_out": int((here & ~known).sum()),
                    "fdr": int((here & own).sum()),
                    "fdr_share": float((here & own).sum() / max(1, (here & known).sum())),
                    "more_than_off": int((here & own & (z > 0)).sum()),
                    "bonferroni": int((here & bonferroni).sum()),
                    "top": int((here & largest).sum()),
                    "largest_layer": int(by_layer.argmax()) if by_layer.any() else None,
                    "in_largest_layer": int(by_layer.max()),
                }
            )
    return rows


def save_networks(folder: Path, effect: Maps, z: Maps, units: Units, settings: TaskMapping) -> None:
    """Write a file of masks for each site, as `experiments.intervene study.masks=` takes it.

    The first site's is `networks.npz`. A row each task: its mean effect (`maps`), `z`, and its
    network at the false discovery rate.
    """
    masks = fdr_networks(z, settings.alpha)
    for number, site in enumerate(units.sites):
        here = units.site == site
        file = folder / (f"networks_{site}.npz" if number else "networks.npz")
        with atomic_write(file) as unfinished, unfinished.open("wb") as stream:
            np.savez_compressed(
                stream,
                maps=effect[:, here],
                z=z[:, here],
                masks=masks[:, here],
                layer=units.layer[here],
                neuron=units.neuron[here],
                site=np.array(site),
            )


def save_maps(folder: Path, tasks: Sequence[str], z: Maps, z_null: Maps, units: Units) -> None:
    """Write the maps of all scans."""
    with atomic_write(folder / "maps.npz") as unfinished, unfinished.open("wb") as stream:
        np.savez_compressed(
            stream,
            tasks=np.array(tasks, dtype=np.str_),
            z=z,
            z_null=z_null,
            layer=units.layer,
            neuron=units.neuron,
            site=units.site,
        )
