"""Independent component analysis of whitened data: the rotation that makes rows independent."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.networks.signals import Matrix
from experiments.networks.whitening import check_white
from probe.api import UserError

Contrast = Literal["logcosh", "cube"]
Solver = Literal["fastica", "picard"]
TOLERANCE = 1e-4
# Observations whose contrast is computed at a time.
_OBSERVATIONS = 1 << 15
_INSTALL = "pip install -c constraints.txt -e '.[networks]'"


@dataclass(frozen=True, eq=False)
class Rotation:
    """A rotation of whitened data, and how far it is from a fixed point.

    Attributes
    ----------
    unmixing : ndarray of float64, shape (k, k)
        `W`, orthogonal: sources are `W Z`.
    iterations : int
        Steps of the solver.
    moved : ndarray of float64, shape (k,)
        How far one more step of FastICA moves each component: 1 − |cosine| of its row of `W`
        before and after, dimensionless.
    """

    unmixing: Matrix
    iterations: int
    moved: Matrix

    @property
    def unconverged(self) -> NDArray[np.int64]:
        """Components that the next step still moves, by number."""
        return np.flatnonzero(self.moved >= TOLERANCE)

    def complaint(self) -> str | None:
        """Say which components have not converged; None if all have."""
        numbers = self.unconverged
        if not len(numbers):
            return None
        told = ", ".join(f"{number} ({self.moved[number]:.1e})" for number in numbers)
        return (
            f"{len(numbers)} of {len(self.moved)} components have not converged after "
            f"{self.iterations} iterations: {told} still move by more than {TOLERANCE:.0e}"
        )


def rotate(
    whitened: Matrix,
    seed: int,
    contrast: Contrast = "cube",
    solver: Solver = "fastica",
    max_iterations: int = 300,
    device: str | None = None,
) -> Rotation:
    """Find the rotation that makes the rows of whitened data independent.

    Parameters
    ----------
    whitened : ndarray of float64, shape (k, n_observations)
        `Z`, of mean 0 and covariance I.
    seed : int
        Of the first rotation.
    contrast : {"logcosh", "cube"}
        FastICA's function; picard always takes logcosh.
    solver : {"fastica", "picard"}
        Fixed-point iteration of scikit-learn, or python-picard, which optimises the same objective
        by quasi-Newton steps (Ablin, Cardoso & Gramfort 2018, arXiv:1711.10873).
    max_iterations : int
        Steps at most.
    device : str, optional
        Torch device on which the steps of FastICA are taken (default: scikit-learn).

    Raises
    ------
    UserError
        If the data is not white, or the solver is not installed.

    Notes
    -----
    Hyvärinen (1999), Fast and robust fixed-point algorithms for independent component analysis,
    doi:10.1109/72.761722, with symmetric decorrelation.
    """
    check_white(whitened)
    k = len(whitened)
    start = decorrelate(torch.from_numpy(np.random.default_rng(seed).standard_normal((k, k))))
    if solver == "picard":
        contrast = "logcosh"
        unmixing, iterations = _picard(whitened, start.numpy(), max_iterations)
    elif device is None:
        unmixing, iterations = _scikit_learn(whitened, start.numpy(), contrast, max_iterations)
    else:
        unmixing, iterations = _torch(
            torch.from_numpy(whitened).to(device), start.to(device), contrast, max_iterations
        )
    before = torch.from_numpy(np.ascontiguousarray(unmixing))
    after = step(torch.from_numpy(whitened), before, contrast)
    return Rotation(unmixing, iterations, _moved(after, before).numpy())


def step(whitened: Tensor, unmixing: Tensor, contrast: Contrast) -> Tensor:
    """Return the next rotation of symmetric FastICA: `E[g(W Z) Zᵀ] − diag(E[g′(W Z)]) W`, rotated.

    Parameters
    ----------
    whitened : Tensor of float64, shape (k, n_observations)
        `Z`.
    unmixing : Tensor of float64, shape (k, k)
        `W`, orthogonal.
    contrast : {"logcosh", "cube"}
        g is tanh or the third power.
    """
    products, slopes = torch.zeros_like(unmixing), torch.zeros_like(unmixing[:, 0])
    for part in torch.split(whitened, _OBSERVATIONS, dim=1):
        sources = unmixing @ part
        if contrast == "logcosh":
            sources.tanh_()
            slopes += (1 - sources.square()).sum(dim=1)
        else:
            squares = sources.square()
            slopes += 3 * squares.sum(dim=1)
            sources *= squares
        products += sources @ part.T
    n = whitened.shape[1]
    return decorrelate(products / n - (slopes / n)[:, None] * unmixing)


def decorrelate(weights: Tensor) -> Tensor:
    """Return the nearest matrix with orthonormal rows, `(W Wᵀ)^(−1/2) W`.

    Examples
    --------
    >>> decorrelate(torch.tensor([[3.0, 0.0], [0.0, -2.0]]))
    tensor([[ 1.,  0.],
            [ 0., -1.]])
    """
    left, _, right = torch.linalg.svd(weights)
    rotation: Tensor = left @ right
    return rotation


def _moved(after: Tensor, before: Tensor) -> Tensor:
    return ((after * before).sum(dim=1).abs() - 1).abs()


def _torch(
    whitened: Tensor, start: Tensor, contrast: Contrast, max_iterations: int
) -> tuple[Matrix, int]:
    unmixing, iterations = start, 0
    while iterations < max_iterations:
        before, unmixing = unmixing, step(whitened, unmixing, contrast)
        iterations += 1
        if float(_moved(unmixing, before).max()) < TOLERANCE:
            break
    return unmixing.cpu().numpy(), iterations


def _scikit_learn(
    whitened: Matrix, start: Matrix, contrast: Contrast, max_iterations: int
) -> tuple[Matrix, int]:
    try:
        from sklearn.decomposition import fastica
    except ImportError:
        raise UserError(f"scikit-learn is not installed; {_INSTALL} installs it") from None
    # scikit-learn's own third power takes two more arrays of the size of the data.
    function: str | Callable[..., tuple[Matrix, Matrix]] = (
        "logcosh" if contrast == "logcosh" else _cube
    )
    with warnings.catch_warnings():
        # Rotation tells it of every component, which the warning does not.
        warnings.filterwarnings("ignore", "FastICA did not converge")
        _, unmixing, _, iterations = fastica(
            whitened.T, whiten=False, fun=function, max_iter=max_iterations, tol=TOLERANCE,
            w_init=start, compute_sources=False, return_n_iter=True,
        )  # fmt: skip
    return unmixing, int(iterations)


def _cube(sources: Matrix) -> tuple[Matrix, Matrix]:
    squares = np.square(sources)
    slopes = 3 * squares.mean(axis=-1)
    squares *= sources
    return squares, slopes


def _picard(whitened: Matrix, start: Matrix, max_iterations: int) -> tuple[Matrix, int]:
    try:
        from picard import picard
    except ImportError:
        raise UserError(f"python-picard is not installed; {_INSTALL} installs it") from None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Picard did not converge")  # as above
        _, unmixing, _, iterations = picard(
            whitened, ortho=True, whiten=False, centering=False, max_iter=max_iterations,
            w_init=start, return_n_iter=True,
        )  # fmt: skip
    return unmixing, int(iterations)
