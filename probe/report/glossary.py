"""Names of the measures for readers, and how to read them.

A measure that is not listed is shown under its own name.
"""

import re
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Entry:
    """One measure.

    Attributes
    ----------
    label : str
        Short name, used as a column head.
    help : str
        How to read it; empty for a measure that is not listed.
    headline : bool
        Whether the summary shows it.
    group : str
        The table it belongs to, one of `GROUPS`.
    """

    label: str
    help: str = ""
    headline: bool = False
    group: str = "Other"


_CORRELATION = {
    "mean_abs_r": Entry(
        "mean |r|",
        "Mean absolute correlation over all pairs of neurons. The sign of a neuron is arbitrary, "
        "so |r| counts, not r. Compare it with the chance level: only the excess is correlation.",
        True,
    ),
    "chance_abs_r": Entry(
        "chance level",
        "Mean |r| of independent white noise over as many tokens. Activations are "
        "autocorrelated, so the true chance level is higher; the circular-shift null shows by how "
        "much.", True,
    ),
    "null_mean_abs_r": Entry(
        "null |r|",
        "Mean |r| under the circular-shift null: every series is shifted by a random amount, which "
        "preserves its autocorrelation and removes what it shares with the others. This is the "
        "chance level to beat.", True,
    ),
    "null_quantile": Entry(
        "null |r| quantile",
        "Quantile of |r| under the circular-shift null: few pairs exceed it by chance.",
    ),
    "mean_r2": Entry("mean r²", "Mean of r² over all pairs: shared variance."),
    "debiased_r2": Entry(
        "debiased r²",
        "Mean r² corrected for white noise: comparable between texts of different lengths.", True,
    ),
    "split_half": Entry(
        "split-half r",
        "Correlation between the topologies of two halves of the documents. Near 1, the topology "
        "hardly depends on which documents were read; if it is low, differences between topologies "
        "mean little.", True,
    ),
    "full_length": Entry(
        "reliability",
        "Expected correlation with a topology of as many other documents (Spearman-Brown formula, "
        "from split-half r).", True,
    ),
    "strongest_share": Entry(
        "one token",
        "Share in the topology of the one token of each text with the largest norm: near 1, the "
        "matrix shows little but that token; data.sinks=drop leaves such tokens out.", True,
    ),
    "share_above": Entry("pairs, |r| >", "Share of pairs with |r| above this value."),
    "mean_r": Entry("mean r", "Signed mean. It depends on the arbitrary signs of the neurons."),
    "first_token_norm": Entry(
        "first token",
        "Norm of the first token counted, divided by the median norm. Far above 1, it is a norm "
        "outlier (an attention sink) that dominates the correlations; data.skip_first=1 omits it.",
    ),
    "largest_norm": Entry(
        "largest token", "Norm of a text's largest token, divided by the median, on average."
    ),
    "tokens_above": Entry(
        "outlying tokens", "Tokens with more than data.drop_norm times the median norm of the text."
    ),
}  # fmt: skip
_STRENGTH = {
    "strength_mean": Entry(
        "mean strength", "A neuron's strength is the sum of |r| with all other neurons."
    ),
    "strength_gini": Entry(
        "Gini of strength",
        "Inequality of the strengths: 0 if all are equal, towards 1 if few neurons have all.", True,
    ),
    "neurons": Entry("neurons", "Neurons that varied; constant ones are left out."),
}  # fmt: skip
_SPECTRUM = {
    "participation_ratio": Entry(
        "effective dimension",
        "n²/‖R‖², the participation ratio of the eigenvalues: the number of independent neurons "
        "with the same spread, from 1 to n.", True,
    ),
    "leading_share": Entry("leading share", "Share of the variance along the first eigenvector."),
    "effective_rank": Entry(
        "effective rank", "Exponential of the entropy of the eigenvalues, from 1 to n."
    ),
    "negative_mass": Entry(
        "negative mass",
        "Share of negative eigenvalues in the sum of all magnitudes. Fisher means, and means whose "
        "entries average different examples, need not be positive semidefinite; far from 0, read "
        "the spectrum with care.",
    ),
}  # fmt: skip
_GRAPH = {
    "threshold": Entry("threshold", "Smallest |r| among the edges."),
    "edges": Entry("edges", "Number of edges."),
    "components": Entry("components", "Number of connected components."),
    "largest_share": Entry("largest component", "Share of the neurons in the largest component."),
    "clustering": Entry(
        "clustering", "How often two neighbours of a neuron are connected, from 0 to 1."
    ),
    "path_length": Entry("path length", "Mean shortest path in the largest component, in edges."),
    "communities": Entry("communities", "Communities with at least two neurons."),
    "modularity": Entry(
        "modularity",
        "How much denser the communities are inside than expected from the degrees alone. Random "
        "graphs have communities too: compare it with its null.", True,
    ),
    "modularity_null": Entry(
        "modularity, null",
        "Modularity of rewired graphs: random ones of the same degrees and weights.", True,
    ),
    "small_world": Entry(
        "small world",
        "Clustering divided by path length, each relative to rewired graphs of the same degrees. "
        "Above 1 is common, also for untrained networks: a comparison, not evidence.",
    ),
    "assortativity": Entry(
        "assortativity",
        "Correlation between the degrees of connected neurons: above 0, hubs connect to hubs.",
    ),
    "rich_club": Entry(
        "rich club",
        "Density of connections among the hubs, relative to rewired graphs of the same degrees: "
        "above 1, they are denser than their degrees alone imply.",
    ),
    "rich_club_degree": Entry(
        "rich club degree", "The number of edges that neurons of the rich club exceed."
    ),
}  # fmt: skip
_GROUPS = {
    "Correlation": _CORRELATION, "Strength": _STRENGTH, "Spectrum": _SPECTRUM, "Graph": _GRAPH
}  # fmt: skip
GROUPS = (*_GROUPS, "Other")
MEASURES = {
    name: replace(measure, group=group)
    for group, measures in _GROUPS.items()
    for name, measure in measures.items()
}

