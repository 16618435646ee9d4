"""What a run finds of itself on its first texts, and what it does about it."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from probe.config import Config, DataConfig, DType, InitConfig, ModelConfig, Side, Site
from probe.distributed import Ranks
from probe.errors import UserError
from probe.examples.batches import Batch, Together
from probe.examples.request import Checkpoints, Request
from probe.extraction.activations import Reader
from probe.extraction.checks import Checks, settle
from probe.extraction.loop import Loop
from probe.models import load_trunk
from tests.tiny_models import ARCHITECTURES, LAYERS, VOCABULARY, save_tiny

CPU = torch.device("cpu")
ALONE = Ranks(0, 1, CPU)
ALL = list(range(LAYERS))
LENGTHS = (70, 66, 50, 50, 70)
BLOCKS = {"block_size": 8, "num_random_blocks": 1, "attention_type": "block_sparse"}
ROUTED = {"intermediate_size": 24, "num_key_value_heads": 2, "num_experts_per_tok": 2}
OTHERS: dict[str, dict[str, Any]] = {
    "fnet": {"intermediate_size": 40, "pad_token_id": 0},
    "big_bird": {"intermediate_size": 40, "sep_token_id": 1, "pad_token_id": 0, **BLOCKS},
    "roberta": {"intermediate_size": 40, "pad_token_id": 0, "max_position_embeddings": 130},
    "mixtral": ROUTED | {"num_local_experts": 4},
    "olmoe": ROUTED | {"num_experts": 4},
}
everywhere = pytest.mark.parametrize("architecture", [*ARCHITECTURES, "mixtral", "olmoe"])
both_sides = pytest.mark.parametrize("side", list(Side))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    @cache
    def save(architecture: str) -> Path:
        folder = tmp_path_factory.mktemp(architecture)
        return save_tiny(architecture, folder, **OTHERS.get(architecture, {}))

    return save


def request_of(folder: Path, **model: Any) -> Request:
    generator = torch.Generator().manual_seed(0)
    ids = [torch.randint(1, VOCABULARY, (n,), generator=generator).tolist() for n in LENGTHS]
    batch = Batch(list(range(len(ids))), ids)
    config = Config(ModelConfig(path=str(folder), **model), DataConfig("text"))
    return Request(config, ALL, [batch], ["text"] * len(ids), "run", [])


def reader_of(request: Request, site: Site = Site.residual) -> Reader:
    trunk = load_trunk(request.config.model, InitConfig(), CPU)
    return Reader(trunk, request.config.model, request.layers, site)


def checked(request: Request, site: Site = Site.residual) -> tuple[Request, Checks]:
    settled, checks = settle(request, ALONE, reader_of(request, site))
    assert checks is not None
    return settled, checks


def checked_by(reader: Reader, request: Request) -> Checks:
    checks = settle(request, ALONE, reader)[1]
    assert checks is not None
    return checks


@everywhere
@both_sides
@pytest.mark.parametrize("dtype", list(DType))
def test_a_sound_model_keeps_its_batches(
    saved: Callable[[str], Path], architecture: str, side: Side, dtype: DType
) -> None:
    request = request_of(saved(architecture), padding_side=side, dtype=dtype)
    settled, checks = checked(request)
    assert settled.batches == request.batches
    assert checks.batches == "like"
    assert checks.hidden_states == LAYERS - 1
    assert checks.equal is None
    assert checks.changes == []
    assert len(checks.padded) == 2
    bound = 16 * torch.finfo(getattr(torch, dtype.value)).eps
    assert all(one["bound"] == pytest.approx(bound, rel=1e-2) for one in checks.padded)


@both_sides
@pytest.mark.parametrize("site", [Site.residual, Site.mlp, Site.mlp_output])
def test_a_model_that_ignores_the_mask_gets_batches_of_equal_length(
    saved: Callable[[str], Path], side: Side, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    request = request_of(saved("fnet"), padding_side=side)
    settled, checks = checked(request, site)
    assert checks.batches == "equal"
    assert checks.padded[0]["x"] > 0.2
    assert [batch.members for batch in settled.batches] == [[0, 4], [1], [2, 3]]
    [line] = [one for one in caplog.messages if "padded batch" in one]
    assert line.endswith("so batches hold texts of equal length only")


@both_sides
@pytest.mark.parametrize("dtype", list(DType))
def test_a_mask_that_is_ignored_is_found_in_every_precision(
    saved: Callable[[str], Path], side: Side, dtype: DType
) -> None:
    request = request_of(saved("bert"), padding_side=side, dtype=dtype)
    reader = reader_of(request)
    forward = reader.trunk.forward

    def deaf(*, attention_mask: Tensor | None = None, **rest: Any) -> Any:
        del attention_mask
        return forward(**rest)

    reader.trunk.forward = deaf
    _, checks = settle(
        request, ALONE, Reader(reader.trunk, request.config.model, ALL, Site.residual)
    )
    assert checks is not None
    assert checks.batches == "equal"
    assert checks.padded[0]["x"] > checks.padded[0]["bound"]


def test_roberta_counts_its_own_positions_on_both_sides(saved: Callable[[str], Path]) -> None:
    for side in Side:
        _, checks = checked(request_of(saved("roberta"), padding_side=side))
        # The tokenizer pads with the model's own padding token, 0.
        assert checks.batches == "like"


@contextmanager
def mixing(reader: Reader) -> Iterator[None]:
    """Let every text see the mean of its batch."""

    def mix(_: Any, __: Any, output: Tensor) -> Tensor:
        return output + 0.3 * output.mean(dim=0, keepdim=True)

    handle = reader.trunk.get_input_embeddings().register_forward_hook(mix)  # type: ignore[operator]
    yield
    handle.remove()


def test_a_model_whose_texts_see_each_other_reads_them_one_by_one(
    saved: Callable[[str], Path],
) -> None:
    request = request_of(saved("llama"))
    reader = reader_of(request)
    with mixing(reader):
        reader = Reader(reader.trunk, request.config.model, ALL, Site.residual)
        settled, checks = settle(request, ALONE, reader)
    assert checks is not None
    assert checks.batches == "single"
    assert checks.equal is None
    assert [batch.members for batch in settled.batches] == [[0], [4], [1], [2], [3]]


def test_at_most_four_passes_of_64_tokens_and_two_rows(saved: Callable[[str], Path]) -> None:
    for architecture, most in (("llama", 3), ("fnet", 4)):
        request = request_of(saved(architecture))
        reader, shapes = reader_of(request), list[torch.Size]()
        embeddings = reader.trunk.get_input_embeddings()  # type: ignore[operator]
        embeddings.register_forward_hook(lambda _, ids, __, s=shapes: s.append(ids[0].shape))
        settle(request, ALONE, Reader(reader.trunk, request.config.model, ALL, Site.residual))
        assert len(shapes) == most
        assert all(rows <= 2 and tokens <= 64 for rows, tokens in shapes)


def test_checking_leaves_the_model_as_it_was(saved: Callable[[str], Path]) -> None:
    request = request_of(saved("big_bird"))
    reader = reader_of(request)
    before = {name: vars(module).copy() for name, module in reader.trunk.named_modules()}
    config = reader.trunk.config.to_dict()  # type: ignore[operator,union-attr]
    _, checks = settle(request, ALONE, reader)
    assert checks is not None
    assert "attention_type" in checks.changes
    assert reader.restless
    assert reader.trunk.config.to_dict() == config  # type: ignore[operator,union-attr]
    after = {name: vars(module) for name, module in reader.trunk.named_modules()}
    assert before.keys() == after.keys()
    for name, attributes in before.items():
        assert attributes.keys() == after[name].keys()
        assert all(after[name][key] is value for key, value in attributes.items())
        assert not after[name]["_forward_hooks"]


def test_a_list_that_holds_no_blocks_is_refused(tmp_path: Path) -> None:
    shape = {"emb_dim": 16, "n_layers": LAYERS, "n_heads": 4, "n_langs": 1, "pad_index": 1}
    folder = save_tiny("xlm", tmp_path, **shape)
    request = request_of(folder, blocks="ffns")
    told = r"layer 0 \(ffns\.0, TransformerFFN\) does not hand over the model's hidden state"
    with pytest.raises(UserError, match=told):
        checked(request)
    assert checked(request_of(folder, blocks="layer_norm2"))[1].hidden_states == LAYERS - 1
    off = request_of(folder, blocks="ffns", checks=False)
    assert settle(off, ALONE, reader_of(off)) == (off, None)


def test_resuming_takes_over_what_was_found(saved: Callable[[str], Path]) -> None:
    request = request_of(saved("fnet"))
    empty = Checkpoints("folder", {"model": "m"}, {}, [], [], 0, 0.0)
    first, checks = checked(replace(request, checkpoints=empty))
    assert first.checkpoints is not None
    word = first.checkpoints.of["checks"]
    assert json.loads(word)["batches"] == "equal"
    later = replace(first.checkpoints, files={"session1-rank0.safetensors": "seal"})
    reader = reader_of(request)
    reader.trunk.forward = partial(pytest.fail, "nothing is read again")
    again, same = settle(replace(request, checkpoints=later), ALONE, reader)
    assert same == checks
    assert again.batches == first.batches
    # A session that began before there were checks goes on with its own batches.
    old = replace(later, of={"model": "m"})
    assert settle(replace(request, checkpoints=old), ALONE, reader)[1] is None


@pytest.mark.parametrize("architecture", ["fnet", "big_bird"])
@both_sides
def test_every_text_reads_as_it_does_alone(
    saved: Callable[[str], Path], architecture: str, side: Side
) -> None:
    request = request_of(saved(architecture), padding_side=side)
    found: dict[int, dict[int, Tensor]] = {}
    loop = Loop(request, ALONE)

    def keep(batch: Batch, tensors: Any, layer: int, x: Tensor) -> None:
        for row, member in enumerate(batch.members):
            real = x[row][tensors.attended[row]]
            found.setdefault(member, {})[layer] = real.clone()

    list(loop.batches(keep))
    for member, ids in enumerate(request.batches[0].ids):
        trunk = load_trunk(request.config.model, InitConfig(), CPU)  # as nothing has read it
        with torch.no_grad():
            states = trunk(torch.tensor([ids]), output_hidden_states=True).hidden_states
        for layer in ALL:
            torch.testing.assert_close(found[member][layer], states[layer + 1][0, : len(ids)])


def test_a_single_text_is_checked_by_its_own_end(saved: Callable[[str], Path]) -> None:
    request = request_of(saved("fnet"))
    one = replace(request, batches=[request.batches[0].part(slice(0, 1))])
    assert checked(one)[1].batches == "equal"
    short = replace(request, batches=[Batch([0], [[5, 6, 7]])])
    assert checked(short)[1] == Checks(0, Together.like.value, [], None, [])


def test_a_model_that_reads_at_random_is_refused(saved: Callable[[str], Path]) -> None:
    request = request_of(saved("llama"))
    reader = reader_of(request)
    embeddings = reader.trunk.get_input_embeddings()  # type: ignore[operator]
    embeddings.register_forward_hook(lambda _, __, x: x + 0.1 * torch.randn(x.shape))
    reader = Reader(reader.trunk, request.config.model, ALL, Site.residual)
    with pytest.raises(UserError, match="reads the same text otherwise each time"):
        settle(request, ALONE, reader)


def test_a_model_that_cannot_read_a_text_says_so_in_one_line(saved: Callable[[str], Path]) -> None:
    request = request_of(saved("llama"))
    reader = reader_of(request)

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("shape is invalid\nfor input")

    reader.trunk.forward = fail
    told = r"model=llama\w* cannot read texts of 64 and 48 tokens together \(shape is invalid\);"
    with pytest.raises(UserError, match=told):
        settle(request, ALONE, reader)


def test_what_is_not_a_number_is_left_to_the_extraction(saved: Callable[[str], Path]) -> None:
    request = request_of(saved("llama"))
    reader = reader_of(request)
    embeddings = reader.trunk.get_input_embeddings()  # type: ignore[operator]
    embeddings.weight[:, 3] = float("nan")
    assert settle(request, ALONE, reader)[1] is not None


def test_checks_that_run_out_of_memory_leave_one_text_to_a_batch(
    saved: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    request = request_of(saved("llama"))
    reader = reader_of(request)

    def fail(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    reader.trunk.forward = fail
    assert checked_by(reader, request).batches == "single"
    assert caplog.messages[-1] == "the checks ran out of memory, so batches hold one text each"
