"""Contrastive training: two encoders learn similar embeddings for topologies of one text."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from experiments.gcn import Gcn
from experiments.matching.settings import Matching
from experiments.matching.texts import Side
from probe.api import Factor

_WEIGHT_DECAY = 1e-5


def contrastive_loss(first: Tensor, second: Tensor) -> Tensor:
    """Return the symmetric cross-entropy of identifying each text's counterpart.

    Products of normalised embeddings are logits at temperature 1 (Zheng et al. 2025; in the form of
    Radford et al. 2021, arXiv:2103.00020).

    Parameters
    ----------
    first, second : Tensor, shape (n_texts, width)
        Embeddings of the same texts.
    """
    logits = functional.normalize(first, dim=1) @ functional.normalize(second, dim=1).T
    own = torch.arange(len(logits), device=logits.device)
    rows, columns = functional.cross_entropy(logits, own), functional.cross_entropy(logits.T, own)
    return (rows + columns) / 2


def _graphs(series: Sequence[Tensor]) -> Factor:
    return Factor.stack([Factor(one) for one in series])


@dataclass
class Matcher:
    """One encoder for each of two models.

    Attributes
    ----------
    first, second : Gcn
        The encoders.
    epochs : int
        Passes over the training set, up to the one whose weights are kept.
    """

    first: Gcn
    second: Gcn
    epochs: int = 0

    def embed(self, first: Sequence[Tensor], second: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Embed the same texts' series of both models, (n_texts, width) each."""
        return self.first(_graphs(first)), self.second(_graphs(second))

    @torch.no_grad()
    def similarity(
        self, sides: tuple[Side, Side], numbers: Sequence[int], batch: int
    ) -> NDArray[np.float64]:
        """Return the cosine between every text of the first and every text of the second model."""
        embedded = [
            self.embed(sides[0].of(part), sides[1].of(part))
            for part in (numbers[start : start + batch] for start in range(0, len(numbers), batch))
        ]
        first, second = (
            functional.normalize(torch.cat(parts), dim=1).double()
            for parts in zip(*embedded, strict=True)
        )
        return np.asarray((first @ second.T).cpu().numpy(), dtype=np.float64)


def fit(
    sides: tuple[Side, Side], train: Sequence[int], stop: Sequence[int], settings: Matching
) -> Matcher:
    """Train encoders, and keep those with the lowest loss on the validation set.

    Parameters
    ----------
    sides : tuple of (Side, Side)
        The series of the two models.
    train, stop : sequence of int
        Indices of the training set, and of the validation set for early stopping.
    settings : Matching
        Sizes, learning rate, epochs, patience and seed.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        width = settings.width
        encoders = [Gcn(side.n_neurons, width, settings.gcn_layers, width) for side in sides]
    device = next(iter(sides[0].series.values())).device
    matcher = Matcher(encoders[0].to(device), encoders[1].to(device))
    weights = [*matcher.first.parameters(), *matcher.second.parameters()]
    optimiser = torch.optim.Adam(weights, lr=settings.rate, weight_decay=_WEIGHT_DECAY)
    generator = np.random.default_rng(settings.seed)
    lowest, best = float("inf"), copy.deepcopy(matcher)
    bar = tqdm(range(1, settings.epochs + 1), "match", disable=None, leave=False, delay=2)
    for epoch in bar:
        order = generator.permutation(train)
        for piece in np.array_split(order, -(-len(order) // settings.batch)):
            part = piece.tolist()
            loss = contrastive_loss(*matcher.embed(sides[0].of(part), sides[1].of(part)))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        validation = _loss(matcher, sides, stop, settings.batch)
        if validation < lowest:
            lowest, best = validation, copy.deepcopy(matcher)
            best.epochs = epoch
        elif epoch - best.epochs >= settings.patience:
            break
    bar.close()
    return best


@torch.no_grad()
def _loss(matcher: Matcher, sides: tuple[Side, Side], numbers: Sequence[int], batch: int) -> float:
    """Return the loss over all texts of the validation set at once, whatever the batch size."""
    logits = torch.from_numpy(matcher.similarity(sides, numbers, batch))
    own = torch.arange(len(logits))
    rows, columns = functional.cross_entropy(logits, own), functional.cross_entropy(logits.T, own)
    return float((rows + columns) / 2)