FIGURES = {
    "heatmap": "The matrix: a row and a column for each neuron. Darkest: the strongest 1 % of |r|.",
    "heatmaps": "All matrices, each in colours up to its own limit, which is written above it.",
    "strength": "Strengths of all neurons in descending order; the hubs are at the left end.",
    "histogram": "Distribution of the correlations over pairs of neurons.",
    "spectrum": "Eigenvalues of the matrix in descending order.",
    "measures_by_layer": "The main measures of each layer.",
    "hub_overlap": "Share of hubs that two layers have in common.",
    "measures_by_layer_without_sinks": "The same without tokens of an outlying norm.",
    "hub_overlap_without_sinks": "The same without tokens of an outlying norm.",
    "cross_layers": "Mean |r| between the neurons of each pair of layers.",
    "summary": "The runs of the sweep side by side.",
    "summary_without_sinks": "The same without tokens of an outlying norm.",
}


def entry(name: str) -> Entry:
    """Look up a measure by its name, which may end in a threshold, a quantile or a density.

    Examples
    --------
    >>> entry("share_above_0.3").label
    'pairs, |r| > 0.3'
    >>> entry("modularity_null_at_0.05").label
    'modularity, null at 0.05'
    >>> entry("something_new")
    Entry(label='something new', help='', headline=False, group='Other')
    """
    if name in MEASURES:
        return MEASURES[name]
    keys = [key for key in MEASURES if re.fullmatch(re.escape(key) + r"_(at_)?[\d.]+", name)]
    if not keys:
        return Entry(name.replace("_", " "))
    key = max(keys, key=len)
    rest = name.removeprefix(key + "_").replace("_", " ")
    return replace(MEASURES[key], label=f"{MEASURES[key].label} {rest}")
