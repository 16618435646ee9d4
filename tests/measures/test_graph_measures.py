"""The measures of a graph at a density, against rewired graphs; signs and order do not matter."""

from itertools import combinations
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from probe.config import DensityRule, MeasuresConfig
from probe.measures import Graph
from probe.measures.graph_measures import NULL, GraphMeasures, _too_large, graph_measures
from probe.measures.rewiring import rewired
from probe.measures.structure import clustering, path_length, rich_club
from probe.topology import sparsify
from tests.topologies import random_correlations

Matrix = NDArray[np.float32]


def correlations(n: int, seed: int = 0, series: int = 8) -> Matrix:
    return np.asarray(random_correlations(n, seed, series), dtype=np.float32)


def adjacency(known: nx.Graph) -> Matrix:
    matrix = nx.to_numpy_array(known, weight=None, dtype=np.float32)
    np.fill_diagonal(matrix, 1)
    return matrix


def measured(matrix: Matrix, density: float = 1, hubs: int = 3, **changed: Any) -> GraphMeasures:
    return graph_measures(matrix, density, hubs, MeasuresConfig(**changed))[0]


def test_every_measure_is_that_of_networkx() -> None:
    matrix = correlations(60, seed=1, series=20)
    found = measured(matrix, 0.1)
    known = nx.from_numpy_array(np.abs(sparsify(matrix, 0.1)))
    parts = sorted(nx.connected_components(known), key=len)
    assert found.edges == known.number_of_edges() == 177
    assert found.threshold == pytest.approx(min(w for *_, w in known.edges.data("weight")))
    assert found.components == len(parts)
    assert found.largest_share == len(parts[-1]) / 60
    assert found.clustering == pytest.approx(nx.average_clustering(known))
    hops = nx.average_shortest_path_length(known.subgraph(parts[-1]))
    assert found.path_length == pytest.approx(hops)
    assert found.assortativity == pytest.approx(nx.degree_assortativity_coefficient(known))
    theirs = nx.community.louvain_communities(known, seed=0)
    assert found.modularity == pytest.approx(nx.community.modularity(known, theirs), abs=0.03)


def test_null_measures_are_relative_to_the_mean_of_rewired_graphs() -> None:
    """With many rewired graphs, it matters little which ones."""
    matrix = correlations(60, seed=1, series=20)
    found = measured(matrix, 0.1, hubs=6, rewired=40, seed=1)
    graph = Graph.of(sparsify(matrix, 0.1))
    component = graph.largest_component()
    rng, degree = np.random.default_rng(5), found.rich_club_degree
    assert degree == sorted(graph.degrees)[-7]
    others = [rewired(graph, rng) for _ in range(40)]
    club = np.mean([rich_club(other, degree) for other in others])
    assert found.rich_club == pytest.approx(rich_club(graph, degree) / club, rel=0.1)
    parts = [rewired(component, rng) for _ in range(40)]
    c = clustering(component) / np.mean([clustering(part) for part in parts])
    hops = path_length(component) / np.mean([path_length(part) for part in parts])
    assert found.small_world == pytest.approx(c / hops, rel=0.1)


def test_a_lattice_with_shortcuts_is_a_small_world_and_a_random_graph_is_none() -> None:
    small = measured(adjacency(nx.watts_strogatz_graph(150, 8, 0.1, seed=1))).small_world
    random = measured(adjacency(nx.gnm_random_graph(150, 600, seed=1))).small_world
    assert small > 4
    assert random == pytest.approx(1, abs=0.25)


def test_the_long_ways_of_a_lattice_count_against_a_small_world() -> None:
    lattice = nx.watts_strogatz_graph(150, 6, 0)
    c, hops = [], []
    for seed in range(5):
        swapped = lattice.copy()
        nx.double_edge_swap(swapped, nswap=4500, max_tries=10**6, seed=seed)
        c.append(nx.average_clustering(swapped))
        hops.append(nx.average_shortest_path_length(swapped))
    ratio = nx.average_shortest_path_length(lattice) / np.mean(hops)
    assert ratio > 3
    expected = nx.average_clustering(lattice) / np.mean(c) / ratio
    assert measured(adjacency(lattice)).small_world == pytest.approx(expected, rel=0.3)


def test_modularity_is_above_its_null_where_communities_are_and_only_there() -> None:
    planted = adjacency(nx.random_partition_graph([30] * 5, 0.4, 0.02, seed=1))
    found = measured(planted)
    assert found.communities == 5
    assert found.modularity > found.modularity_null + 0.2
    found = measured(adjacency(nx.gnm_random_graph(150, 600, seed=1)))
    assert found.modularity == pytest.approx(found.modularity_null, abs=0.02)


def test_hubs_that_keep_to_themselves_are_a_rich_club() -> None:
    known = nx.gnm_random_graph(100, 200, seed=1)
    known.add_edges_from(combinations(range(10), 2))
    assert measured(adjacency(known), hubs=8).rich_club > 1.7
    random = nx.gnm_random_graph(100, 400, seed=1)
    assert measured(adjacency(random), hubs=20).rich_club == pytest.approx(1, abs=0.2)


@given(st.integers(2, 24), st.sampled_from([0.05, 0.2, 0.6]), st.integers(0, 1000))
@settings(max_examples=25, deadline=None, derandomize=True, database=None)
def test_signs_and_order_of_the_neurons_do_not_matter(n: int, density: float, seed: int) -> None:
    matrix, rng = correlations(n, seed), np.random.default_rng(seed)
    signs, order = rng.choice([-1, 1], n).astype(np.float32), rng.permutation(n)
    same = measured(matrix, density, rewired=1)
    assert measured(matrix * np.outer(signs, signs), density, rewired=1) == same
    numbers = measured(matrix[np.ix_(order, order)], density, rewired=0).numbers()
    for name, value in measured(matrix, density, rewired=0).numbers().items():
        if name not in ("communities", "modularity"):  # Louvain's order is random
            assert numbers[name] == pytest.approx(value, abs=1e-9), name


