"""What is known of a measure: its name for readers, and how to read it.

A measure that is not listed is shown all the same, under its own name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

GROUPS = ("Correlation", "Strength", "Spectrum", "Graph", "Other")


@dataclass(frozen=True)
class Entry:
    """One measure.

    Attributes
    ----------
    label : str
        Short name, the head of a column.
    group : str
        Table in which it stands, one of `GROUPS`.
    help : str
        How to read it; empty where nothing is known.
    headline : bool
        Whether it stands in the summary.
    """

    label: str
    group: str
    help: str
    headline: bool = False


_CORRELATION = {
    "mean_abs_r": Entry(
        "mean |r|", "Correlation",
        "Mean size of the correlation over all pairs of neurons. The sign of a neuron is "
        "arbitrary, so |r| counts, not r. Read it beside the chance level: only what is above "
        "it is correlation.", True,
    ),
    "chance_abs_r": Entry(
        "chance |r|", "Correlation",
        "Mean |r| that independent white noise would show over as many tokens. Activations "
        "are smoother than noise, so that true chance is above this; the null says by how much.",
        True,
    ),
    "null_mean_abs_r": Entry(
        "null |r|", "Correlation",
        "Mean |r| after every series was shifted circularly by itself, which keeps its own "
        "dynamics and ends what it shares with the others: the chance level to beat.", True,
    ),
    "null_quantile": Entry(
        "null |r| quantile", "Correlation",
        "Quantile of |r| under the circular-shift null: a pair above it is rarely chance.",
    ),
    "mean_r2": Entry("mean r²", "Correlation", "Mean of r² over all pairs: variance shared."),
    "debiased_r2": Entry(
        "debiased r²", "Correlation",
        "Mean r² less what white noise adds: comparable between texts of unlike length.", True,
    ),
    "split_half": Entry(
        "split-half r", "Correlation",
        "Correlation between the topologies of two halves of the documents. Near 1, the "
        "topology hardly depends on which documents were read; differences between topologies "
        "mean little where it is low.", True,
    ),
    "full_length": Entry(
        "reliability", "Correlation",
        "Agreement to expect with a second topology of as many documents (Spearman-Brown "
        "formula, from the split halves).", True,
    ),
    "share_above": Entry(
        "pairs, |r| >", "Correlation", "Share of the pairs whose |r| is above the number."
    ),
    "mean_r": Entry(
        "mean r", "Correlation", "Mean with its sign, which flips with a neuron's: no headline."
    ),
    "first_token_norm": Entry(
        "first token", "Correlation",
        "Norm of the first token counted over the median norm. Far above 1 it is an attention "
        "sink that rules the correlations; data.skip_first=1 leaves it out.",
    ),
}  # fmt: skip
_STRENGTH = {
    "strength_mean": Entry(
        "mean strength", "Strength", "A neuron's strength is the sum of |r| with all the others."
    ),
    "strength_gini": Entry(
        "Gini of strength", "Strength",
        "How unequal the strengths are: 0 where all are the same, towards 1 where few neurons "
        "have all.", True,
    ),
    "neurons": Entry("neurons", "Strength", "Neurons that ever varied; the others are left out."),
}  # fmt: skip
_SPECTRUM = {
    "participation_ratio": Entry(
        "participation ratio", "Spectrum",
        "Effective dimension n²/‖R‖²: how many independent neurons would be as spread out, "
        "from 1 to n.", True,
    ),
    "leading_share": Entry(
        "leading share", "Spectrum", "Share of the variance along the first eigenvector."
    ),
    "effective_rank": Entry(
        "effective rank", "Spectrum", "Exponential of the entropy of the eigenvalues, from 1 to n."
    ),
    "negative_mass": Entry(
        "negative mass", "Spectrum",
        "Share of the eigenvalues' sizes below 0: averages of Fisher or of differing counts "
        "need not be positive semidefinite. Far from 0, read the spectrum with care.",
    ),
}  # fmt: skip
_GRAPH = {
    "threshold": Entry("threshold", "Graph", "Smallest |r| that became an edge."),
    "edges": Entry("edges", "Graph", "Number of edges."),
    "components": Entry("parts", "Graph", "Parts of the graph without an edge between them."),
    "largest_share": Entry(
        "largest part", "Graph", "Share of the neurons in the largest connected part."
    ),
    "clustering": Entry(
        "clustering", "Graph", "How often two neighbours of a neuron are neighbours, 0 to 1."
    ),
    "path_length": Entry(
        "path length", "Graph", "Mean number of edges between neurons of the largest part."
    ),
    "communities": Entry("communities", "Graph", "Communities of two or more neurons."),
    "modularity": Entry(
        "modularity", "Graph",
        "How much more the communities are linked inside than in a graph of the same degrees "
        "at random. Random graphs have communities too: read it beside its null.", True,
    ),
    "modularity_null": Entry(
        "modularity, null", "Graph",
        "Modularity of rewired graphs, which keep every neuron's degree.", True,
    ),
    "small_world": Entry(
        "small world", "Graph",
        "Clustering over path length, each beside rewired graphs of the same degrees. Above 1 "
        "is common, also for untrained networks: compare, do not conclude.",
    ),
    "assortativity": Entry(
        "assortativity", "Graph",
        "Correlation between the degrees of linked neurons: above 0, hubs link with hubs.",
    ),
    "rich_club": Entry(
        "rich club", "Graph",
        "How densely the hubs are linked among themselves, over rewired graphs of the same "
        "degrees: above 1, more than their degrees alone would have it.",
    ),
    "rich_club_degree": Entry(
        "rich club degree", "Graph", "Number of edges that a neuron of the rich club exceeds."
    ),
}  # fmt: skip
MEASURES = _CORRELATION | _STRENGTH | _SPECTRUM | _GRAPH

FIGURES = {
    "heatmap": "The matrix: one row and one column a neuron, correlations from -1 to 1.",
    "strength": "Strengths of all neurons from the strongest on; the hubs are the left end.",
    "histogram": "How often each correlation occurs among the pairs of neurons.",
    "spectrum": "Eigenvalues of the matrix from the largest on: how many directions share it.",
    "measures_by_layer": "How the measures change from layer to layer.",
    "hub_overlap": "How many of their hubs two layers share.",
    "cross_layers": "Mean |r| between the neurons of every two layers.",
    "summary": "The runs of the sweep beside each other.",
}


def entry(name: str) -> Entry:
    """Look a measure up, by its name up to a threshold, a quantile or a density in it.

    Examples
    --------
    >>> entry("share_above_0.3").label
    'pairs, |r| > 0.3'
    >>> entry("modularity_null_at_0.05").label
    'modularity, null at 0.05'
    >>> entry("something_new")
    Entry(label='something new', group='Other', help='', headline=False)
    """
    if name in MEASURES:
        return MEASURES[name]
    known = [key for key in MEASURES if re.fullmatch(re.escape(key) + r"_(at_)?[\d.]+", name)]
    if not known:
        return Entry(name.replace("_", " "), "Other", "")
    key = max(known, key=len)
    rest = name.removeprefix(key + "_").replace("_", " ")
    return replace(MEASURES[key], label=f"{MEASURES[key].label} {rest}")
