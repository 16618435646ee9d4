"""Mean |r| of all pairs of layers."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from probe.measures import Measures
from probe.plots.distributions import chance_note
from probe.plots.style import SHARES, name_rows_and_columns, single, title, write_values
from probe.topology import Topology


def cross_layers(measured: Sequence[tuple[Topology, Measures]]) -> Figure:
    """Draw mean |r| between the neurons of each pair of layers, averaged over parts."""
    means = defaultdict(list)
    for topology, measures in measured:
        means[topology.layers].append(measures.mean_abs_r)
    layers = sorted({layer for pair in means for layer in pair})
    mean = np.full((len(layers), len(layers)), np.nan)
    for (first, second), values in means.items():
        i, j = layers.index(first), layers.index(second)
        mean[i, j] = mean[j, i] = np.mean(values)
    figure, axes = single(title(*(topology for topology, _ in measured)), (6.4, 5.4))
    image = axes.imshow(mean, cmap=SHARES, vmin=0)
    write_values(axes, image)
    name_rows_and_columns(axes, layers)
    axes.set(xlabel="layer", ylabel="layer")
    chance = chance_note(measured[0][0].reliability)
    figure.colorbar(image, ax=axes, label=f"mean |r| (dimensionless) {chance}".strip())
    return figure
