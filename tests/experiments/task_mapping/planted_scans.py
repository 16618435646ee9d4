"""Scans with known noise and known active units."""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from experiments.task_mapping.design import Design, Model, average_over_prompts, make_design
from experiments.task_mapping.glm import Fit, fit

Array = NDArray[np.float64]


def blocks(n_blocks: int, n_prompts: int = 5) -> NDArray[np.bool_]:
    """Return off, on, …, off."""
    return np.repeat(np.arange(n_blocks) % 2 == 1, n_prompts)


def scan(
    model: Model = "tokens_ols", n_blocks: int = 7, n_prompts: int = 5, n_tokens: int = 8
) -> Design:
    """Return a design with equally many tokens a prompt."""
    on = blocks(n_blocks, n_prompts)
    return make_design(on, np.full(len(on), n_tokens), model)


def autoregressive(rho: float, n: int, n_units: int, rng: np.random.Generator) -> Array:
    """Return AR(1) noise of variance 1, stationary from the start."""
    noise = rng.standard_normal((n + 100, n_units)) * np.sqrt(1 - rho**2)
    return np.asarray(lfilter([1], [1, -rho], noise, axis=0)[100:])


def with_prompt_offsets(n: int, n_units: int, rng: np.random.Generator) -> Array:
    """Return white noise of variance 1, and an offset of deviation 0.5 for every 10 tokens."""
    offsets = np.repeat(rng.standard_normal((n // 10, n_units)) / 2, 10, axis=0)
    return rng.standard_normal((n, n_units)) + offsets


def planted(noise: Array, *effects: float) -> tuple[Array, Array]:
    """Raise 5 % of the units by each effect in on blocks of 40 tokens; 10 tokens are a prompt.

    Effects are in deviations. Signals are returned with the effect of every unit.
    """
    on = np.repeat(np.arange(len(noise) // 40) % 2 == 1, 40)
    n_units = noise.shape[1]
    d = np.zeros(n_units)
    d[: n_units * len(effects) // 20] = np.repeat(effects, n_units // 20)
    return noise + on[:, None] * d, d


def fitted(signals: Array, model: Model) -> Fit:
    """Fit planted signals by any model."""
    design = scan(model, len(signals) // 40, 4, 10)
    if model == "prompt_ols":
        signals = average_over_prompts(signals, np.full(len(signals) // 10, 10))
    return fit(signals, design)


def false_share(found: NDArray[np.bool_], d: Array) -> float:
    """Return the false discovery proportion: the share of active units that have no effect."""
    return float(found[d == 0].sum() / max(1, found.sum()))
