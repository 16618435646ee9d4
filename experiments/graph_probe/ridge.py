"""Ridge regression in its dual form, which is fast with many features and few texts."""

from typing import NamedTuple

import torch
from torch import Tensor

from experiments.graph_probe.inputs import Features

# Penalties, in units of the mean squared length of a training text's features.
PENALTIES = tuple(10.0**power for power in range(-6, 3))
# Entries of a block of features, about 256 MB.
_BLOCK = 1 << 26


class Fitted(NamedTuple):
    """A probe's predictions for every text, and its error on the validation set."""

    predicted: Tensor
    validation_error: float


def ridge(features: Features, target: Tensor, train: Tensor, validation: Tensor) -> Fitted:
    """Predict all texts by ridge regression on the training set.

    With `K` the inner products of the centred features, weights on the training texts are
    `(K + λ)⁻¹ (y − ȳ)` (Saunders et al. 1998). The penalty λ, and whether features are divided by
    their standard deviation, minimise the mean squared error on the validation set.

    Parameters
    ----------
    features : Features
        Of all texts.
    target : Tensor of float64, shape (n_texts, n_outputs)
        What to predict.
    train, validation : Tensor of int64
        Indices of training and validation set.
    """
    mean = target[train].mean(dim=0)
    best: Fitted | None = None
    for scaled in (False, True):
        products = inner_products(features, train, scaled)
        fitted, unit = products[train][:, train], products[train, train].mean()
        for penalty in PENALTIES:
            ridged = fitted + (penalty * unit + 1e-12) * torch.eye(len(train), dtype=torch.float64)
            weights = torch.linalg.solve(ridged, target[train] - mean, left=True)
            predicted = products[:, train] @ weights + mean
            error = float((predicted - target)[validation].square().mean())
            if best is None or error < best.validation_error:
                best = Fitted(predicted, error)
    assert best is not None
    return best


def inner_products(features: Features, train: Tensor, scaled: bool) -> Tensor:
    """Return the products of all texts' features, centred on the training set.

    Blocks of texts are recomputed for every other block, so only two are in memory at a time.

    Returns
    -------
    Tensor of float64, shape (n_texts, n_texts)
    """
    blocks = torch.split(torch.arange(features.n_texts), max(1, _BLOCK // features.width))
    centre, scale = moments(features, train)

    def block(numbers: Tensor) -> Tensor:
        rows = features.rows(numbers).double() - centre
        return rows / scale if scaled else rows

    products = torch.empty((features.n_texts, features.n_texts), dtype=torch.float64)
    for place, numbers in enumerate(blocks):
        rows = block(numbers)
        for others in blocks[: place + 1]:
            columns = rows if others is numbers else block(others)
            products[numbers[:, None], others] = (rows @ columns.T).cpu()
            products[others[:, None], numbers] = products[numbers[:, None], others].T
    return products


def moments(features: Features, train: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation (1 for a constant) of each feature, float64."""
    blocks = torch.split(train, max(1, _BLOCK // features.width))
    mean = sum(features.rows(part).double().sum(dim=0) for part in blocks) / len(train)
    assert isinstance(mean, Tensor)
    squares = [(features.rows(part).double() - mean).square_().sum(dim=0) for part in blocks]
    deviation = torch.stack(squares).sum(dim=0).div_(len(train)).sqrt_()
    # Features that are constant up to rounding are not scaled up.
    return mean, deviation.masked_fill_(deviation <= 1e-6 * mean.abs() + 1e-12, 1)
