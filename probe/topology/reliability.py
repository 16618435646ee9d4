"""Reliability of a topology: chance level, noise, split-half correlation. NumPy only."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

# Edges of the histogram bins of a null's correlations.
BINS = np.linspace(-1, 1, 201)
QUANTILES = (0.5, 0.95, 0.99, 0.999)


@dataclass(frozen=True)
class Null:
    """The null model: topologies of the same series, each shifted circularly within every example.

    A shift keeps a series' values and autocorrelation, but not its alignment with the others.

    Attributes
    ----------
    shifts : int
        Number of shifted topologies, pooled below.
    mean_abs_r, mean_r2 : float
        Mean of |r| and r² over pairs of different neurons, dimensionless.
    quantiles : dict of str to float
        Quantiles of |r|: 0.5, 0.95, 0.99 and 0.999.
    counts : list of int
        Pairs in each of 200 bins of r, bounded by `BINS`.
    """

    shifts: int
    mean_abs_r: float
    mean_r2: float
    quantiles: dict[str, float]
    counts: list[int]

    @classmethod
    def of(cls, shifted: list[NDArray[np.float64]]) -> "Null":
        """Summarise shifted topologies, each as r of every pair of different neurons."""
        r = np.concatenate(shifted)
        magnitude = np.abs(r)
        values = np.quantile(magnitude, QUANTILES) if r.size else np.zeros(len(QUANTILES))
        return cls(
            shifts=len(shifted),
            mean_abs_r=float(magnitude.mean()) if r.size else 0.0,
            mean_r2=float((r**2).mean()) if r.size else 0.0,
            quantiles={str(q): float(value) for q, value in zip(QUANTILES, values, strict=True)},
            counts=np.histogram(r, bins=BINS)[0].tolist(),
        )


@dataclass(frozen=True)
class Reliability:
    """The reliability of a topology.

    Attributes
    ----------
    tokens : int
        Tokens that it was computed from; where they are not the same in several layers, on average.
    noise : float
        Variance of an entry if all series were independent white noise, see `white_noise`.
    split_half : float or None
        Split-half correlation: Pearson's r between the entries of the topologies of two halves of
        the documents.
    halves : list of dict
        Measures of the two halves' topologies by name, or empty.
    layer_agreement : dict of str to float
        Correlation of each layer with the mean over layers, over a sample of neurons.
    null : Null or None
        The circular-shift null, if requested.
    dropped : dict of str to int
        Where norm outliers were dropped: by layer, the tokens that were, those of texts that were
        left out included.
    left_out : dict of str to int
        By layer, the texts of which fewer than two tokens were left.
    strongest_share : float or None
        Share of the token with the largest norm of each text in the mean of r, dimensionless; None
        between layers.
    """

    tokens: int
    noise: float
    split_half: float | None
    halves: list[dict[str, float]]
    layer_agreement: dict[str, float]
    null: Null | None
    dropped: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    strongest_share: float | None = None

    @property
    def chance_abs_r(self) -> float:
        """Mean |r| of independent white noise, `√(2/π noise)`, dimensionless."""
        return float(np.sqrt(2 / np.pi * self.noise))

    @property
    def full_length(self) -> float | None:
        """Expected correlation with a second topology of as many documents (Spearman-Brown)."""
        half = self.split_half
        return None if half is None else 2 * half / (1 + half) if half > -1 else -1.0

    @classmethod
    def from_record(cls, record: dict[str, object] | None) -> "Reliability | None":
        """Rebuild from a manifest's record, made by `dataclasses.asdict`."""
        if record is None:
            return None
        rest = dict(record)
        null = rest.pop("null")
        return cls(**rest, null=None if null is None else Null(**null))  # type: ignore[arg-type]


def white_noise(freedom: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Variance of the weighted mean of examples' correlations between independent white series.

    A correlation over T tokens then has variance `1/(T - 1)` (its Fisher z `1/(T - 3)`, a share of
    pooled tokens `1/T`), so the mean has `Σ w²/f / (Σ w)²`. The layers of an example count as one,
    because they are strongly correlated.

    Parameters
    ----------
    freedom : ndarray, shape (n_examples,)
        Degrees of freedom `f` of each example.
    weights : ndarray, shape (n_examples,)
        Weight of each example in the mean.

    Examples
    --------
    >>> round(float(np.sqrt(2 / np.pi * white_noise(np.array([59.0]), np.array([1.0])))), 3)
    0.104
    """
    return float((weights**2 / freedom).sum() / weights.sum() ** 2)


def debiased_r2(mean_r2: float, noise: float) -> float:
    """Remove the noise from a mean of r²: `(r² - v)/(1 - v)`, ((T-1)r² - 1)/(T-2) for one example.

    Examples
    --------
    >>> round(debiased_r2(0.25, noise=1 / 9), 6)  # T = 10: (9 · 0.25 - 1) / 8
    0.15625
    """
    return (mean_r2 - noise) / (1 - noise)


def correlate_entries(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    """Pearson correlation between two vectors of entries; None if one is constant."""
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])
