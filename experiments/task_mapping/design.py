"""The design matrix of one scan: task blocks, slow drift and nuisance, by nilearn."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.task_mapping.library import nilearn_glm
from probe.api import UserError

Matrix = NDArray[np.float64]
Model = Literal["prompt_ols", "tokens_ols", "tokens_ar1"]
MODELS: tuple[Model, ...] = get_args(Model)
TASK = "task"
# A nuisance column that the columns before it explain but for this share of its length is dropped.
_COLLINEAR = 1e-6


@dataclass(frozen=True, eq=False)
class Design:
    """A design matrix, and what may be exchanged in it.

    Attributes
    ----------
    matrix : DataFrame of float64, shape (n_observations, n_columns)
        Columns `task` (1 in task blocks, else 0), `drift_1`…, `constant`, and nuisance columns.
    model : {"prompt_ols", "tokens_ols", "tokens_ar1"}
        Whether an observation is a prompt's mean or a token, and the model of the noise.
    exchangeable : ndarray of int64, shape (n_observations,)
        What a permutation moves as a whole: the number of the prompt where prompts are observed,
        of the block where tokens are.
    dropped : tuple of str
        Nuisance columns that are constant, or collinear with those before them.
    """

    matrix: pd.DataFrame
    model: Model
    exchangeable: NDArray[np.int64]
    dropped: tuple[str, ...] = ()

    @property
    def contrast(self) -> Matrix:
        """Task − off, shape (n_columns,): off is the baseline, so 1 for the task."""
        return np.array([float(name == TASK) for name in self.matrix])

    @property
    def dof(self) -> int:
        """Degrees of freedom of the residuals."""
        return len(self.matrix) - len(self.matrix.columns)


def make_design(
    on: NDArray[np.bool_],
    tokens: NDArray[np.int64],
    model: Model = "prompt_ols",
    nuisance: pd.DataFrame | None = None,
) -> Design:
    """Return the design matrix of one scan.

    Parameters
    ----------
    on : ndarray of bool, shape (n_prompts,)
        Whether each prompt is of the task; runs of equal values are the blocks.
    tokens : ndarray of int64, shape (n_prompts,)
        Tokens that are read of each prompt.
    model : {"prompt_ols", "tokens_ols", "tokens_ar1"}
        With prompts as observations every column is averaged over the tokens of a prompt, as the
        signals are.
    nuisance : DataFrame, shape (n_tokens, n_nuisance), optional
        Further columns, a row for each token of the scan; they are centred.

    Raises
    ------
    UserError
        If there is no task or no off prompt, a prompt without tokens, a nuisance value that is not
        finite, or no observation to spare.

    Notes
    -----
    The boxcar is not convolved: models have no haemodynamics. Drift is a cosine basis below
    f = 1/(4 · block), half the frequency of the off–on cycle; a higher one would absorb the task.

    Examples
    --------
    >>> on = np.repeat([False, True, False], 3)
    >>> make_design(on, np.full(9, 8)).matrix.shape
    (9, 3)
    """
    _check(on, tokens)
    n_tokens = int(tokens.sum())
    starts = np.flatnonzero(np.diff(on, prepend=~on[0]))
    onsets = np.cumsum(tokens)[starts] - tokens[starts]
    events = pd.DataFrame(
        {"onset": onsets, "duration": np.diff(onsets, append=n_tokens), "trial_type": TASK}
    )
    matrix: pd.DataFrame = nilearn_glm().first_level.make_first_level_design_matrix(
        np.arange(n_tokens), events[on[starts]], hrf_model=None, drift_model="cosine",
        high_pass=_high_pass(len(starts), n_tokens),
    )  # fmt: skip
    # For some lengths nilearn rounds onsets to the next token.
    matrix[TASK] = np.repeat(on, tokens).astype(np.float64)
    block_of_prompt = np.cumsum(np.isin(np.arange(len(on)), starts)) - 1
    exchangeable = np.repeat(block_of_prompt, tokens)
    if model == "prompt_ols":
        exchangeable = np.arange(len(on))
        matrix = _averaged(matrix, tokens)
        nuisance = None if nuisance is None else _averaged(nuisance, tokens)
    dropped: list[str] = []
    if nuisance is not None:
        assert len(nuisance) == len(matrix), "nuisance has a row for each token"
        matrix, dropped = _with_nuisance(matrix, nuisance)
    design = Design(matrix.reset_index(drop=True), model, exchangeable, tuple(dropped))
    if design.dof < 1:
        raise UserError(
            f"{len(matrix)} observations of a scan cannot be fitted by {matrix.shape[1]} columns; "
            "give more prompts a block, more blocks, or fewer nuisance regressors"
        )
    return design


def average_over_prompts(values: Matrix, tokens: NDArray[np.int64]) -> Matrix:
    """Return the mean over the tokens of every prompt, shape (n_prompts, n_columns).

    Parameters
    ----------
    values : ndarray of float64, shape (n_tokens, n_columns)
        Anything of the tokens, in order.
    tokens : ndarray of int64, shape (n_prompts,)
        Tokens of each prompt.

    Examples
    --------
    >>> average_over_prompts(np.array([[1.0], [3.0], [5.0]]), np.array([2, 1])).ravel()
    array([2., 5.])
    """
    assert len(values) == tokens.sum(), f"{len(values)} rows of {tokens.sum()} tokens"
    sums: Matrix = np.add.reduceat(values, np.cumsum(tokens) - tokens, axis=0, dtype=np.float64)
    return sums / tokens[:, None]


def _averaged(columns: pd.DataFrame, tokens: NDArray[np.int64]) -> pd.DataFrame:
    means = average_over_prompts(columns.to_numpy(np.float64), tokens)
    return pd.DataFrame(means, columns=columns.columns)


def _high_pass(n_blocks: int, n_tokens: int) -> float:
    # nilearn takes floor(2 · n_tokens · f) cosines; rounding must not lose one of a whole number.
    return n_blocks / (4 * n_tokens) * (1 + 1e-12)


def _with_nuisance(matrix: pd.DataFrame, nuisance: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Add centred columns; return the names of those that add nothing."""
    dropped = []
    for name, column in nuisance.items():
        values = column.to_numpy(np.float64)
        if not np.isfinite(values).all():
            raise UserError(
                f"the nuisance regressor {name} has values that are not finite; leave it out"
            )
        before = matrix.to_numpy(np.float64)
        explained = before @ np.linalg.lstsq(before, values, rcond=None)[0]
        if np.linalg.norm(values - explained) <= _COLLINEAR * np.linalg.norm(values):
            dropped.append(str(name))
        else:
            matrix = matrix.assign(**{str(name): values - values.mean()})
    return matrix, dropped


def _check(on: NDArray[np.bool_], tokens: NDArray[np.int64]) -> None:
    assert on.shape == tokens.shape, "tokens are counted for every prompt"
    if not on.any() or on.all():
        raise UserError(
            f"a scan needs prompts of the task and others, and {int(on.sum())} of its {len(on)} "
            "are of the task; give both kinds"
        )
    if tokens.min() < 1:
        raise UserError(
            f"prompt {int(tokens.argmin())} of the scan has no tokens to average; leave it out"
        )
