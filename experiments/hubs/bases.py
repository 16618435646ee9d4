"""Strengths of one text's neurons, in the model's own basis and in those of the null models."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

OBSERVED, WITHOUT_FIRST, ROTATED, SHIFTED = "observed", "without first token", "rotated", "shifted"
RANDOM = "random weights"
WITHOUT_RULING, RANKED = "without ruling tokens", "Spearman"
RANKED_WITHOUT = "Spearman, without ruling tokens"
# What is left of hubs if a token counts less.
KEPT = (WITHOUT_RULING, RANKED, RANKED_WITHOUT)


@dataclass(frozen=True)
class Correlated:
    """The correlations of one text.

    Attributes
    ----------
    matrix : Tensor of float32, shape (n_neurons, n_neurons)
        r, zero where it is undefined.
    defined : Tensor of bool, shape (n_neurons,)
        False where a neuron is constant.
    """

    matrix: Tensor
    defined: Tensor

    @classmethod
    def of(cls, activations: Tensor) -> "Correlated":
        """Correlate the columns of activations, shape (n_tokens, n_neurons)."""
        from probe.api import Factor

        factor = Factor.of(activations)
        return cls(factor.dense(), factor.defined)

    def strongest(self, number: int) -> Tensor:
        """Return the neurons of largest strength Σ|r|, shape (number,); ties in their order."""
        strength = self.matrix.abs().sum(dim=1) - self.matrix.diagonal().abs()
        return strength.argsort(descending=True, stable=True)[:number]


class Bases:
    """A text's activations in every basis that is compared.

    Parameters
    ----------
    rotations, shifts : int
        Number of random rotations and of circular shifts.
    seed : int
        Of both.
    without_first : bool
        Whether to also leave out the first token.
    ruling : float, optional
        Whether to also leave out tokens whose norm is above so many times the text's median, and
        to rank the tokens, with and without these.
    """

    def __init__(
        self,
        rotations: int,
        shifts: int,
        seed: int,
        without_first: bool,
        ruling: float | None = None,
    ) -> None:
        self.ruling = ruling
        self._rotations, self._shifts, self._seed = rotations, shifts, seed
        self._without_first = without_first
        self._cache: dict[int, list[Tensor]] = {}

    def __call__(self, activations: Tensor, example: int) -> Iterator[tuple[str, int, Tensor]]:
        """Yield name, draw and activations of each basis, shape (n_tokens, n_neurons)."""
        from probe.api.parts import draw_shifts, shift

        n_tokens, n_neurons = activations.shape
        yield OBSERVED, 0, activations
        if self._without_first:
            yield WITHOUT_FIRST, 0, activations[1:]
        if self.ruling is not None:
            left = activations[self._left(activations, self.ruling)]
            yield WITHOUT_RULING, 0, left
            yield RANKED, 0, _ranked(activations)
            yield RANKED_WITHOUT, 0, _ranked(left)
        for draw, rotation in enumerate(self._random_rotations(n_neurons)):
            yield ROTATED, draw, activations.float() @ rotation.to(activations.device)
        keep = torch.ones(1, n_tokens, dtype=torch.bool, device=activations.device)
        for draw in range(self._shifts):
            by = draw_shifts(self._seed, draw, [example], torch.tensor([n_tokens]), n_neurons)
            yield SHIFTED, draw, shift(activations[None], keep, by.to(activations.device))[0]

    @staticmethod
    def _left(activations: Tensor, above: float) -> Tensor:
        from probe.api.parts import without_outliers

        ratios = norm_ratios(activations)
        return without_outliers(ratios[None], torch.ones_like(ratios[None]).bool(), above)[0][0]

    def _random_rotations(self, n: int) -> list[Tensor]:
        if n not in self._cache:
            self._cache[n] = [rotation(n, self._seed + draw) for draw in range(self._rotations)]
        return self._cache[n]


def norm_ratios(activations: Tensor) -> Tensor:
    """Return the norm of every token over their median, (n_tokens,), dimensionless."""
    from probe.api.parts import over_median, token_norms

    keep = torch.ones(1, len(activations), dtype=torch.bool, device=activations.device)
    return over_median(token_norms(activations[None]), keep)[0]


def _ranked(activations: Tensor) -> Tensor:
    from probe.api.parts import rank

    keep = torch.ones(1, len(activations), dtype=torch.bool, device=activations.device)
    return rank(activations[None], keep)[0]


def rotation(n: int, seed: int) -> Tensor:
    """Draw a uniformly distributed orthogonal matrix, float32, shape (n, n).

    Mezzadri (2007), How to generate random matrices from the classical compact groups,
    arXiv:math-ph/0609050: QR of a Gaussian matrix, with the signs of R's diagonal.

    Examples
    --------
    >>> q = rotation(3, seed=0)
    >>> torch.allclose(q @ q.T, torch.eye(3), atol=1e-6)
    True
    """
    gaussian = torch.randn(n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    q, r = torch.linalg.qr(gaussian)
    orthogonal: Tensor = q * r.diagonal().sign()
    return orthogonal.float()
