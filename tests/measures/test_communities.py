"""Communities are those that were planted, and modularity is what it is defined to be."""

from itertools import product

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from probe.measures import Graph
from probe.measures.communities import _joined, _loosened, _shared, communities, louvain, modularity
from probe.measures.compiled import networkit
from probe.measures.rewiring import rewired
from probe.topology import sparsify
from tests.topologies import random_correlations


def graph_of(known: nx.Graph) -> Graph:
    return Graph.of(nx.to_numpy_array(known, dtype=np.float32))


def weighted(n: int, share: float, seed: int) -> nx.Graph:
    known = nx.gnp_random_graph(n, share, seed=seed)
    rng = np.random.default_rng(seed)
    for *_, edge in known.edges(data=True):
        edge["weight"] = float(np.float32(rng.uniform(0.1, 1)))
    return known


def sets(labels: np.ndarray) -> list[set[int]]:
    return [set(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)]


def start() -> np.random.Generator:
    return np.random.default_rng(0)


@given(st.integers(2, 30), st.sampled_from([0.1, 0.3, 1]), st.integers(0, 1000))
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
def test_modularity_is_its_sum_over_pairs_and_networkx_s(n: int, share: float, seed: int) -> None:
    known = weighted(n, share, seed)
    if known.number_of_edges() == 0:
        return
    labels = np.random.default_rng(seed).integers(4, size=n)
    matrix = nx.to_numpy_array(known)
    strength, total = matrix.sum(axis=1), matrix.sum()
    same = labels[:, None] == labels
    by_pairs = ((matrix - np.outer(strength, strength) / total) * same).sum() / total
    found = modularity(graph_of(known), labels)
    assert found == pytest.approx(by_pairs, abs=1e-9)
    assert found == pytest.approx(nx.community.modularity(known, sets(labels)), abs=1e-9)


def test_two_cliques_with_one_edge_between_are_two_communities() -> None:
    cliques = nx.barbell_graph(6, 0)
    labels, score = communities(graph_of(cliques), start())
    assert labels.tolist() == [0] * 6 + [1] * 6
    # 15 of 31 edges in each, whose nodes have half of all ends.
    assert score == pytest.approx(2 * (15 / 31 - 1 / 4))


def test_a_planted_partition_is_recovered() -> None:
    sizes = [40, 30, 20, 10]
    inside = np.where(np.eye(4, dtype=bool), 0.6, 0.04)
    labels, _ = communities(graph_of(nx.stochastic_block_model(sizes, inside, seed=3)), start())
    assert labels.tolist() == np.repeat(range(4), sizes).tolist()


def test_the_karate_club_reaches_the_best_modularity_there_is() -> None:
    """0.4198 is the largest possible (Brandes et al. 2008)."""
    karate = nx.karate_club_graph()
    for *_, edge in karate.edges(data=True):
        edge["weight"] = 1
    labels, score = communities(graph_of(karate), start())
    assert score is not None
    assert 0.415 < score <= 0.4198 + 1e-4
    assert max(labels) == 3


def test_the_search_ends_above_the_best_of_ten_starts() -> None:
    graph, rng = graph_of(weighted(150, 0.1, seed=3)), start()
    scores = [modularity(graph, louvain(graph, rng)) for _ in range(10)]
    labels, best = communities(graph, start())
    assert len(set(scores)) > 1
    assert best is not None
    assert best > max(scores)
    assert best == modularity(graph, labels)


@pytest.mark.parametrize("seed", range(5))
def test_a_partition_of_groups_has_the_modularity_of_its_nodes(seed: int) -> None:
    known, rng = weighted(40, 0.2, seed), np.random.default_rng(seed)
    groups = np.unique(rng.integers(12, size=40), return_inverse=True)[1]
    graph = graph_of(known)
    joined = _joined(graph, groups)
    labels = rng.integers(4, size=joined.n)
    expected = nx.community.modularity(known, sets(labels[groups]))
    assert modularity(joined, labels) == pytest.approx(expected, abs=1e-6)
    # What the compiled library sees of it: edges of a group to itself count both their ends.
    found = networkit().community.Modularity()
    partition = networkit().community.PLM(joined.weighted, par="none").run().getPartition()
    theirs = np.array(partition.getVector())
    assert found.getQuality(partition, joined.weighted) == pytest.approx(modularity(joined, theirs))


