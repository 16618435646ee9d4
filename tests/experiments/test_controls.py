"""A control is another model than the one that it is to control for."""

from dataclasses import replace

from experiments.controls import embeddings, random_weights, untrained
from probe.api import compose


def test_no_random_model_has_the_weights_of_the_given_one() -> None:
    own = compose("init=random", "init.seed=1")
    config = replace(own, init=replace(own.init, kind=compose().init.kind))
    assert [one.init.seed for one in untrained(config, 3)] == [0, 1, 2]
    assert [one.init.seed for one in untrained(own, 3)] == [0, 2, 3]
    assert all(one.init.kind == own.init.kind for one in untrained(config, 3))
    assert untrained(own, 0) == []


def test_controls_read_the_same_texts_of_the_same_architecture() -> None:
    config = compose("data.limit=3", "layers=2", "site=mlp")
    assert random_weights(config, 7) == compose(
        "data.limit=3", "layers=2", "site=mlp", "init=random", "init.seed=7"
    )
    assert random_weights(random_weights(config, 7), 0).init == compose("init=random").init
    assert embeddings(config) == compose("data.limit=3", "site=embedding")
