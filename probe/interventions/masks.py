"""Masks: sets of units, each a neuron of a layer, and the file they are kept in."""

import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probe.config import Site
from probe.errors import UserError, nearest
from probe.system.files import atomic_write

Bools = NDArray[np.bool_]
_ARRAYS = ("masks", "layer", "neuron")
# What NumPy raises for files that are no archive of plain arrays; a single array is no context.
_BROKEN = (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile)


@dataclass(frozen=True)
class Masks:
    """Sets of units.

    Attributes
    ----------
    masks : ndarray of bool, shape (n_masks, n_units)
        The units of every set.
    layer, neuron : ndarray of int64, shape (n_units,)
        What each unit is; both count from 0.
    site : Site, optional
        Where in the layer the neurons are.

    Raises
    ------
    UserError
        If they are not such arrays, a unit is there twice, or the site is unknown.
    """

    masks: Bools
    layer: NDArray[np.int64]
    neuron: NDArray[np.int64]
    site: Site | None = None

    def __post_init__(self) -> None:
        """Check the arrays."""
        given = {name: np.asarray(getattr(self, name)) for name in (*_ARRAYS, "site")}
        if self.site is None:
            del given["site"]
        for mistake in _mistakes(given):
            raise UserError(f"Masks(…) {mistake}")
        for name in _ARRAYS[1:]:
            object.__setattr__(self, name, given[name].astype(np.int64))
        object.__setattr__(self, "masks", given["masks"])
        object.__setattr__(self, "site", Site(str(given["site"])) if "site" in given else None)

    @property
    def layers(self) -> list[int]:
        """Layers that have units, ascending."""
        return [int(layer) for layer in np.unique(self.layer)]

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Masks":
        """Load masks from an `.npz` file, without pickle.

        Raises
        ------
        UserError
            If the file cannot be read, or does not hold masks.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in (*_ARRAYS, "site") if name in file.files}
        except _BROKEN as error:
            why = "does not exist" if isinstance(error, FileNotFoundError) else "is not one"
            raise UserError(
                f"masks need an .npz file of plain arrays, and {path} {why}; save one with "
                "numpy.savez(FILE, masks=…, layer=…, neuron=…)"
            ) from None
        for mistake in _mistakes(arrays):
            raise UserError(f"{path} {mistake}")
        return cls(**arrays)

    def save(self, path: Path) -> None:
        """Save the masks as `load` reads them."""
        arrays: dict[str, Any] = {name: getattr(self, name) for name in _ARRAYS}
        if self.site is not None:
            arrays["site"] = np.array(self.site.value)
        with atomic_write(path) as unfinished, unfinished.open("wb") as stream:
            np.savez_compressed(stream, **arrays)

    def by_layer(self, widths: Mapping[int, int]) -> list[dict[int, Bools]]:
        """Return every mask as the neurons of each layer.

        Parameters
        ----------
        widths : mapping of int to int
            Number of neurons of each layer that has units.

        Returns
        -------
        list of dict of int to ndarray of bool, shape (n_neurons,)

        Raises
        ------
        UserError
            If a unit's neuron is not in its layer.

        Examples
        --------
        >>> one = Masks(np.array([[True, False]]), np.array([0, 2]), np.array([1, 0]))
        >>> {layer: mask.tolist() for layer, mask in one.by_layer({0: 2, 2: 3})[0].items()}
        {0: [False, True], 2: [False, False, False]}
        """
        for layer, neuron in zip(self.layer, self.neuron, strict=True):
            if neuron >= widths[int(layer)]:
                raise UserError(
                    f"the masks have neuron {neuron} of layer {layer}, whose neurons are 0 to "
                    f"{widths[int(layer)] - 1} at this site; give masks of this model and site"
                )
        listed = []
        for mask in self.masks:
            dense = {layer: np.zeros(widths[layer], dtype=np.bool_) for layer in self.layers}
            for layer, neurons in dense.items():
                neurons[self.neuron[mask & (self.layer == layer)]] = True
            listed.append(dense)
        return listed


def _mistakes(arrays: Mapping[str, NDArray[np.generic]]) -> list[str]:
    """Say what is wrong with a file's arrays, in the order in which it matters."""
    missing = [name for name in _ARRAYS if name not in arrays]
    if missing:
        return [
            f"has no array {missing[0]}; masks need masks (bool, masks × units), layer and neuron "
            "(integers, one per unit)"
        ]
    masks, *units = (arrays[name] for name in _ARRAYS)
    if masks.dtype != np.bool_ or masks.ndim != 2:
        return [
            f"has masks of {masks.dtype} and shape {masks.shape}; they must be bool, of shape "
            "(masks, units)"
        ]
    if not masks.size:
        return [f"is empty: its masks have the shape {masks.shape}; give one mask and unit or more"]
    for name, unit in zip(_ARRAYS[1:], units, strict=True):
        if not np.issubdtype(unit.dtype, np.integer) or unit.shape != masks.shape[1:]:
            return [
                f"has {name} of {unit.dtype} and shape {unit.shape}; it must be one integer for "
                f"each of the {masks.shape[1]} units"
            ]
        least, most = int(unit.min()), int(unit.max())
        if least < 0 or most > np.iinfo(np.int32).max:
            return [f"has the {name} {least if least < 0 else most}; {name}s count from 0"]
    if len(np.unique(np.stack(units), axis=1).T) < masks.shape[1]:
        return ["has a unit twice, the same neuron of the same layer; give each once"]
    if "site" in arrays:
        known = [site.value for site in Site]
        site = str(arrays["site"])
        if site not in known:
            hint = nearest(site, known) or f"; sites are {', '.join(known)}"
            return [f"is of the site {site[:40]!r}, which is unknown{hint}"]
    return []