def test_what_is_loosened_stands_alone_and_all_else_together() -> None:
    labels = np.repeat(np.arange(10), 100)
    for whole in (False, True):
        groups = _loosened(labels, whole, start())
        sizes = np.bincount(groups)[groups]
        assert set(np.unique(groups)) == set(range(groups.max() + 1))
        share = (sizes == 1).mean()
        assert 0.1 < share < 0.5
        for community in range(10):
            held = groups[(labels == community) & (sizes > 1)]
            assert len(np.unique(held)) == (0 if whole and not len(held) else 1)
            assert not whole or len(held) in (0, 100)


def test_nodes_stay_together_where_two_partitions_agree() -> None:
    one, other = np.array([0, 0, 1, 1, 2]), np.array([1, 1, 1, 0, 0])
    assert _shared(one, other).tolist() == [0, 0, 2, 1, 3]


def nx_louvain(graph: Graph, seed: int) -> np.ndarray:
    known = nx.Graph()
    known.add_nodes_from(range(graph.n))
    known.add_weighted_edges_from(zip(graph.first, graph.second, graph.weight, strict=True))
    labels = np.empty(graph.n, dtype=np.int64)
    for number, nodes in enumerate(nx.community.louvain_communities(known, seed=seed)):
        labels[list(nodes)] = number
    return labels


def planted(inside: float, seed: int) -> tuple[Graph, np.ndarray]:
    """Six blocks; below 0.2 within them they are hardly to be seen."""
    rng = np.random.default_rng(seed)
    block = np.sort(rng.integers(6, size=200))
    share = np.where(block[:, None] == block, inside, 0.05)
    weight = rng.uniform(0.2, 1, share.shape) * (rng.random(share.shape) < share)
    upper = np.triu(weight, 1)
    return Graph.of((upper + upper.T).astype(np.float32)), block


@pytest.mark.parametrize("inside", [0.18, 0.22, 0.26, 0.3, 0.4])
def test_planted_blocks_are_found_at_least_as_well_as_by_networkx(inside: float) -> None:
    found, theirs = [], []
    for seed in range(4):
        graph, block = planted(inside, seed)
        labels, score = communities(graph, start())
        others = [nx_louvain(graph, number) for number in (0, 1)]
        assert score is not None
        assert score >= max(modularity(graph, other) for other in others) - 1e-12
        found.append(adjusted_rand_score(block, labels))
        theirs += [adjusted_rand_score(block, other) for other in others]
    assert np.mean(found) >= np.mean(theirs)


@pytest.mark.parametrize(("n", "series"), [(90, 8), (120, 12), (150, 20), (200, 40), (250, 60)])
def test_modularity_of_topologies_is_no_lower_than_by_networkx(n: int, series: int) -> None:
    matrix = np.asarray(random_correlations(n, seed=n, series=series), dtype=np.float32)
    graph = Graph.of(sparsify(matrix, 0.1))
    for each in (graph, rewired(graph, np.random.default_rng(n))):
        score = communities(each, start())[1]
        assert score is not None
        assert score >= max(modularity(each, nx_louvain(each, seed)) for seed in (0, 1)) - 1e-12


def test_the_same_seed_gives_the_same_communities_whatever_was_run_before() -> None:
    graph = graph_of(weighted(150, 0.1, seed=3))
    first, _ = communities(graph, start())
    rewired(graph, np.random.default_rng(7))
    again, _ = communities(graph_of(weighted(150, 0.1, seed=3)), start())
    np.testing.assert_array_equal(first, again)


def test_no_node_would_be_better_in_another_community() -> None:
    graph = graph_of(weighted(60, 0.1, seed=5))
    labels = louvain(graph, start())
    score = modularity(graph, labels)
    assert max(labels) > 2
    for node, other in product(range(60), range(max(labels) + 1)):
        moved = labels.copy()
        moved[node] = other
        assert modularity(graph, moved) <= score + 1e-9


def test_weights_decide_where_edges_are_all_there() -> None:
    matrix = np.full((9, 9), 0.1, dtype=np.float32)
    for group in ([0, 3, 6], [1, 4, 7], [2, 5, 8]):
        matrix[np.ix_(group, group)] = 0.9
    np.fill_diagonal(matrix, 0)
    assert communities(Graph.of(matrix), start())[0].tolist() == [0, 1, 2] * 3


def test_communities_are_numbered_by_size_then_by_their_first_node() -> None:
    known = nx.disjoint_union_all([nx.empty_graph(1), *map(nx.complete_graph, (2, 4, 3, 2))])
    labels, _ = communities(graph_of(known), start())
    assert labels.tolist() == [4] + [2, 2] + [0] * 4 + [1] * 3 + [3, 3]


def test_without_edges_every_node_is_alone() -> None:
    labels, score = communities(graph_of(nx.empty_graph(3)), start())
    assert labels.tolist() == [0, 1, 2]
    assert score is None
