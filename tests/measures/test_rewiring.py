"""Rewired graphs keep every degree and are otherwise random, none of them preferred."""

from collections import Counter
from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from probe.measures import Graph
from probe.measures.rewiring import rewired
from probe.measures.structure import clustering

Edges = frozenset[tuple[int, int]]


def graph_of(known: nx.Graph) -> Graph:
    matrix = nx.to_numpy_array(known, dtype=np.float32)
    weights = np.triu(np.random.default_rng(1).random(matrix.shape, dtype=np.float32) + 0.1, 1)
    return Graph.of(matrix * (weights + weights.T))


def edges(graph: Graph) -> Edges:
    pairs = zip(graph.first.tolist(), graph.second.tolist(), strict=True)
    return frozenset((min(pair), max(pair)) for pair in pairs)


@given(st.integers(0, 30), st.sampled_from([0.05, 0.2, 0.5, 0.9, 1]), st.integers(0, 1000))
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
def test_degrees_weights_and_number_of_edges_stay(n: int, share: float, seed: int) -> None:
    graph = graph_of(nx.gnp_random_graph(n, share, seed=seed))
    found = rewired(graph, np.random.default_rng(seed))
    np.testing.assert_array_equal(found.degrees, graph.degrees)
    assert sorted(found.weight) == sorted(graph.weight)
    assert len(edges(found)) == graph.edges, "no edge is double"
    assert (found.first != found.second).all(), "no edge is a loop"


def test_the_given_graph_is_left_alone() -> None:
    graph = graph_of(nx.karate_club_graph())
    before = edges(graph)
    assert edges(rewired(graph, np.random.default_rng(0))) != before
    assert edges(graph) == before


def test_the_same_seed_gives_the_same_graph() -> None:
    graph = graph_of(nx.karate_club_graph())
    one, same, other = (rewired(graph, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert edges(one) == edges(same) != edges(other)


def all_graphs_with(degrees: list[int]) -> list[Edges]:
    """Every graph with these degrees, by trying all sets of edges."""
    pairs = list(combinations(range(len(degrees)), 2))
    found = []
    for chosen in combinations(pairs, sum(degrees) // 2):
        counts = Counter(node for pair in chosen for node in pair)
        if [counts[node] for node in range(len(degrees))] == degrees:
            found.append(frozenset(chosen))
    return found


@pytest.mark.parametrize("degrees", [[3, 2, 2, 2, 1], [3, 3, 2, 2, 1, 1], [3, 3, 3, 2, 2, 1]])
def test_every_graph_with_the_degrees_is_as_likely(degrees: list[int]) -> None:
    possible = all_graphs_with(degrees)
    graph, rng = graph_of(nx.havel_hakimi_graph(degrees)), np.random.default_rng(0)
    counts: Counter[Edges] = Counter()
    for _ in range(100 * len(possible)):
        graph = rewired(graph, rng, rounds=6)
        counts[edges(graph)] += 1
    assert set(counts) <= set(possible)
    assert chisquare([counts[each] for each in possible]).pvalue > 0.01


@pytest.mark.campaign
@pytest.mark.parametrize(
    "degrees", [[2] * 6, [4, 3, 3, 2, 2, 2], [5, 3, 3, 3, 2, 2], [3] * 6, [2, 2, 2, 2, 1, 1, 0]]
)
def test_as_many_rounds_as_are_made_forget_the_given_graph(degrees: list[int]) -> None:
    """Each starts from the same graph.

    (networkx makes as many swaps as it is told to, not as many attempts, which prefers graphs that
    few swaps lead out of: it is no reference for this.)
    """
    possible = all_graphs_with(degrees)
    given, rng = graph_of(nx.havel_hakimi_graph(degrees)), np.random.default_rng(1)
    found = Counter(edges(rewired(given, rng)) for _ in range(200 * len(possible)))
    assert set(found) <= set(possible)
    assert chisquare([found[each] for each in possible]).pvalue > 0.01


def test_clustering_falls_to_that_of_swaps_made_one_by_one() -> None:
    lattice = nx.watts_strogatz_graph(80, 6, 0.02, seed=1)
    graph = graph_of(lattice)
    rng = np.random.default_rng(0)
    found = [clustering(rewired(graph, rng)) for _ in range(12)]
    single = []
    for seed in range(12):
        swapped = lattice.copy()
        nx.double_edge_swap(swapped, nswap=10 * graph.edges, max_tries=10**6, seed=seed)
        single.append(nx.average_clustering(swapped))
    error = np.hypot(np.std(found), np.std(single)) / np.sqrt(12)
    assert np.mean(found) == pytest.approx(np.mean(single), abs=4 * error)
    assert np.mean(found) < clustering(graph) / 4


def test_weights_are_dealt_to_edges_wherever_these_are() -> None:
    graph = graph_of(nx.watts_strogatz_graph(60, 4, 0))
    matrix = np.zeros((60, 60))
    for seed in range(400):
        found = rewired(graph, np.random.default_rng(seed))
        matrix[found.first, found.second] += found.weight
    strength = (matrix + matrix.T).sum(axis=1) / 400
    # All nodes have four edges; a mean of 1600 weights has this error.
    error = graph.weight.std() * np.sqrt(4 / 400)
    assert np.abs(strength - 4 * graph.weight.mean()).max() < 4.5 * error
