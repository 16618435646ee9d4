"""A model spread over devices gives what it gives on one; on a CPU alone it stays there."""

import logging
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from probe import api, distributed
from probe.config import Config, InitConfig, InitKind, ModelConfig, run_folder
from probe.data import load_documents
from probe.distributed import Ranks, spread
from probe.errors import UserError
from probe.examples.plan import plan_extraction
from probe.extraction.loop import Loop
from probe.extraction.perplexity import perplexities
from probe.models import load_language_model, load_trunk
from probe.models import spread as options
from probe.pipeline import extract_topologies
from probe.topology import Topology
from tests.tiny_models import save_tiny

prepare = partial(plan_extraction, score=perplexities)

CPU, GPU = torch.device("cpu"), torch.device("cuda")
RANDOM = InitConfig(kind=InitKind.random, seed=3)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("llama")
    text = folder / "texts.txt"
    text.write_text("\n\n".join(f"The {'long ' * n}river carried sand." for n in range(5)))
    return api.compose(
        "model=local", f"model.path={save_tiny('llama', folder / 'llama')}", "data=text",
        f"data.path={text}", "data.cut=paragraphs", "data.max_words=4", "data.min_tokens=4",
        "layers=each", "tracking=none", f"output={folder}",
    )  # fmt: skip


def spread_out(config: Config) -> Config:
    return replace(config, model=replace(config.model, device_map="auto"))


def extract(config: Config) -> list[Topology]:
    return extract_topologies(config, load_documents(config))[0]


@pytest.mark.parametrize("init", [InitConfig(), RANDOM], ids=["pretrained", "random"])
def test_on_a_cpu_alone_the_matrices_are_the_same(config: Config, init: InitConfig) -> None:
    config = replace(config, init=init)
    for found, expected in zip(extract(spread_out(config)), extract(config), strict=True):
        np.testing.assert_array_equal(found.matrix, expected.matrix)


@pytest.fixture
def parted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Part the model: half of it waits elsewhere and is brought by accelerate's hooks."""
    places = {
        "embed_tokens": "disk", "layers.0": "cpu", "layers.1": "disk", "layers.2": "cpu",
        "norm": "cpu", "rotary_emb": "cpu",
    }  # fmt: skip
    monkeypatch.setattr(
        "probe.models.load.spread_options", lambda *_, **__: {"device_map": dict(places)}
    )


def test_a_model_in_parts_gives_the_same_matrices(
    config: Config, parted: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(options, "refuse_disk", lambda _: None)
    with caplog.at_level(logging.INFO):
        trunk = load_trunk(config.model, config.init, CPU)
    assert next(trunk.parameters()).device.type == "meta", "nothing is parted"
    assert "the model is spread: 2 parts on disk, 4 parts on cpu" in caplog.text
    found = extract(config)
    monkeypatch.undo()
    for topology, expected in zip(found, extract(config), strict=True):
        np.testing.assert_array_equal(topology.matrix, expected.matrix)


def test_parts_on_the_disk_are_refused(config: Config, parted: None) -> None:
    with pytest.raises(UserError, match=r"2 parts of the model on the disk \(embed_tokens first\)"):
        load_trunk(config.model, config.init, CPU)


def test_a_model_in_memory_is_spread(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    trunk = load_trunk(config.model, RANDOM, CPU)
    assert spread(trunk, CPU) is trunk
    # Without a GPU all of it has room on the host only.
    out = spread(load_trunk(config.model, RANDOM, CPU), GPU)
    assert all(weight.device == CPU for weight in out.parameters())
    monkeypatch.setattr(
        "probe.distributed.dispatch.get_balanced_memory", lambda *_, **__: {"cpu": 9000}
    )
    with pytest.raises(UserError, match="on the disk"):
        spread(trunk, GPU)


def test_random_weights_of_a_spread_model_wait_in_host_memory(config: Config) -> None:
    model = replace(config.model, device_map="auto")
    trunk = load_trunk(model, RANDOM, torch.device("meta"))
    assert {weight.device for weight in trunk.parameters()} == {CPU}


def test_a_language_model_is_spread_as_its_trunk_is(config: Config) -> None:
    model = replace(config.model, device_map="auto")
    ids = torch.arange(9)[None]
    found = load_language_model(model, CPU)(input_ids=ids).logits
    assert torch.equal(found, load_language_model(config.model, CPU)(input_ids=ids).logits)


def test_a_cpu_that_is_asked_for_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ModelConfig(id="a/b", device_map="auto")
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    assert options.spread_options(model, CPU) == {"device_map": {"": "cpu"}}
    assert options.spread_options(model, GPU) == {"device_map": "auto"}
    assert options.spread_options(ModelConfig(id="a/b"), GPU) == {}
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    assert options.spread_options(model, CPU) == {"device_map": "auto"}


def test_one_process_takes_all_devices(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    request = prepare(config, load_documents(config))[0]
    assert distributed.n_ranks(request.processes, "auto") == 4
    request = prepare(spread_out(config), load_documents(config))[0]
    assert distributed.n_ranks(request.processes, "auto") == 1
    with pytest.raises(UserError, match="2 processes were started; start one"):
        Loop(request, Ranks(0, 2, CPU))


def test_where_a_model_is_does_not_name_a_run(config: Config) -> None:
    assert run_folder(spread_out(config)) == run_folder(config)
