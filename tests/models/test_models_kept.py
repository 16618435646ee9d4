"""A sweep's jobs load a model once, read it as if it were new, and hold no more than one."""

import gc
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import ref

import pytest
import torch
from torch import Tensor, nn

from probe.config import Config, DataConfig, DType, InitConfig, InitKind, ModelConfig, Side
from probe.distributed import Ranks
from probe.examples.batches import Batch
from probe.examples.request import Request
from probe.extraction import loop
from probe.extraction.loop import Loop
from probe.models import load_language_model, load_tokenizer, load_trunk, model_fingerprint
from probe.system.kept import keep, keeping, keeps, recall
from tests.tiny_models import save_tiny

CPU = torch.device("cpu")
RANDOM = InitConfig(kind=InitKind.random)
BIG_BIRD = {"attention_type": "block_sparse", "block_size": 4, "num_random_blocks": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("qwen2", tmp_path_factory.mktemp("qwen2"))


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Hold weak references to all trunks that are loaded."""
    found: list[Any] = []

    def load(*given: Any) -> nn.Module:
        trunk = load_trunk(*given)
        found.append(ref(trunk))
        return trunk

    monkeypatch.setattr(loop, "load_trunk", load)
    return found


def job(folder: Path, layers: list[int], init: InitConfig | None = None, **model: Any) -> Request:
    config = Config(
        ModelConfig(path=str(folder), **model), DataConfig("text"), init=init or InitConfig()
    )
    ids = [[7 * n % 90 + 3 for n in range(length)] for length in (64, 40)]
    return Request(config, layers, [Batch([0, 1], ids)], ["a", "b"], "run", [])


def read(request: Request) -> dict[int, Tensor]:
    """Read all that a job reads, checks included."""
    found: dict[int, Tensor] = {}
    looped = Loop(request, Ranks(0, 1, CPU))
    looped.reader.one_token()
    list(looped.batches(lambda _, __, layer, x: found.update({layer: x.clone()})))
    return found


@pytest.mark.parametrize(
    ("architecture", "more"), [("qwen2", {}), ("big_bird", BIG_BIRD), ("gpt2", {})]
)
@pytest.mark.parametrize("side", list(Side))
def test_a_job_reads_what_it_reads_alone(
    tmp_path: Path, architecture: str, more: dict[str, Any], side: Side, loads: list[Any]
) -> None:
    saved = save_tiny(architecture, tmp_path, pad_token_id=0, **more)
    jobs = [job(saved, layers, padding_side=side) for layers in ([0], [2], [0, 1], [0])]
    alone = [read(one) for one in jobs]
    assert len(loads) == 4
    with keeping():
        for one, expected in zip(jobs, alone, strict=True):
            found = read(one)
            assert list(found) == list(expected)
            assert all(torch.equal(found[layer], expected[layer]) for layer in expected)
    assert len(loads) == 5


def test_outside_a_sweep_nothing_is_kept(folder: Path, loads: list[Any]) -> None:
    read(job(folder, [0]))
    gc.collect()
    assert loads[0]() is None
    with keeping():
        read(job(folder, [0]))
        gc.collect()
        assert loads[1]() is not None
        with keeping():  # a sweep of a sweep's job
            pass
        assert loads[1]() is not None
    gc.collect()
    assert loads[1]() is None
    assert not keeps()


@pytest.mark.parametrize(
    "other",
    [
        lambda folder: read(job(folder, [0], RANDOM)),
        lambda folder: read(job(folder, [0], replace(RANDOM, seed=3))),
        lambda folder: read(job(folder, [0], dtype=DType.bfloat16)),
        lambda folder: load_trunk(ModelConfig(path=str(folder)), RANDOM, CPU),
        lambda folder: load_language_model(ModelConfig(path=str(folder)), CPU),
    ],
    ids=["init", "seed", "dtype", "a trunk of a study", "a model with its head"],
)
def test_another_model_takes_the_place_of_the_first(
    folder: Path, other: Callable[[Path], Any], loads: list[Any]
) -> None:
    with keeping():
        first = read(job(folder, [0]))
        held = other(folder)
        gc.collect()
        assert loads[0]() is None
        del held
        assert torch.equal(read(job(folder, [0]))[0], first[0])


def test_files_that_changed_are_read_anew(tmp_path: Path, loads: list[Any]) -> None:
    saved = save_tiny("qwen2", tmp_path / "model")
    other = save_tiny("qwen2", tmp_path / "other", seed=1) / "model.safetensors"
    with keeping():
        first = read(job(saved, [0]))
        before = model_fingerprint(ModelConfig(path=str(saved)), InitConfig())
        old = (saved / "model.safetensors").stat()
        shutil.copyfile(other, saved / "model.safetensors")  # of the same size, in the same file
        os.utime(saved / "model.safetensors", ns=(old.st_atime_ns, old.st_mtime_ns + 1))
        assert model_fingerprint(ModelConfig(path=str(saved)), InitConfig()) != before
        second = read(job(saved, [0]))
    assert len(loads) == 2
    assert not torch.equal(first[0], second[0])


def test_a_model_whose_weights_were_changed_is_read_anew(folder: Path, loads: list[Any]) -> None:
    with keeping():
        first = read(job(folder, [0]))
        trunk: Any = loads[0]()
        trunk.layers[0].mlp.down_proj.weight.zero_()
        del trunk
        assert torch.equal(read(job(folder, [0]))[0], first[0])
    assert len(loads) == 2


def test_a_hook_that_a_failed_job_left_is_taken_off(folder: Path, loads: list[Any]) -> None:
    with keeping():
        first = read(job(folder, [0]))
        trunk: Any = loads[0]()
        trunk.layers[0].register_forward_hook(lambda *_: 1 / 0)
        del trunk
        assert torch.equal(read(job(folder, [0]))[0], first[0])
    assert len(loads) == 1


def test_a_model_in_memory_is_said_and_is_not_needed_twice(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("models.kept", "extraction.loop"):
        caplog.set_level(logging.INFO, logger=f"probe.{name}")
    monkeypatch.setattr(loop.memory, "free", lambda _: 1000)
    with keeping():
        first, second = (Loop(job(folder, [0]), Ranks(0, 1, CPU)) for _ in range(2))
    size = sum(tensor.nbytes for tensor in first.reader.trunk.parameters())
    size += sum(tensor.nbytes for tensor in first.reader.trunk.buffers())
    assert (first.free, second.free) == (1000, 1000 + size)
    kept, found = caplog.messages
    assert kept == f"the model ({size / 1e3:.1f} kB) stays in memory for the sweep's next job"
    assert found == "the model of the sweep's last job is still in memory"


def test_a_tokenizer_is_read_once_for_the_same_texts_and_files(tmp_path: Path) -> None:
    model = ModelConfig(path=str(save_tiny("qwen2", tmp_path)))
    assert load_tokenizer(model) is not load_tokenizer(model)
    with keeping():
        plain, compared = load_tokenizer(model), load_tokenizer(model, ["a text"])
        assert compared is not plain
        assert load_tokenizer(model) is plain
        assert load_tokenizer(model, ["a text"]) is compared
        assert load_tokenizer(model, ["another"]) is not compared
        settings = tmp_path / "tokenizer_config.json"
        settings.write_text(settings.read_text() + "\n")
        assert load_tokenizer(model) is not plain


def test_the_last_of_a_kind_is_kept_for_its_key() -> None:
    keep("kind", 1, "nobody keeps this")
    assert recall("kind", 1) is None
    with keeping():
        keep("kind", 1, "value")
        assert (recall("kind", 1), recall("other kind", 1)) == ("value", None)
        assert recall("kind", 2) is None
        assert recall("kind", 1) is None, "it was let go when another was asked for"
