"""The roles of tokens in a graph: those that fire, and the context that they need before them."""

from dataclasses import dataclass

from experiments.neuron_graphs.graph import NeuronGraph

ACTIVATING, CONTEXT = "activating", "context"
ROLES = (ACTIVATING, CONTEXT)


@dataclass(frozen=True)
class Posting:
    """A token in a role.

    Attributes
    ----------
    token : int
        Its id.
    role : {"activating", "context"}
        Whether it fires, or is needed before a token that does; it can have both roles.
    weight : float
        The largest activation of an activating token, as a share of the unit's largest; the
        largest importance of a context token.
    depth : int
        The least number of tokens that it stands before the end of a path's match; 0 at the end.
    """

    token: int
    role: str
    weight: float
    depth: int


def postings(graph: NeuronGraph, fire: float) -> list[Posting]:
    """Return the roles of all tokens of a graph, wildcards and the start of the text left out.

    A path begins with an activating token; a context token that itself fires is one too, as in
    the published stores (Foote et al. 2023).

    Examples
    --------
    >>> for each in postings(NeuronGraph.of_paths({(5, -1, 1): 0.75, (1,): 0.5}), 0.5):
    ...     print(each.token, each.role, each.weight, each.depth)
    1 activating 0.5 0
    1 context 1.0 2
    5 activating 0.75 0
    """
    found: dict[tuple[int, str], tuple[float, int]] = {}
    columns = (graph.token, graph.depth, graph.activation, graph.importance)
    for token, depth, activation, importance in zip(
        *(column.tolist() for column in columns), strict=True
    ):
        for role, weight, has in (
            (ACTIVATING, activation, depth == 0 or activation > fire),
            (CONTEXT, importance, depth > 0),
        ):
            if has and token >= 0:
                heaviest, least = found.get((token, role), (weight, depth))
                found[token, role] = max(heaviest, weight), min(least, depth)
    return [Posting(*key, *value) for key, value in sorted(found.items())]
