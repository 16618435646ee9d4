"""Matching and merging, beside brute force over random tries."""

from itertools import product

import numpy as np
import pytest

from experiments.neuron_graphs.graph import START, WILDCARD, NeuronGraph, Path
from experiments.neuron_graphs.merge import merge_ignores
from experiments.neuron_graphs.predict import Predictor
from experiments.neuron_graphs.presets import PRESETS

the, a, big, red, cat, other = 1, 2, 3, 4, 5, 9


def last(graph: NeuronGraph, *tokens: int, greedy: bool = False) -> float:
    return float(Predictor(graph, greedy)(np.array(tokens, np.int32))[-1])


def matches(path: Path, tokens: tuple[int, ...], at: int) -> bool:
    """Say whether a path matches backwards from a position."""
    for step, wanted in enumerate(path):
        here = at - step
        if wanted == START:
            return here == -1
        if here < 0 or wanted not in (WILDCARD, tokens[here]):
            return False
    return True


def greedily(graph: NeuronGraph, tokens: tuple[int, ...], at: int) -> float:
    """Follow one path as the paper's code does."""
    below, node, found = graph.children, -1, 0.0
    while at >= -1:
        here = tokens[at] if at >= 0 else START
        fallback = below[node].get(WILDCARD) if at >= 0 else None
        step = below[node].get(here, fallback)
        if step is None:
            break
        node, at = step, at - 1
        if graph.end_count[node]:
            found = float(graph.end_max[node])
    return found


def random_graph(rng: np.random.Generator, starts: bool) -> NeuronGraph:
    paths = {}
    for _ in range(rng.integers(1, 7)):
        length = int(rng.integers(0, 4))
        context = rng.choice([WILDCARD, 1, 2, 3], length).tolist()
        while context and context[-1] == WILDCARD:
            context.pop()
        end = [START] if starts and rng.random() < 0.3 else []
        path = (int(rng.integers(1, 4)), *context, *end)
        paths[path] = float(np.float32(rng.random()))
    return NeuronGraph.of_paths(paths)


@pytest.mark.parametrize("seed", range(30))
def test_all_matching_paths_are_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, starts=True)
    merged = merge_ignores(graph)
    for _ in range(20):
        tokens = tuple(rng.integers(1, 5, rng.integers(1, 7)).tolist())
        found = Predictor(graph)(np.array(tokens, np.int32))
        one_path = Predictor(graph, greedy=True)(np.array(tokens, np.int32))
        for at in range(len(tokens)):
            values = [v for path, v in graph.ends.items() if matches(path, tokens, at)]
            assert found[at] == max(values, default=0.0)
            assert one_path[at] == greedily(graph, tokens, at)
        # Merged, one path fires wherever some path does.
        both = (Predictor(merged, greedy)(np.array(tokens, np.int32)) > 0 for greedy in (0, 1))
        assert np.array_equal(*both) or START in graph.token


def test_merging_moves_what_is_below_a_specific_token() -> None:
    merged = merge_ignores(
        NeuronGraph.of_paths({(cat, the): 0.9, (cat, WILDCARD, big): 0.7, (cat, a, red): 0.6})
    )
    assert merged.ends == pytest.approx(
        {(cat, the): 0.9, (cat, WILDCARD, big): 0.7, (cat, WILDCARD, red): 0.6}
    )
    expected = {
        (the, cat): 0.9, (big, the, cat): 0.9, (big, other, cat): 0.7, (red, a, cat): 0.6,
        (red, other, cat): 0.6, (other, cat): 0.0,
    }  # fmt: skip
    for (tokens, value), greedy in product(expected.items(), (False, True)):
        assert last(merged, *tokens, greedy=greedy) == pytest.approx(value)


def test_one_path_misses_what_all_paths_find_unless_they_are_merged() -> None:
    graph = NeuronGraph.of_paths({(cat, WILDCARD, red): 1.0, (cat, the, big): 1.0})
    assert last(graph, red, the, cat, greedy=True) == 0
    assert last(graph, red, the, cat) == 1
    assert last(graph, big, other, cat) == 0
    assert last(merge_ignores(graph), big, other, cat) == 1, "which was never seen"


def test_the_largest_end_counts_and_for_one_path_the_last() -> None:
    graph = NeuronGraph.of_paths({(cat, the): 0.55, (cat, WILDCARD, big): 0.95})
    assert last(graph, big, the, cat) == pytest.approx(0.95)
    assert last(graph, big, the, cat, greedy=True) == pytest.approx(0.55)


def test_a_preset_merges_or_not() -> None:
    graph = NeuronGraph.of_paths({(cat, WILDCARD, red): 1.0, (cat, the, big): 1.0})
    never_seen = np.array([big, other, cat], np.int32)
    assert Predictor.of(graph, PRESETS["consistent"])(never_seen).max() == 0
    assert Predictor.of(graph, PRESETS["paper_text"])(never_seen).max() == 0
    assert Predictor.of(graph, PRESETS["paper_code"])(never_seen)[-1] == 1


def test_unknown_tokens_match_nothing_but_wildcards() -> None:
    graph = NeuronGraph.of_paths({(cat, WILDCARD, the): 1.0})
    assert last(graph, the, 10**6, cat) == 1
    assert last(graph, 10**6, the, cat) == 0
