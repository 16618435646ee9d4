"""A selection of layers becomes their numbers in the model."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from probe.config import Config, LayersConfig, ModelConfig, Selection, Site
from probe.errors import UserError
from probe.examples.layers import layers_of, resolve_layers
from tests.tiny_models import LAYERS, save_tiny

MODEL = Config(model=ModelConfig(name="llama"))


def layers(selection: str, index: Any = None) -> LayersConfig:
    return LayersConfig(Selection(selection), index)


@pytest.mark.parametrize(
    ("selection", "index", "expected"),
    [
        ("all", None, [0, 1, 2, 3, 4, 5]),
        ("each", None, [0, 1, 2, 3, 4, 5]),
        ("middle", None, [3]),
        ("single", 4, [4]),
        ("single", 0, [0]),
        ("single", [5, 2], [2, 5]),
    ],
)
def test_a_selection_becomes_layer_numbers(selection: str, index: Any, expected: list[int]) -> None:
    assert resolve_layers(replace(MODEL, layers=layers(selection, index)), 6) == expected


@pytest.mark.parametrize(("selection", "index"), [("all", None), ("each", None), ("single", 0)])
def test_the_embeddings_are_one_layer(selection: str, index: Any) -> None:
    chosen = replace(MODEL, site=Site.embedding, layers=layers(selection, index))
    assert resolve_layers(chosen, 6) == [0]


@pytest.mark.parametrize("index", [6, [2, 6], 99])
def test_a_layer_that_is_not_there_is_answered_with_the_nearest(index: Any) -> None:
    number = index[-1] if isinstance(index, list) else index
    with pytest.raises(UserError) as caught:
        resolve_layers(replace(MODEL, layers=layers("single", index)), 6)
    assert str(caught.value) == (
        f"layer {number} is not in llama, whose layers are 0 to 5; the nearest is 5"
    )


def test_the_model_says_how_many_there_are(tmp_path: Path) -> None:
    model = ModelConfig(path=str(save_tiny("llama", tmp_path)))
    assert layers_of(Config(model=model, layers=layers("each"))) == [*range(LAYERS)]
