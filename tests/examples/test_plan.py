"""A configuration and its texts become examples, layers, matrices and batches."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probe.api import View
from probe.cli import compose_job
from probe.config import (
    AverageConfig,
    Coefficient,
    Config,
    LayersConfig,
    Scheme,
    Selection,
)
from probe.data import Document
from probe.errors import UserError
from probe.examples.choose import Example
from probe.examples.partition import MatrixSpec
from probe.examples.plan import plan_extraction
from probe.extraction.perplexity import perplexities
from tests.tiny_models import CONTEXT, LAYERS, save_tiny

# Each longer than the one before, and none longer than the context.
TEXTS = ["The river carries sand. " * n for n in (1, 2, 3, 4, 5)]
DOCUMENTS = [Document(f"d{i}", text) for i, text in enumerate(TEXTS)]

prepare = partial(plan_extraction, score=perplexities)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("llama", tmp_path_factory.mktemp("model") / "llama")


@pytest.fixture(scope="module")
def config(model: Path) -> Config:
    return compose_job(
        ["model=local", f"model.path={model}", "data=sample", "data.min_tokens=4",
         "runtime.token_budget=200"]
    )  # fmt: skip


def layers(selection: str, index: Any = None) -> LayersConfig:
    return LayersConfig(Selection(selection), index)


def test_a_layer_that_is_not_there_is_told_before_any_text_is_read(config: Config) -> None:
    def read() -> Iterator[Document]:
        raise AssertionError("a text was read")
        yield

    with pytest.raises(UserError, match=f"layer {LAYERS} is not in llama"):
        prepare(replace(config, layers=layers("single", LAYERS)), read())


def test_one_matrix_of_all_layers_is_asked_for_over_two_halves(config: Config) -> None:
    request, examples = prepare(config, DOCUMENTS)
    assert request.matrices == [MatrixSpec("all_layers", [0, 1, 2], [0, 1], halves=True)]
    assert request.layers == [0, 1, 2]
    assert request.names == [example.document for example in examples.chosen]
    assert request.names == [f"d{i}" for i in range(5)]
    for cell, expected in enumerate(([0, 2, 4], [1, 3])):
        found = [m for batch in request.batches if batch.cell == cell for m in batch.members]
        assert sorted(found) == expected
    for batch in request.batches:
        assert batch.ids == [examples.chosen[member].ids for member in batch.members]
        assert len(batch.members) == 1 or len(batch.members) * len(batch.ids[0]) <= 200


def test_layers_and_parts_are_each_a_matrix(config: Config) -> None:
    asked = replace(
        config,
        layers=layers("single", [2, 0]),
        average=AverageConfig(scheme=Scheme.fisher, parts=2, halves=False),
    )
    request, _ = prepare(asked, DOCUMENTS)
    assert request.layers == [0, 2]
    assert request.matrices == [
        MatrixSpec(f"layer_{layer}_part{part}", [layer], [part - 1], "fisher", part, 2)
        for layer in (0, 2)
        for part in (1, 2)
    ]


def test_every_request_has_a_name_of_its_own(config: Config) -> None:
    assert prepare(config, DOCUMENTS)[0].run != prepare(config, DOCUMENTS)[0].run


def test_views_take_the_place_of_layers_and_averages(config: Config) -> None:
    told: list[tuple[int, int]] = []

    def views(n_examples: int, n_layers: int) -> list[View]:
        told.append((n_examples, n_layers))
        return [
            View("all", (0, 1), 0, n_examples, "fisher"),
            View("start", (0, 1), 0, 2, "fisher"),
            View("end", (n_layers - 1,), 1, n_examples),
        ]

    # A layer that is not there would be a mistake.
    request, _ = prepare(replace(config, layers=layers("single", 99)), DOCUMENTS, views)
    assert told == [(5, LAYERS)]
    assert request.layers == [0, 1, 2]
    assert request.matrices == [
        MatrixSpec("all", [0, 1], [0, 1, 2], "fisher"),
        MatrixSpec("start", [0, 1], [0, 1], "fisher"),
        MatrixSpec("end", [2], [1, 2]),
    ]
    cells = [
        sorted(m for b in request.batches if b.cell == cell for m in b.members) for cell in range(3)
    ]
    assert cells == [[0], [1], [2, 3, 4]]


def test_texts_that_the_model_cannot_read_whole_are_left_out(config: Config) -> None:
    long = Document("long", TEXTS[-1] * 3)
    request, examples = prepare(config, [*DOCUMENTS, long])
    assert examples.skipped == {f"more than {CONTEXT} tokens": 1}
    assert request.n_examples == 5


@pytest.mark.parametrize(("file", "key"), [
    ("config.json", "max_position_embeddings"), ("tokenizer_config.json", "model_max_length"),
])  # fmt: skip
def test_the_context_is_that_of_the_model_or_of_its_tokenizer_whichever_is_less(
    file: str, key: str, model: Path, config: Config, tmp_path: Path
) -> None:
    short = tmp_path / "short"
    short.mkdir()
    for each in model.iterdir():
        if each.suffix == ".json":
            content = json.loads(each.read_text())
            if each.name == file:
                assert content[key] == CONTEXT
                content[key] = 50
            (short / each.name).write_text(json.dumps(content))
    asked = replace(config, model=replace(config.model, path=str(short)))
    _, examples = prepare(asked, DOCUMENTS)
    assert max(len(example.ids) for example in examples.chosen) <= 50
    assert list(examples.skipped) == ["more than 50 tokens"]


def test_perplexity_chooses_by_the_scores_handed_in(config: Config) -> None:
    asked = replace(config, data=replace(config.data, perplexity=[20.0, 80.0]))
    told: list[tuple[int, Config]] = []

    def score(examples: Sequence[Example], config: Config) -> np.ndarray:
        told.append((len(examples), config))
        return np.array([3.0, 1.0, 2.0, 5.0, 4.0])

    request, examples = plan_extraction(asked, DOCUMENTS, score=score)
    assert told == [(5, asked)]
    assert request.names == ["d0", "d2", "d4"]
    assert examples.skipped == {"perplexity outside percentiles 20 to 80": 2}
    told.clear()
    plan_extraction(config, DOCUMENTS, score=score)
    assert told == []


def test_parts_without_a_text_are_refused(config: Config) -> None:
    asked = replace(config, average=AverageConfig(parts=6))
    with pytest.raises(UserError, match="is more than the 5 examples"):
        prepare(asked, DOCUMENTS)


VIEW = View("x", (0,), 0, 5)


@pytest.mark.parametrize(
    ("views", "message"),
    [
        ([], "no view is given, so there is nothing to extract; give one or more"),
        ([VIEW, View("y", (1,), 0, 5), View("x", (1,), 1, 2)],
         "2 views are named 'x'; give each a name of its own"),
        *(
            ([VIEW, View("y", (0,), start, stop)],
             f"view 'y' goes from example {start} up to {stop}, but there are 5; give a start and "
             "a later stop from 0 to 5")
            for start, stop in ((0, 6), (-1, 3), (2, 2), (3, 2))
        ),
        *(
            ([View("y", layers, 0, 5)],
             f"view 'y' has layers {list(layers)}; give one or more of 0 to 2")
            for layers in ((), (3,), (0, -1))
        ),
        ([View("y", (2, 1, 2), 0, 5)], "view 'y' names a layer twice; name each once"),
    ],
)  # fmt: skip
def test_views_that_cannot_be_are_refused(views: list[View], message: str, config: Config) -> None:
    with pytest.raises(UserError) as caught:
        prepare(config, DOCUMENTS, lambda *_: views)
    assert str(caught.value) == message


def test_a_view_that_joins_all_texts_has_no_ranks(config: Config) -> None:
    ranked = replace(config, average=AverageConfig(correlation=Coefficient.spearman))
    with pytest.raises(UserError, match="a view's scheme is pooled; use mean or fisher"):
        prepare(ranked, DOCUMENTS, lambda *_: [VIEW, View("y", (1,), 0, 5, "pooled")])


def test_examples_that_no_view_has_are_not_read(config: Config) -> None:
    views = [View("a", (0,), 1, 2), View("b", (0,), 3, 4)]
    request, _ = prepare(config, DOCUMENTS, lambda *_: views)
    assert sorted(m for batch in request.batches for m in batch.members) == [1, 3]
    assert [matrix.cells for matrix in request.matrices] == [[0], [1]]
    assert request.n_examples == 2
    assert len(request.names) == 5
