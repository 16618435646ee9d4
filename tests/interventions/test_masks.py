"""Masks: saved and loaded alike, without pickle; every wrong file is told in one sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probe.config import ModelConfig, Site
from probe.errors import UserError
from probe.interventions.masks import Masks
from probe.interventions.widths import widths
from tests.interventions.models import ARCHITECTURES, SITES, folder_of, model_of
from tests.tiny_models import WIDTH

MASKS = np.array([[True, False, True], [False, False, False]])
LAYER, NEURON = np.array([0, 2, 2], dtype=np.int32), np.array([5, 1, 3])


def save(folder: Path, **arrays: Any) -> Path:
    file = folder / "masks.npz"
    np.savez(file, **{"masks": MASKS, "layer": LAYER, "neuron": NEURON} | arrays)
    return file


@pytest.mark.parametrize("site", [None, Site.mlp])
def test_masks_are_loaded_as_they_were_saved(tmp_path: Path, site: Site | None) -> None:
    Masks(MASKS, LAYER.astype(np.int64), NEURON, site).save(tmp_path / "masks.npz")
    again = Masks.load(tmp_path / "masks.npz")
    for name in ("masks", "layer", "neuron"):
        np.testing.assert_array_equal(
            getattr(again, name), {"masks": MASKS, "layer": LAYER, "neuron": NEURON}[name]
        )
    assert again.site is site
    assert again.layers == [0, 2]


def test_masks_of_numpy_alone_are_loaded(tmp_path: Path) -> None:
    masks = Masks.load(save(tmp_path, site="attention", anything=np.arange(3)))
    assert masks.site is Site.attention
    first, second = masks.by_layer({0: 7, 2: 4})
    assert np.flatnonzero(first[0]).tolist() == [5]
    assert np.flatnonzero(first[2]).tolist() == [3]
    assert [len(first[0]), len(first[2])] == [7, 4]
    assert not any(neurons.any() for neurons in second.values())


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"masks": MASKS.astype(int)}, "has masks of int64 and shape (2, 3); they must be bool"),
        ({"masks": MASKS[0]}, "has masks of bool and shape (3,); they must be bool, of shape"),
        ({"masks": MASKS[:0]}, "is empty: its masks have the shape (0, 3); give one mask"),
        (
            {"masks": MASKS[:, :0], "layer": LAYER[:0], "neuron": NEURON[:0]},
            "is empty: its masks have the shape (2, 0)",
        ),
        ({"layer": LAYER[:2]}, "has layer of int32 and shape (2,); it must be one integer for"),
        ({"neuron": NEURON / 2}, "has neuron of float64 and shape (3,); it must be one integer"),
        ({"neuron": -NEURON}, "has the neuron -5; neurons count from 0"),
        ({"layer": LAYER.astype(np.uint64) - np.uint64(1)}, "has the layer 18446744073709551615;"),
        ({"neuron": [5, 3, 3]}, "has a unit twice, the same neuron of the same layer"),
        ({"site": "atention"}, "is of the site 'atention', which is unknown; did you mean 'attent"),
        ({"site": "head"}, "is of the site 'head', which is unknown; sites are residual, "),
    ],
)
def test_what_is_wrong_with_a_file_is_told(
    tmp_path: Path, arrays: dict[str, Any], said: str
) -> None:
    file = save(tmp_path, **arrays)
    with pytest.raises(UserError) as error:
        Masks.load(file)
    assert str(error.value).startswith(f"{file} {said}")
    assert "\n" not in str(error.value)


def test_masks_made_by_hand_are_checked_and_converted() -> None:
    made = Masks(MASKS.tolist(), LAYER.tolist(), NEURON.tolist(), "mlp")  # type: ignore[arg-type]
    assert made.site is Site.mlp
    assert np.flatnonzero(made.by_layer({0: 7, 2: 4})[0][2]).tolist() == [3]
    with pytest.raises(UserError, match=r"^Masks\(…\) has the neuron -5; neurons count from 0$"):
        Masks(MASKS, LAYER, -NEURON)
    with pytest.raises(UserError, match=r"^Masks\(…\) is of the site 'head', which is unknown"):
        Masks(MASKS, LAYER, NEURON, "head")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["masks", "layer", "neuron"])
def test_a_missing_array_is_named(tmp_path: Path, name: str) -> None:
    arrays = {"masks": MASKS, "layer": LAYER, "neuron": NEURON}
    del arrays[name]
    np.savez(tmp_path / "masks.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=f"has no array {name}; masks need masks"):
        Masks.load(tmp_path / "masks.npz")


def test_what_is_no_file_of_arrays_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.npz does not exist; save one"):
        Masks.load(tmp_path / "gone.npz")
    text, single, pickled = (tmp_path / name for name in ("text.npz", "one.npy", "objects.npz"))
    text.write_text("masks")
    np.save(single, MASKS)
    np.savez(pickled, masks=np.array([{}], dtype=object), layer=LAYER, neuron=NEURON)
    for file in (text, single, pickled, tmp_path):
        with pytest.raises(UserError, match=r"is not one; save one with numpy\.savez"):
            Masks.load(file)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_widths_are_those_of_the_activations(architecture: str) -> None:
    config = ModelConfig(path=str(folder_of(architecture)))
    for site in SITES[architecture]:
        expected = 40 if site is Site.mlp else WIDTH
        assert widths(config, site, [0]) == {0: expected}
    assert next(model_of(architecture).parameters()).device.type == "cpu"


def test_layers_and_neurons_that_a_model_lacks_are_told(tmp_path: Path) -> None:
    config = ModelConfig(path=str(folder_of("llama")), name="tiny")
    with pytest.raises(UserError, match="layer 3 is not in tiny, whose layers are 0 to 2; give"):
        widths(config, Site.mlp, [0, 3])
    with pytest.raises(UserError, match="the first block, layer 0, and layer 1 was given"):
        widths(config, Site.embedding, [1])
    masks = Masks.load(save(tmp_path))
    with pytest.raises(UserError, match="have neuron 5 of layer 0, whose neurons are 0 to 3 at"):
        masks.by_layer({0: 4, 2: 4})