def test_the_seed_decides_about_what_is_random() -> None:
    matrix = correlations(40, seed=3)
    assert measured(matrix, 0.2) == measured(matrix, 0.2)
    one, other = measured(matrix, 0.2), measured(matrix, 0.2, seed=1)
    assert one.small_world != other.small_world
    assert one.clustering == other.clustering


def test_the_paper_s_rule_counts_the_diagonal_and_so_keeps_fewer_edges() -> None:
    matrix = correlations(50, seed=2, series=30)
    pairs = measured(matrix, 0.1, rewired=0)
    paper = measured(matrix, 0.1, rewired=0, density_rule=DensityRule.paper)
    assert (pairs.rule, paper.rule) == ("pairs", "paper")
    assert pairs.edges == 122  # 0.1 · 50 · 49 / 2
    assert paper.edges == 100  # (0.1 · 50² - 50) / 2


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_a_graph_without_edges_has_few_measures(n: int) -> None:
    found, labels, skipped = graph_measures(np.eye(n, dtype=np.float32), 0.5, 1, MeasuresConfig())
    assert labels.tolist() == list(range(n))
    assert skipped == {}
    wanted = {"edges": 0, "components": n, "communities": 0}
    if n:
        wanted |= {"clustering": 0, "largest_share": 1 / n}
    if n > 1:
        wanted |= {"rich_club_degree": 0}
    assert found.numbers() == wanted


@pytest.mark.filterwarnings("error")
def test_a_density_too_small_for_one_edge() -> None:
    assert measured(correlations(5), 0.01).edges == 0


@pytest.mark.filterwarnings("error")
def test_a_complete_graph_cannot_be_rewired() -> None:
    found = measured(np.ones((8, 8), dtype=np.float32))
    assert found.edges == 28
    assert found.clustering == found.path_length == found.largest_share == found.threshold == 1
    assert found.small_world == 1
    assert found.modularity == found.modularity_null == pytest.approx(0)
    assert found.assortativity is None, "all degrees are the same"
    assert (found.rich_club, found.rich_club_degree) == (None, 7)


@pytest.mark.filterwarnings("error")
def test_components_that_are_not_joined_have_a_path_length_each_in_the_largest() -> None:
    found = measured(adjacency(nx.disjoint_union(nx.complete_graph(6), nx.path_graph(4))))
    assert (found.components, found.largest_share, found.path_length) == (2, 0.6, 1)
    assert found.small_world == 1, "of the largest component, which is complete"


def test_without_rewired_graphs_nothing_is_compared() -> None:
    found = measured(correlations(30), 0.2, rewired=0)
    assert found.small_world is found.rich_club is found.modularity_null is None
    assert found.modularity is not None


@pytest.mark.parametrize(
    ("limit", "value", "reason", "names"),
    [
        ("EDGES", 86, "87 edges are more than 86", {"communities", "modularity"}),
        ("REWIRED_EDGES", 434, "435 edges of rewired graphs are more than 434", set(NULL)),
    ],
)
def test_what_would_take_too_long_is_skipped_with_the_reason(
    limit: str, value: int, reason: str, names: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix, config = correlations(30), MeasuresConfig()
    whole, _, nothing = graph_measures(matrix, 0.2, 3, config)
    assert nothing == {}
    monkeypatch.setattr(f"probe.measures.graph_measures.{limit}", value)
    found, labels, skipped = graph_measures(matrix, 0.2, 3, config)
    assert skipped == dict.fromkeys(names, reason)
    assert all(getattr(found, name) is None for name in names)
    rest = set(whole.numbers()) - names
    assert {name: found.numbers()[name] for name in rest} == {
        name: whole.numbers()[name] for name in rest
    }
    assert (labels is None) == ("communities" in names)
    monkeypatch.setattr(f"probe.measures.graph_measures.{limit}", value + 1)
    assert graph_measures(matrix, 0.2, 3, config)[2] == {}


def test_where_neurons_are_too_many_nothing_is_done_for_all_pairs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("probe.measures.graph_measures.NEURONS", 29)
    found, labels, skipped = graph_measures(correlations(30), 0.2, 3, MeasuresConfig())
    assert skipped == {
        **dict.fromkeys(("clustering", "path_length"), "30 neurons are more than 29"),
        **dict.fromkeys(NULL, "30 neurons of rewired graphs are more than 29"),
    }
    assert found.clustering is found.path_length is found.modularity_null is None
    assert labels is not None


def test_nothing_is_skipped_up_to_4096_neurons_with_five_rewired_graphs() -> None:
    pairs = 4096 * 4095 // 2
    edges = np.arange(pairs // 10)
    graph = Graph(4096, edges // 4095, edges % 4095 + 1, np.ones(len(edges)))
    assert _too_large(graph, rewirings=5) == {}


def test_nodes_without_edges_change_nothing_for_rewired_graphs() -> None:
    """So the graph is not rewired twice, as a whole and its largest component."""
    known = nx.gnm_random_graph(40, 160, seed=2)
    one = measured(adjacency(known), hubs=6)
    known.add_nodes_from(range(40, 50))
    more = measured(adjacency(known), hubs=6)
    for name in ("small_world", "modularity", "modularity_null", "rich_club", "path_length"):
        assert getattr(more, name) == pytest.approx(getattr(one, name), abs=1e-12), name
    assert more.clustering == pytest.approx(one.clustering * 40 / 50)
