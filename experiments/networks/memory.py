"""Memory that finding networks takes beyond the signals themselves, said before it is taken."""

from collections.abc import Sequence

from experiments.networks.decomposition import Method
from experiments.networks.rotation import Solver
from experiments.networks.signals import BLOCK
from experiments.networks.subspace import OVERSAMPLING, PASSES, is_exact
from probe.api import UserError

# Arrays of the size of the whitened data that a solver holds, the data among them.
_HELD: dict[Solver, int] = {"fastica": 3, "picard": 7}


def bytes_needed(
    lengths: Sequence[int], n_units: int, k: int, method: Method, solver: Solver = "fastica"
) -> int:
    """Return the most bytes that a decomposition takes beyond the signals.

    Parameters
    ----------
    lengths : sequence of int
        Tokens of every sample.
    n_units : int
        Number of units.
    k : int
        Number of components.
    method : {"canica", "spatial", "temporal"}
        What is decomposed.
    solver : {"fastica", "picard"}
        What rotates.

    Returns
    -------
    int
        Bytes: blocks of signals, and the larger of what the reduction and the rotation hold.

    Examples
    --------
    >>> round(bytes_needed([2000], 50_000, 64, "temporal") / 1e6)
    176
    """
    n_tokens = sum(lengths)
    blocks = 3 * max(BLOCK, 8 * 16 * n_tokens) + 8 * 4 * n_units
    n_rows = n_tokens if method != "canica" else sum(min(k, length) for length in lengths)
    width = k + OVERSAMPLING
    if is_exact(n_rows, k):
        directions = 8 * (3 * n_rows**2 + 2 * k * n_units)
    else:
        span = PASSES * width
        directions = 4 * span * n_units + 8 * 3 * span * n_rows
        directions = max(directions, 8 * 2 * k * n_units)
    weights = 8 * (2 * max(lengths) ** 2 + k * n_tokens) if method == "canica" else 0
    observed = n_tokens if method == "temporal" else n_units
    rotation = 8 * k * (_HELD[solver] * observed + (2 if method == "temporal" else 1) * n_units)
    return blocks + max(directions + weights, rotation)


def check_memory(needed: int, free: int | None) -> None:
    """Check that a decomposition fits.

    Parameters
    ----------
    needed : int
        Bytes, of `bytes_needed`.
    free : int, optional
        Bytes that are free; None if that is not known, which passes.

    Raises
    ------
    UserError
        If it does not fit.
    """
    if free is not None and needed > free:
        raise UserError(
            f"networks take {needed / 1e9:.2f} GB beyond the signals, and {free / 1e9:.2f} GB are "
            "free; read fewer layers or texts, or ask for fewer components"
        )
