"""Distributions of strengths, correlations and eigenvalues, against their chance levels."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from probe.measures import Measures, Spectrum, edges, strengths
from probe.plots.style import BLUE, ORANGE, framed, log_scale, title
from probe.topology import Topology
from probe.topology.reliability import BINS, Reliability

# Of the axes in inches.
SIZE = (6.16, 3.4)
# Below this share of the largest, eigenvalues of a float32 matrix are rounding errors.
RESOLUTION = 1e-6


def strength_distribution(topology: Topology, measures: Measures) -> Figure:
    """Draw the strengths in descending order, with hubs marked and the strongest named."""
    strength = np.sort(np.delete(strengths(topology), topology.undefined))[::-1]
    n, mean = len(strength), measures.strength_mean or 0.0
    figure, axes = framed(title(topology), SIZE)
    axes.plot(np.arange(1, n + 1), strength, color=BLUE, lw=1.5)
    axes.axhline(mean, color=BLUE, ls="--", lw=1, label=f"mean {mean:.1f}")
    hubs = measures.hubs
    names = ", ".join(topology.neuron_name(neuron) for neuron, _ in hubs[:5]) + (
        " …" if len(hubs) > 5 else ""
    )
    axes.plot(
        np.arange(1, len(hubs) + 1), [value for _, value in hubs], "o",
        color=ORANGE, ms=3.5, label=f"{len(hubs)} hubs: {names}",
    )  # fmt: skip
    if topology.reliability:
        chance = max(0, n - 1) * topology.reliability.chance_abs_r
        label = f"white noise {chance:.1f}"
        axes.axhline(chance, color="black", ls=":", lw=1, label=label)
    axes.legend(loc="upper right", frameon=False, title=f"Gini {measures.strength_gini:.3f}")
    axes.set(xlabel="neuron, by rank of strength", ylabel="strength Σ|r| (dimensionless)")
    # The legend lies above the weaker neurons.
    room = strength[n * 2 // 5] / 0.62 if n else 1.0
    top = 1.04 * max(strength.max(initial=0), room)
    axes.set(xlim=(0.5, max(1, n) + 0.5), ylim=(0, top or 1.0))
    return figure


def histogram(topology: Topology, measures: Measures) -> Figure:
    """Draw the histogram of r over pairs of neurons, against the same number of pairs by chance."""
    r = edges(topology)
    between = topology.kind == "cross"
    figure, axes = framed(title(topology), SIZE)
    counts = histogram_of(r)
    axes.stairs(counts, BINS, fill=True, color=BLUE, alpha=0.75, label="observed")
    axes.axvline(0, color="0.4", lw=0.8, zorder=0)
    if topology.reliability and r.size:
        _chance(axes, topology.reliability, r.size)
    note = _numbers(topology, measures)
    axes.text(0.02, 0.97, note, transform=axes.transAxes, va="top", fontsize=9)
    axes.legend(loc="upper right", frameon=False, fontsize=9)
    axes.set(xlabel="correlation r (dimensionless)", xlim=(-1, 1))
    axes.set_ylabel("pairs of neurons, one of each layer" if between else "pairs of neurons")
    if r.size:
        log_scale(axes, "y")
        # Room for the text above the highest bin, on a logarithmic axis.
        axes.set_ylim(0.5, 12 * axes.dataLim.ymax)
    return figure


def histogram_of(r: NDArray[np.floating]) -> NDArray[np.int64]:
    """Count values in `BINS`; said to be of equal width, which is five times as fast."""
    return np.histogram(r, len(BINS) - 1, (BINS[0], BINS[-1]))[0]


def _numbers(topology: Topology, measures: Measures) -> str:
    lines = [f"mean |r| {measures.mean_abs_r:.3f}", chance_note(topology.reliability)]
    lines.append(f"mean r {measures.mean_r:+.3f}")
    if measures.split_half is not None:
        lines.append(f"split-half r {measures.split_half:.3f}")
    return "\n".join(filter(None, lines))


def chance_note(reliability: Reliability | None) -> str:
    """Return the chance levels of mean |r|, as far as they are known, in words."""
    if reliability is None:
        return ""
    null = reliability.null
    shifted = "" if null is None else f", shifted {null.mean_abs_r:.3f}"
    return f"(white noise {reliability.chance_abs_r:.3f}{shifted})"


def _chance(axes: Axes, reliability: Reliability, pairs: int) -> None:
    """Draw the pairs per bin under the circular-shift null if it was computed, else white noise."""
    null = reliability.null
    if null is not None:
        counts = np.asarray(null.counts, dtype=np.float64)
        label = f"circular-shift null ({null.shifts} ×, scaled)"
        axes.stairs(counts * pairs / counts.sum(), BINS, color=ORANGE, lw=1.2, label=label)
        return
    centre, width, variance = (BINS[1:] + BINS[:-1]) / 2, np.diff(BINS), reliability.noise
    density = np.exp(-(centre**2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
    label = f"white noise, normal with SD {np.sqrt(variance):.3f}"
    axes.plot(centre, pairs * width * density, color=ORANGE, ls="--", lw=1.2, label=label)


def spectrum(topology: Topology, measures: Measures) -> Figure:
    """Draw the eigenvalues by rank on log-log axes, with the upper edge of white noise.

    The largest eigenvalue of independent white noise is about `(1 + √(n v))²` (Marchenko and Pastur
    1967) with v the variance of an entry: a mean over examples of equal length weights all tokens
    alike, so its spectrum is that of one correlation over 1/v tokens. With unequal lengths the edge
    is a few per cent higher. Activations are autocorrelated, so unrelated ones exceed it, too.
    """
    eigen = measures.spectrum
    assert eigen is not None, topology.name
    values = np.asarray(eigen.eigenvalues, dtype=np.float64)
    zero = RESOLUTION * values.max(initial=0)
    shown = values > zero
    figure, axes = framed(title(topology), SIZE)
    rank = np.arange(1, len(values) + 1)
    axes.plot(rank[shown], values[shown], "o-", color=BLUE, ms=2.5, lw=0.8)
    lines = _spectrum_notes(eigen, measures.neurons, values, zero)
    if topology.reliability and shown.any():
        edge = (1 + np.sqrt(measures.neurons * topology.reliability.noise)) ** 2
        label = f"upper edge of white noise {edge:.2f} (Marchenko–Pastur)"
        axes.axhline(edge, color=ORANGE, ls="--", lw=1, label=label)
        lines.append(f"{int((values > edge).sum())} eigenvalues above white noise")
        axes.legend(loc="upper right", frameon=False, fontsize=9)
    axes.text(0.02, 0.03, "\n".join(lines), transform=axes.transAxes, va="bottom", fontsize=9)
    if shown.any():
        log_scale(axes, "x", "y")
    axes.set(xlabel="eigenvalue, by rank", ylabel="eigenvalue λ (dimensionless)")
    return figure


def _spectrum_notes(eigen: Spectrum, n: int, values: NDArray[np.float64], zero: float) -> list[str]:
    """Describe a spectrum, and the eigenvalues that are not drawn, a line each."""
    lines = [f"leading share {eigen.leading_share:.3f}"]
    if eigen.effective_rank is not None:
        lines.append(f"effective rank {eigen.effective_rank:.1f} of {n}")
    if len(values) < n:
        lines.append(f"only the {len(values)} largest of {n} eigenvalues were computed")
    if (void := int((np.abs(values) <= zero).sum())) > 0:
        lines.append(f"{void} are 0 up to rounding, not drawn")
    if (negative := int((values < -zero).sum())) > 0:
        mass = "" if eigen.negative_mass is None else f" (mass {eigen.negative_mass:.2g})"
        lines.append(f"{negative} are negative{mass}, not drawn")
    return lines
