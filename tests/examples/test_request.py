"""A request reaches the ranks as it was made."""

import io
from dataclasses import dataclass, fields, replace

import numpy as np
import pytest

from probe.config import (
    AverageConfig,
    Config,
    Cut,
    DataConfig,
    DType,
    InitConfig,
    InitKind,
    LayersConfig,
    ModelConfig,
    Scheme,
    Selection,
    Side,
    Site,
    SubjectConfig,
    Weight,
)
from probe.examples.batches import Batch
from probe.examples.counting import Dropped
from probe.examples.partition import MatrixSpec
from probe.examples.request import Request

CONFIG = Config(
    model=ModelConfig(id="Org/Name", dtype=DType.bfloat16, padding_side=Side.left),
    data=DataConfig(source="text", path="é/mine.txt", cut=Cut.tokens, window=8, limit=None),
    subject=SubjectConfig(name="law", mmlu=["jurisprudence"], sample=["law"]),
    layers=LayersConfig(selection=Selection.single, index=[3, 7]),
    average=AverageConfig(scheme=Scheme.fisher, weight=Weight.token, parts=2, std=True),
    init=InitConfig(kind=InitKind.random, seed=5),
    site=Site.attention,
)
BATCHES = [
    Batch([1, 0], [[5, 6, 7], [8, 9]], 0),
    Batch([2], [[300_000, 0, 1, 2]], 1),
    Batch([4, 3], [[1], [2]], 1, [(0, 1), (1, 1)]),
]
DROPPED = [replace(batch, dropped=Dropped((2, 7))) for batch in BATCHES]
WANTED = [
    MatrixSpec("layer_3_part1", [3], [0], "mean", 1, 2),
    MatrixSpec("layer_7", [7], [0, 1], halves=True),
]
REQUEST = Request(CONFIG, [3, 7], BATCHES, ["a/0", "né", "c\n", "", "e"], "17", WANTED)


@pytest.mark.parametrize(
    "request_made",
    [
        REQUEST,
        Request(Config(data=DataConfig(source="sample")), [0], BATCHES[:1], ["a", "b"], "x", []),
        replace(REQUEST, batches=DROPPED),
        replace(REQUEST, describe=False),
        replace(REQUEST, batches=[]),
    ],
    ids=["full", "plain", "dropped", "undescribed", "empty"],
)
def test_a_request_survives_being_packed(request_made: Request) -> None:
    again = Request.from_bytes(request_made.to_bytes())
    assert again == request_made
    assert Request.config_of(request_made.to_bytes()) == request_made.config
    # Equality of a text and an enum of texts says nothing of their types.
    assert type(again.config.site) is Site
    assert type(again.config.model.dtype) is DType
    assert type(again.config.average.scheme) is Scheme
    assert type(again.config.layers.selection) is Selection


def test_packed_token_ids_are_plain_integers_again() -> None:
    again = Request.from_bytes(REQUEST.to_bytes())
    assert {type(i) for batch in again.batches for ids in batch.ids for i in ids} == {int}


def test_a_packed_request_holds_no_pickle() -> None:
    with np.load(io.BytesIO(REQUEST.to_bytes()), allow_pickle=False) as arrays:
        assert all(arrays[name].dtype != object for name in arrays)


def test_the_examples_are_counted_by_their_names() -> None:
    assert REQUEST.n_examples == 5


def test_the_keys_of_a_study_are_not_packed() -> None:
    @dataclass
    class Settings(Config):
        study: str = "mine"

    ours = Settings(**{field.name: getattr(CONFIG, field.name) for field in fields(Config)})
    assert replace(REQUEST, config=ours).to_bytes() == REQUEST.to_bytes()
