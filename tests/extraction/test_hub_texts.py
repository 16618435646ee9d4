"""Hubs are described by the tokens that the texts have where the model is largest."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from probe import api, pipeline
from probe.config import ModelConfig
from probe.extraction import hub_texts
from probe.models import load_language_model, load_tokenizer
from probe.runs.hubs_file import read_hubs

WORDS = ["data=sample", "data.limit=6", "data.cut=tokens", "data.window=40", "tracking=none",
         "measures.rewired=0", "runtime.device=cpu", "data.skip_first=1"]  # fmt: skip


pytestmark = pytest.mark.usefixtures("no_figures")


def hubs_of(words: list[str], tmp_path: Path) -> dict[str, Any]:
    return read_hubs(api.run(*WORDS, f"output={tmp_path}", *words))


def shown(tokenizer: Any, token: int) -> str:
    """Return a token's words, or its name if it is no whole character."""
    text = str(tokenizer.decode([token]))
    return str(tokenizer.convert_ids_to_tokens(token)) if "\ufffd" in text else text


def largest(
    texts: list[api.ExampleActivations], layers: list[int], neuron: int
) -> list[tuple[float, int, str, int, int]]:
    """Find each text's largest token, and sort the texts."""
    found = []
    for text in texts:
        x = np.stack([text.layers[layer][:, neuron].numpy() for layer in layers])
        place, position = np.unravel_index(np.abs(x).argmax(), x.shape)
        # The first token does not count, but has a place.
        where = int(text.tokens[position]), text.document, int(position) + 1, layers[place]
        found.append((-abs(x[place, position]), text.example, float(x[place, position]), *where))
    return [row[2:] for row in sorted(found)[:5]]


@pytest.mark.parametrize(
    ("words", "name", "layers"),
    [
        (["layers=3"], "layer_3", [3]),
        (["layers=all", "average.parts=2"], "all_layers_part2", list(range(6))),
        (["layers=full", "layers.index=[2,4]", "average.halves=false"], "full", [2, 4]),
    ],
)
def test_they_have_the_tokens_on_which_they_are_largest(
    words: list[str], name: str, layers: list[int], tmp_path: Path
) -> None:
    hubs = hubs_of(words, tmp_path)[name]
    topology = api.load_topology(next(tmp_path.glob("tiny/sample/*")), name)
    part = ["data.offset=3", "data.limit=3"] if "part2" in name else []
    texts = list(api.iterate(*WORDS, *part, "layers=each" if "all" in name else f"layers={layers}"))
    tokenizer = load_tokenizer(api.compose(*WORDS).model)
    for hub in hubs[:3]:
        place, neuron = divmod(hub["neuron"], 128)
        at = [layers[place]] if name == "full" else layers
        expected = largest(texts, at, neuron)
        for one, (value, token, document, position, layer) in zip(
            hub["tokens"], expected, strict=True
        ):
            assert one["value"] == pytest.approx(value, rel=1e-5)
            assert (one["token"], one["document"]) == (shown(tokenizer, token), document)
            assert (one["position"], one["layer"]) == (position, layer)
        other = hub["partners"][0]
        row = np.abs(np.delete(topology.matrix[hub["neuron"]], hub["neuron"]))
        assert abs(other["r"]) == pytest.approx(row.max())
        assert other["r"] == topology.matrix[hub["neuron"], other["neuron"]]


@pytest.mark.parametrize(("layer", "site"), [(2, "residual"), (5, "residual"), (5, "residual_raw")])
def test_they_write_to_the_vocabulary_that_their_rise_makes_likelier(
    layer: int, site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_texts, "_AT_ONCE", 2)
    [hubs] = hubs_of([f"layers={layer}", f"site={site}"], tmp_path).values()
    model = ModelConfig(id="bundled/tiny")
    whole, tokenizer = load_language_model(model, torch.device("cpu")), load_tokenizer(model)
    for hub in hubs[:3]:
        column = whole.lm_head.weight[:, hub["neuron"]]  # type: ignore[union-attr, index]
        if (layer, site) != (5, "residual"):
            column = column * whole.model.norm.weight[hub["neuron"]]  # type: ignore[union-attr, index]
        order = column.argsort(descending=True).tolist()
        for name, ids in (("promotes", order[:6]), ("suppresses", order[:-7:-1])):
            for word, token in zip(hub[name], ids, strict=True):
                # Some tokens of this small model have the same weights.
                equal = (column == column[token]).nonzero().flatten().tolist()
                assert word in [shown(tokenizer, one) for one in equal]


@pytest.mark.parametrize("words", [["site=mlp"], ["init=random"]])
def test_other_neurons_write_to_no_vocabulary(words: list[str], tmp_path: Path) -> None:
    [hubs] = hubs_of(["layers=3", *words], tmp_path).values()
    assert all("promotes" not in hub and len(hub["tokens"]) == 5 for hub in hubs)


def test_two_layers_have_no_hubs(tmp_path: Path) -> None:
    assert hubs_of(["layers=cross", "layers.index=[1,2]"], tmp_path) == {}


def test_more_hubs_than_before_are_told_without_their_tokens(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="probe")
    config = api.compose(*WORDS, "layers=3", f"output={tmp_path}")
    run = pipeline.run(config)
    before = read_hubs(run)["layer_3"]
    more = replace(config, measures=replace(config.measures, hubs=len(before) + 2))
    assert pipeline.run(more) == run
    after = read_hubs(run)["layer_3"]
    assert after[: len(before)] == before
    assert ["tokens" in hub for hub in after[-3:]] == [True, False, False]
    assert len(after[-1]["partners"]) == 5
    assert "(2 hubs that were none before are not described; overwrite=true" in caplog.text
    (run / "hubs.json").write_text(json.dumps({"layer_3": [{}]}))
    with pytest.raises(api.UserError, match=r"hubs\.json is corrupt"):
        pipeline.run(more)
