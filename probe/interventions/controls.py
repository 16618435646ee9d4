"""Controls of a mask: as many units outside it, at random, of like RMS, or the loudest."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from probe.errors import UserError

# The neurons of every layer that are in a mask, (n_neurons,) each.
ByLayer = Mapping[int, NDArray[np.bool_]]
Rms = Mapping[int, NDArray[np.float64]]
# Controls, in the order of tables; the first two are drawn again and again.
CONTROLS = ("random", "random_rms", "largest_rms")
DRAWN = CONTROLS[:2]
# A neuron is matched in RMS with one of this many nearest, so that draws differ.
_NEAREST = 3


def control(
    name: str, mask: ByLayer, rms: Rms, generator: np.random.Generator
) -> dict[int, NDArray[np.bool_]]:
    """Choose a control of a mask among all other neurons of its layers.

    Parameters
    ----------
    name : str
        `random`: in each layer as many neurons at random; `random_rms`: for each neuron one of the
        same layer and about its RMS, at random; `largest_rms`: the neurons of the largest RMS of
        all layers together, as many as the mask has.
    mask : mapping of int to ndarray of bool, shape (n_neurons,)
        Layer by layer.
    rms : mapping of int to ndarray, shape (n_neurons,)
        Over other texts, in the activations' unit.
    generator : Generator
        For the first two.

    Returns
    -------
    dict of int to ndarray of bool, shape (n_neurons,)
        As many neurons, none of them in the mask.

    Raises
    ------
    UserError
        If there are not enough neurons outside.

    Examples
    --------
    >>> mask, rms = {2: np.array([True, False, False])}, {2: np.array([9.0, 1.0, 5.0])}
    >>> control("largest_rms", mask, rms, np.random.default_rng(0))[2].tolist()
    [False, False, True]
    """
    for layer, neurons in mask.items():
        inside = int(neurons.sum())
        if 2 * inside > len(neurons):
            raise UserError(
                f"a mask has {inside} of the {len(neurons)} neurons of layer {layer}, so that its "
                f"controls cannot be {inside} others; give masks of at most half of each layer"
            )
    if name == "largest_rms":
        return _largest(mask, rms)
    if name == "random_rms":
        return {layer: alike(own, rms[layer], generator) for layer, own in mask.items()}
    assert name == "random", name
    return {layer: _random(own, generator) for layer, own in mask.items()}


def _random(mask: NDArray[np.bool_], generator: np.random.Generator) -> NDArray[np.bool_]:
    chosen = np.zeros_like(mask)
    chosen[generator.permutation(np.flatnonzero(~mask))[: mask.sum()]] = True
    return chosen


def _largest(mask: ByLayer, rms: Rms) -> dict[int, NDArray[np.bool_]]:
    inside = np.concatenate(list(mask.values()))
    size = np.concatenate([rms[layer] for layer in mask])
    ranked = np.argsort(np.where(inside, np.inf, -size), kind="stable")
    chosen = np.zeros_like(inside)
    chosen[ranked[: inside.sum()]] = True
    ends = np.cumsum([len(own) for own in mask.values()])
    return dict(zip(mask, np.split(chosen, ends[:-1]), strict=True))


def alike(
    mask: NDArray[np.bool_], rms: NDArray[np.float64], generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Draw for every chosen neuron another one with a similar RMS.

    In random order, each chosen neuron is matched with one of the three nearest in log RMS that are
    neither chosen nor matched. If the chosen ones are the largest of all, their matches are
    smaller.

    Parameters
    ----------
    mask : ndarray of bool, shape (n_neurons,)
        The chosen neurons, at most half of all.
    rms : ndarray, shape (n_neurons,)
        Their RMS, up to a common factor.
    generator : Generator
        Of the draw.

    Returns
    -------
    ndarray of bool, shape (n_neurons,)
        Equally many neurons, none of them chosen.
    """
    size = np.log(np.maximum(rms, np.finfo(np.float32).tiny))
    free = ~mask
    for neuron in generator.permutation(np.flatnonzero(mask)):
        candidates = np.flatnonzero(free)
        near = np.argsort(np.abs(size[candidates] - size[neuron]), kind="stable")[:_NEAREST]
        free[candidates[generator.choice(near)]] = False
    matched: NDArray[np.bool_] = ~free & ~mask
    return matched
