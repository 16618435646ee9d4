"""Measures of structure agree with networkx, with brute force, and with graphs that are known."""

from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.measures import Graph
from probe.measures.structure import (
    assortativity,
    clustering,
    hub_degree,
    path_length,
    rich_club,
)

repeatable = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def graph_of(known: nx.Graph) -> Graph:
    return Graph.of(nx.to_numpy_array(known, dtype=np.float32))


@st.composite
def random_graphs(draw: st.DrawFn) -> nx.Graph:
    n, share = draw(st.integers(1, 25)), draw(st.sampled_from([0, 0.05, 0.1, 0.3, 0.8, 1]))
    return nx.gnp_random_graph(n, share, seed=draw(st.integers(0, 10_000)))


def test_a_graph_is_made_of_the_entries_that_are_not_zero() -> None:
    matrix = np.array([[0, -0.5, 0], [-0.5, 0, 0.25], [0, 0.25, 0]], dtype=np.float32)
    graph = Graph.of(matrix)
    assert (graph.n, graph.edges) == (3, 2)
    assert list(zip(graph.first, graph.second, graph.weight, strict=True)) == [
        (0, 1, 0.5), (1, 2, 0.25),
    ]  # fmt: skip
    assert graph.degrees.tolist() == [1, 2, 1]
    np.testing.assert_array_equal(graph.adjacency(), matrix != 0)


@given(random_graphs())
@repeatable
def test_components_are_those_of_networkx(known: nx.Graph) -> None:
    graph = graph_of(known)
    labels = graph.components()
    found = {frozenset(np.flatnonzero(labels == label).tolist()) for label in set(labels)}
    assert found == set(map(frozenset, nx.connected_components(known)))
    sizes = map(len, nx.connected_components(known))
    assert graph.largest_component().n == max(sizes)


def test_the_largest_component_keeps_its_edges_and_their_weights() -> None:
    matrix = np.zeros((6, 6), dtype=np.float32)
    for a, b, weight in [(0, 3, 0.9), (1, 4, 0.5), (4, 5, 0.25)]:
        matrix[a, b] = matrix[b, a] = weight
    part = Graph.of(matrix).largest_component()
    assert part.n == 3
    kept = sorted(zip(part.first.tolist(), part.second.tolist(), part.weight, strict=True))
    assert kept == [(0, 1, 0.5), (1, 2, 0.25)], "neurons 1, 4 and 5, renumbered"


@given(random_graphs())
@repeatable
def test_clustering_and_paths_are_those_of_networkx(known: nx.Graph) -> None:
    graph = graph_of(known)
    assert clustering(graph) == pytest.approx(nx.average_clustering(known), abs=1e-12)
    largest = known.subgraph(max(nx.connected_components(known), key=len))
    if len(largest) < 2:
        assert path_length(graph) is None
    elif sum(len(part) == len(largest) for part in nx.connected_components(known)) == 1:
        assert path_length(graph) == pytest.approx(nx.average_shortest_path_length(largest))


@pytest.mark.parametrize(("n", "k"), [(20, 4), (31, 6), (40, 10)])
def test_a_ring_lattice_has_the_clustering_of_watts_and_strogatz(n: int, k: int) -> None:
    """C = 3(k - 2) / 4(k - 1), and the farthest node is n/k hops away."""
    graph = graph_of(nx.watts_strogatz_graph(n, k, 0))
    assert clustering(graph) == pytest.approx(3 * (k - 2) / (4 * (k - 1)))
    around = [min(step, n - step) for step in range(1, n)]
    hops = [-(-step // (k // 2)) for step in around]
    assert path_length(graph) == pytest.approx(np.mean(hops))


def test_a_star_has_no_clustering_two_hops_and_opposite_degrees() -> None:
    star = graph_of(nx.star_graph(9))
    assert clustering(star) == 0
    assert path_length(star) == pytest.approx((9 * 1 + 36 * 2) / 45)
    assert assortativity(star) == pytest.approx(-1)


def test_a_long_path_is_walked_to_its_end() -> None:
    assert path_length(graph_of(nx.path_graph(60))) == pytest.approx(61 / 3)


@given(random_graphs())
@repeatable
def test_assortativity_is_that_of_networkx(known: nx.Graph) -> None:
    degrees = {degree for edge in known.edges for degree in map(known.degree, edge)}
    found = assortativity(graph_of(known))
    if len(degrees) < 2:
        assert found is None
    else:
        assert found == pytest.approx(nx.degree_assortativity_coefficient(known), abs=1e-9)


def test_assortativity_of_the_karate_club_is_the_published_one() -> None:
    karate = nx.karate_club_graph()
    for *_, edge in karate.edges(data=True):
        edge["weight"] = 1
    assert assortativity(graph_of(karate)) == pytest.approx(-0.4756, abs=1e-4)


@given(random_graphs(), st.integers(0, 24))
@repeatable
def test_the_rich_club_counts_edges_between_nodes_of_more_than_a_degree(
    known: nx.Graph, degree: int
) -> None:
    rich = [node for node in known if known.degree(node) > degree]
    found = rich_club(graph_of(known), degree)
    if len(rich) < 2:
        assert found is None
    else:
        joined = [known.has_edge(a, b) for a, b in combinations(rich, 2)]
        assert found == pytest.approx(np.mean(joined))


@given(random_graphs(), st.integers(1, 25))
@repeatable
def test_no_more_than_the_hubs_exceed_the_hub_degree(known: nx.Graph, hubs: int) -> None:
    graph = graph_of(known)
    degree = hub_degree(graph, hubs)
    if degree is None:
        assert hubs >= graph.n
        return
    assert (graph.degrees > degree).sum() <= hubs
    assert (graph.degrees >= degree).sum() > hubs, "a smaller degree would let too many in"


@pytest.mark.filterwarnings("error")
def test_graphs_of_no_node_and_of_no_edge() -> None:
    nothing, lonely = graph_of(nx.empty_graph(0)), graph_of(nx.empty_graph(3))
    assert (clustering(nothing), clustering(lonely)) == (None, 0)
    assert path_length(nothing) is path_length(lonely) is None
    assert assortativity(nothing) is assortativity(lonely) is None
    assert nothing.components().size == 0
    assert hub_degree(nothing, 1) is None
    assert rich_club(lonely, 0) is None
