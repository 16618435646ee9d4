"""Graphs of oracles: what is planted is found, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.neuron_graphs.baselines import NgramLookup, TokenLookup
from experiments.neuron_graphs.graph import START, WILDCARD, NeuronGraph
from experiments.neuron_graphs.metrics import match
from experiments.neuron_graphs.predict import Predictor
from experiments.neuron_graphs.presets import PRESETS
from experiments.neuron_graphs.records import Match
from experiments.neuron_graphs.texts import Text
from experiments.neuron_graphs.validate import Evidence, validate
from experiments.neuron_graphs.visual import visual
from tests.experiments.neuron_graphs.oracles import (
    BIG,
    CAT,
    DOG,
    RED,
    THE,
    A,
    Oracle,
    bigram,
    either,
    fitted,
    random_texts,
    skipgram,
    text,
    unigram,
    when,
)


def seen(texts: list[Text]) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.array(one.tokens, np.int32), one.activations) for one in texts]


def scored(oracle: Oracle, graph: NeuronGraph, train: list[Text], test: list[Text]) -> list[Match]:
    """Return how the graph and both lookups do."""
    scores = validate(Predictor(graph), Evidence(seen(train), seen(test), seen(test)))
    return [scores.graph, scores.token, scores.ngram]


PLANTED = {
    "unigram": (unigram, [(9, 8, CAT, 7), (BIG, CAT, 10)], {(CAT,): 1.0}),
    "bigram": (bigram, [(9, THE, CAT, 7), (BIG, 8, THE, CAT)], {(CAT, THE): 1.0}),
    "skip-gram": (
        skipgram, [(9, THE, 8, CAT), (BIG, THE, RED, CAT), (10, THE, BIG, CAT)],
        {(CAT, WILDCARD, THE): 1.0},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize("preset", ["consistent", "paper_text", "paper_code"])
def test_what_is_planted_is_found_and_foretells_other_texts(name: str, preset: str) -> None:
    oracle, texts, paths = PLANTED[name]
    graph = fitted(oracle, texts, preset=PRESETS[preset]).graph
    assert graph.ends == paths
    train = [text(oracle, *ids) for ids in texts]
    test = random_texts(oracle, 40, 60, seed=1)
    own, token, ngram = scored(oracle, graph, train, test)
    assert own == Match(1.0, 1.0, 1.0)
    assert own.f1 >= token.f1
    assert ngram.f1 <= own.f1


def test_the_token_lookup_is_as_precise_as_the_bigram_is_common() -> None:
    train, test = [text(bigram, 9, THE, CAT)], random_texts(bigram, 40, 60, seed=2)
    own, token, _ = scored(bigram, fitted(bigram, [(9, THE, CAT)]).graph, train, test)
    cats = sum(one.tokens.count(CAT) for one in test)
    fires = sum(int(one.activations.sum()) for one in test)
    assert 0 < fires < cats
    assert token.precision == fires / cats
    assert token.recall == own.recall == 1


def test_substitutes_find_the_other_words_that_it_fires_on() -> None:
    train = [(9, THE, CAT)] * 10
    test = [text(either, 9, word, CAT) for word in (THE, A, BIG) for _ in range(10)]
    plain, found = fitted(either, train), fitted(either, train, [A, BIG, DOG])
    assert plain.graph.ends == {(CAT, THE): 1.0}
    assert found.graph.ends == {(CAT, THE): 1.0, (CAT, A): 1.0}
    assert (found.proposed, found.accepted) == (10 * 6, 10)
    texts = [text(either, *ids) for ids in train]
    without, token, _ = scored(either, plain.graph, texts, test)
    assert (without.precision, without.recall) == (1, 0.5)
    assert without.f1 == pytest.approx(2 / 3)
    assert (token.precision, token.recall) == (pytest.approx(2 / 3), 1)
    assert token.f1 == pytest.approx(0.8)
    assert scored(either, found.graph, texts, test)[0] == Match(1.0, 1.0, 1.0)


def test_two_meanings_are_two_components() -> None:
    def fires(ids: tuple[int, ...], at: int) -> float:
        before = ids[at - 1] if at else -1
        return {(THE, CAT): 1.0, (A, DOG): 0.8}.get((before, ids[at]), 0.0)

    graph = fitted(when(fires), [(9, THE, CAT, 7), (8, A, DOG)]).graph
    assert graph.ends == {(CAT, THE): 1.0, (DOG, A): pytest.approx(0.8)}
    assert (graph.parent == -1).sum() == 2
    drawn = visual(graph)
    assert drawn.n_components == 2
    activating = {int(drawn.token[n]): float(drawn.activation[n]) for n in range(len(drawn))
                  if drawn.depth[n] == 0}  # fmt: skip
    assert activating == {CAT: pytest.approx(1.0), DOG: pytest.approx(0.8)}


@pytest.mark.parametrize(
    ("threshold", "base", "path"),
    [
        *((0.75, base, (CAT, THE)) for base in (0.2,)),
        *((0.75, base, (CAT,)) for base in (0.25, 0.3, 0.4)),
        *((0.5, base, (CAT, THE)) for base in (0.2, 0.25, 0.3, 0.4, 0.49)),
        *((0.5, base, (CAT,)) for base in (0.5, 0.6)),
    ],
)
def test_one_threshold_needs_in_a_path_what_it_needs_to_fire(
    threshold: float, base: float, path: tuple[int, ...]
) -> None:
    def graded(ids: tuple[int, ...], at: int) -> float:
        if ids[at] != CAT:
            return 0.0
        return 1.0 if at and ids[at - 1] == THE else base

    preset = replace(PRESETS["consistent"], importance=threshold)
    assert list(fitted(when(graded), [(9, THE, CAT, 7)], preset=preset).graph.ends) == [path]


def test_a_distance_that_was_not_seen_is_not_foretold() -> None:
    """A limitation of the method: a wildcard is one token."""
    near = when(lambda ids, at: ids[at] == CAT and THE in ids[max(0, at - 4) : at])
    graph = fitted(near, [(THE, CAT), (9, 8, 7, 10, THE, RED, CAT)]).graph
    # The second text is cut to "the red cat".
    assert set(graph.ends) == {(CAT, THE), (CAT, WILDCARD, THE)}
    assert Predictor(graph)(np.array([THE, 8, 9, CAT], np.int32)).tolist() == [0, 0, 0, 0]


def test_firing_at_the_start_of_a_text_is_a_path_of_its_own() -> None:
    first = when(lambda _, at: at == 0)
    texts = [(9, 8, CAT), (THE, CAT, 7)]
    graph = fitted(first, texts).graph
    assert set(graph.ends) == {(9, START), (THE, START)}
    predict = Predictor(graph)
    assert predict(np.array([THE, 9, THE], np.int32)).tolist() == [1, 0, 0]
    assert predict(np.array([BIG, THE, 9], np.int32)).tolist() == [0, 0, 0]
    anywhere = Predictor(fitted(first, texts, wildcard_pivot=True).graph)
    assert anywhere(np.array([BIG, THE, 9], np.int32)).tolist() == [1, 0, 0]
    # As published there is no such path: the graph fires at these words wherever they are.
    paper = fitted(first, texts, preset=PRESETS["paper_text"]).graph
    assert set(paper.ends) == {(9,), (THE,)}


def test_the_start_is_needed_only_where_it_is_asked_for() -> None:
    """A text that happens to start with what is needed."""
    assert fitted(bigram, [(THE, CAT, 7)]).graph.ends == {(CAT, THE): 1.0}
    second = when(lambda ids, at: at == 1 and ids[at] == CAT)
    assert set(fitted(second, [(9, CAT, 7)]).graph.ends) == {(CAT, WILDCARD, START)}


def test_somewhere_before_is_found_at_every_distance_that_was_seen() -> None:
    before = when(lambda ids, at: ids[at] == CAT and A in ids[:at])
    texts = [(9, A, *[8] * gap, CAT) for gap in range(4)]
    graph = fitted(before, texts).graph
    assert set(graph.ends) == {(CAT, *[WILDCARD] * gap, A) for gap in range(4)}


def test_the_papers_code_also_reads_the_rest_of_the_sentence() -> None:
    """Whatever fires there has a path, too, with what it needs before it."""
    after = when(
        lambda ids, at: ids[at] == CAT or (ids[at] == DOG and CAT in ids[:at] and at > 0) * 0.9
    )
    ids, stop = (9, 8, 7, 10, CAT, 8, DOG, BIG, 7, DOG), frozenset({BIG})
    rules = {"preset": PRESETS["paper_code"], "ends": stop}
    paths = {(CAT,): 1.0, (DOG, WILDCARD, CAT): pytest.approx(0.9)}
    assert fitted(after, [ids], **rules).graph.ends == paths, "the second dog is too far"
    early = (9, 8, 7, 10, CAT, BIG, DOG)
    assert fitted(after, [early], **rules).graph.ends == {(CAT,): 1.0}, "the sentence has ended"
    assert fitted(after, [ids]).graph.ends == {(CAT,): 1.0}


def test_the_papers_code_varies_a_text_that_cannot_be_shortened() -> None:
    far = when(lambda ids, at: (ids[at] in (CAT, DOG)) * (1.0 if at >= 35 else 0.3))
    ids = (*[9] * 40, CAT)
    found = fitted(far, [ids], [DOG], preset=PRESETS["paper_code"])
    assert (set(found.graph.ends), found.long) == ({(CAT,), (DOG,)}, 1)
    assert fitted(far, [ids], [DOG]).proposed == 0


def test_what_never_fires_has_an_empty_graph() -> None:
    never = when(lambda *_: 0.0)
    graph = fitted(never, [(9, THE, CAT)]).graph
    assert len(graph) == 0
    assert Predictor(graph)(np.array([9, THE, CAT], np.int32)).tolist() == [0, 0, 0]
    assert not NgramLookup([])(np.array([CAT], np.int32)).any()
    assert not TokenLookup([])(np.array([CAT], np.int32)).any()


def test_texts_below_half_of_the_largest_activation_are_of_no_use() -> None:
    weak = when(lambda ids, at: {CAT: 1.0, DOG: 0.45}.get(ids[at], 0.0))
    assert fitted(weak, [(9, CAT), (9, DOG)]).graph.ends == {(CAT,): 1.0}


def test_the_order_of_the_texts_does_not_show() -> None:
    rng = np.random.default_rng(0)
    texts = [one.tokens for one in random_texts(either, 12, 25, seed=3)]
    graphs = {
        fitted(either, [texts[n] for n in rng.permutation(12)], [A, BIG, DOG]).graph.to_json()
        for _ in range(4)
    }
    assert len(graphs) == 1


def test_match_is_what_scikit_learn_counts() -> None:
    from sklearn.metrics import precision_recall_fscore_support

    rng = np.random.default_rng(0)
    true, said = rng.random(200) < 0.3, rng.random(200) < 0.4
    expected = precision_recall_fscore_support(true, said, average="binary")[:3]
    found = match(true, said)
    assert (found.precision, found.recall, found.f1) == pytest.approx(expected)
