"""The definitions, written again in float64 NumPy, one example at a time."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Matrix = NDArray[np.float64]


def example_correlation(series: NDArray[np.floating]) -> Matrix:
    """`np.corrcoef` of one example, (n_tokens, n_neurons), NaN where a neuron is constant."""
    constant = series.max(axis=0) == series.min(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.corrcoef(series.astype(np.float64), rowvar=False)
    r = np.atleast_2d(r)
    r[constant] = np.nan
    r[:, constant] = np.nan
    return r


def ranked(
    layers: Sequence[Sequence[NDArray[np.floating]]],
) -> list[list[NDArray[np.float64]]]:
    """Rank every example's tokens, so that the definitions below are of Spearman's r."""
    return [[rankdata(series, axis=0) for series in examples] for examples in layers]


def topology(
    layers: Sequence[Sequence[NDArray[np.floating]]], scheme: str, weight: str | None = None
) -> Matrix:
    """Average over layers and examples, `layers[l][b]` of shape (n_tokens, n_neurons)."""
    if scheme == "pooled":
        r = np.ma.masked_invalid([_pooled(examples, weight or "token") for examples in layers])
        result = r.mean(axis=0).filled(0)
    else:
        values, weights = [], []
        for examples in layers:
            for series in examples:
                r = example_correlation(series)
                values.append(
                    np.arctanh(np.clip(r, -(1 - 1e-7), 1 - 1e-7)) if scheme == "fisher" else r
                )
                weights.append(len(series) if weight == "token" else 1)
        stacked = np.ma.masked_invalid(np.stack(values))
        mean = np.ma.average(stacked, axis=0, weights=np.array(weights, dtype=float))
        result = np.tanh(mean.filled(0)) if scheme == "fisher" else mean.filled(0)
    defined = np.diagonal(np.nan_to_num(result)) != 0
    result = np.nan_to_num(result)
    np.fill_diagonal(result, defined.astype(float))
    return result


def _pooled(examples: Sequence[NDArray[np.floating]], weight: str) -> Matrix:
    tokens = np.concatenate(examples).astype(np.float64)
    w = np.concatenate(
        [np.full(len(s), 1.0 if weight == "token" else 1 / len(s)) for s in examples]
    )
    centred = tokens - np.average(tokens, axis=0, weights=w)
    centred -= np.average(centred, axis=0, weights=w)
    covariance = (centred * w[:, None]).T @ centred
    constant = tokens.max(axis=0) == tokens.min(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = covariance / np.sqrt(np.outer(np.diagonal(covariance), np.diagonal(covariance)))
    r[constant] = np.nan
    r[:, constant] = np.nan
    return r


def standard_error(layers: Sequence[Sequence[NDArray[np.floating]]], scheme: str) -> Matrix:
    """`s / √N` of the examples' values, each averaged over layers, mapped back by 1 - R²."""
    values = []
    for b in range(len(layers[0])):
        r = np.stack([example_correlation(examples[b]) for examples in layers])
        if scheme == "fisher":
            r = np.arctanh(np.clip(r, -(1 - 1e-7), 1 - 1e-7))
        values.append(r.mean(axis=0))
    stacked = np.stack(values)
    error = stacked.std(axis=0, ddof=1) / np.sqrt(len(stacked))
    if scheme == "fisher":
        error *= 1 - np.tanh(stacked.mean(axis=0)) ** 2
    np.fill_diagonal(error, 0)
    return error


def norm_ratios(series: NDArray[np.floating]) -> NDArray[np.float64]:
    """Norms of one example's tokens over their median, the lower one of two in the middle."""
    norms = np.linalg.norm(series.astype(np.float64), axis=1)
    ratios: NDArray[np.float64] = norms / np.sort(norms)[(len(norms) - 1) // 2]
    return ratios


def without_outliers(
    layers: Sequence[Sequence[NDArray[np.floating]]], above: float
) -> list[list[NDArray[np.floating]]]:
    """Each example's tokens with a norm up to `above` times the median, layer by layer."""
    return [[series[norm_ratios(series) <= above] for series in examples] for examples in layers]


def strongest_share(
    layers: Sequence[Sequence[NDArray[np.floating]]], weights: Sequence[float] | Matrix
) -> float:
    """Share of each example's longest token in the mean of r, over pairs of different neurons."""
    total, part = 0.0, 0.0
    for examples in layers:
        for series, weight in zip(examples, weights, strict=True):
            z = series - series.mean(axis=0, dtype=np.float64)
            z /= np.linalg.norm(z, axis=0)
            strongest = z[np.linalg.norm(series.astype(np.float64), axis=1).argmax()]
            total = total + weight * z.T @ z
            part = part + weight * np.outer(strongest, strongest)
    pairs = np.triu_indices(len(np.asarray(total)), 1)
    mean, of_one = np.asarray(total)[pairs], np.asarray(part)[pairs]
    return float((of_one * mean).sum() / (mean**2).sum())
