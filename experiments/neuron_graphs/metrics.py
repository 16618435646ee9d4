"""How well predicted firing agrees with true firing."""

import numpy as np
from numpy.typing import NDArray

from experiments.neuron_graphs.records import NAN, Match


def match(fires: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> Match:
    """Return precision, recall and F1 of the firing class.

    Precision is NaN where nothing is predicted, F1 then 0; all are NaN where nothing fires.

    Parameters
    ----------
    fires, predicted : ndarray of bool, shape (n_tokens,)
        True and predicted firing.

    Examples
    --------
    >>> match(np.array([True, True, False]), np.array([True, False, True]))
    Match(precision=0.5, recall=0.5, f1=0.5)
    """
    positives, hits = int(fires.sum()), int((fires & predicted).sum())
    said = int(predicted.sum())
    if not positives:
        return Match()
    precision = hits / said if said else NAN
    return Match(precision, hits / positives, 2 * hits / (positives + said))


def explained(true: NDArray[np.float64], predicted: NDArray[np.float64]) -> float:
    """Return 1 − mean squared error / variance, which the paper's code calls correlation.

    NaN where the true activations do not vary.
    """
    variance = float(true.var()) if len(true) else 0.0
    return 1 - float(np.square(true - predicted).mean()) / variance if variance > 0 else NAN
