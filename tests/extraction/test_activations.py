"""What is read from a model is what the model computes, layer by layer, and no more is computed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from probe.config import RESIDUALS, InitConfig, ModelConfig, Side, Site
from probe.errors import UserError
from probe.examples.batches import Batch, Tensors
from probe.extraction.activations import Reader
from probe.models import load_trunk
from tests.tiny_models import (
    ARCHITECTURES,
    ATTENTION,
    BLOCKS,
    FINAL_NORM,
    LAYERS,
    MLP,
    MLP_OUTPUT,
    VOCABULARY,
    WIDTH,
    save_tiny,
)

ALL = list(range(LAYERS))
LENGTHS = (21, 13, 8, 1)
INNER = 40
CLOSE = {"rtol": 1e-6, "atol": 1e-5}

everywhere = pytest.mark.parametrize("architecture", ARCHITECTURES)
both_sides = pytest.mark.parametrize("side", list(Side))
all_sites = pytest.mark.parametrize("site", list(Site))


@dataclass(frozen=True)
class Subject:
    """A trunk under test."""

    architecture: str
    trunk: nn.Module

    def reader(
        self, layers: list[int], site: Site = Site.residual, side: Side = Side.right
    ) -> Reader:
        return Reader(self.trunk, ModelConfig(path="tiny", padding_side=side), layers, site)

    def block(self, layer: int) -> nn.Module:
        return self.trunk.get_submodule(f"{BLOCKS[self.architecture]}.{layer}")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """More threads only wait for each other on matrices this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Subject]:
    @cache
    def subject(architecture: str) -> Subject:
        folder = save_tiny(architecture, tmp_path_factory.mktemp(architecture))
        model = ModelConfig(path=str(folder))
        return Subject(architecture, load_trunk(model, InitConfig(), torch.device("cpu")))

    return subject


@pytest.fixture
def subject(make: Callable[[str], Subject], architecture: str) -> Subject:
    return make(architecture)


def ids() -> list[list[int]]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(1, VOCABULARY, (n,), generator=generator).tolist() for n in LENGTHS]


def batch(side: Side = Side.right, rows: list[list[int]] | None = None) -> Tensors:
    rows = rows or ids()
    return Batch(list(range(len(rows))), rows).tensors(0, side, 0)


def read(reader: Reader, tensors: Tensors) -> dict[int, Tensor]:
    found: dict[int, Tensor] = {}

    def keep(layer: int, activations: Tensor) -> None:
        assert layer not in found
        found[layer] = activations.clone()

    reader.read(tensors, keep)
    return found


@torch.no_grad()
def forward(trunk: nn.Module, tensors: Tensors, side: Side) -> Any:
    """Run the whole trunk as its own documentation says to run it on a padded batch."""
    mask = tensors.attended.long()
    inputs = {"input_ids": tensors.tokens, "attention_mask": mask}
    if side is Side.left:
        inputs["position_ids"] = (mask.cumsum(1) - 1).masked_fill(mask == 0, 0)
    return trunk(**inputs, output_hidden_states=True)


@contextmanager
def counted(modules: list[nn.Module]) -> Iterator[list[int]]:
    """Count the calls of modules."""
    calls = [0] * len(modules)

    def hook(place: int) -> Callable[..., None]:
        def add(*_: Any) -> None:
            calls[place] += 1

        return add

    handles = [module.register_forward_hook(hook(i)) for i, module in enumerate(modules)]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def n_hooks(trunk: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in trunk.modules())


@everywhere
@both_sides
def test_residuals_are_the_models_own_hidden_states(subject: Subject, side: Side) -> None:
    tensors = batch(side)
    found = read(subject.reader(ALL, side=side), tensors)
    states = forward(subject.trunk, tensors, side).hidden_states
    assert list(found) == ALL
    assert len(states) == LAYERS + 1
    real = tensors.attended
    for layer, activations in found.items():
        torch.testing.assert_close(activations[real], states[layer + 1][real], rtol=0, atol=1e-6)


@everywhere
def test_residuals_of_a_batch_without_padding_are_bit_by_bit_the_hidden_states(
    subject: Subject,
) -> None:
    tensors = batch(rows=[ids()[0], ids()[0][::-1]])
    found = read(subject.reader(ALL), tensors)
    with torch.no_grad():
        output = subject.trunk(tensors.tokens, output_hidden_states=True)
    assert all(torch.equal(found[layer], output.hidden_states[layer + 1]) for layer in ALL)
    assert torch.equal(found[LAYERS - 1], output.last_hidden_state)


@everywhere
@both_sides
@all_sites
def test_an_example_reads_the_same_in_a_padded_batch_and_alone(
    subject: Subject, side: Side, site: Site
) -> None:
    reader = subject.reader(ALL, site, side)
    tensors = batch(side)
    together = read(reader, tensors)
    for row, tokens in enumerate(ids()):
        alone = read(reader, batch(side, [tokens]))
        for layer in ALL:
            real = together[layer][row][tensors.attended[row]]
            # Of large sums that cancel, the rounding is that of the largest.
            rounding = 1e-5 + 1e-6 * float(alone[layer].abs().max())
            torch.testing.assert_close(real, alone[layer][0], rtol=1e-6, atol=rounding)


@everywhere
@both_sides
def test_the_padding_token_changes_nothing(subject: Subject, side: Side) -> None:
    rows = Batch([0, 1], ids()[:2])
    found = [read(subject.reader(ALL, side=side), rows.tensors(pad, side, 0)) for pad in (0, 7)]
    real = rows.tensors(0, side, 0).attended
    for layer in ALL:
        torch.testing.assert_close(found[0][layer][real], found[1][layer][real], **CLOSE)


@everywhere
@all_sites
@pytest.mark.parametrize("layers", [[0], [1], [0, 1], [LAYERS - 1]])
def test_stopping_early_reads_the_same_as_going_on(
    subject: Subject, site: Site, layers: list[int]
) -> None:
    tensors = batch()
    full = read(subject.reader(ALL, site), tensors)
    early = read(subject.reader(layers, site), tensors)
    assert list(early) == layers
    assert all(torch.equal(early[layer], full[layer]) for layer in layers)


@everywhere
@all_sites
@pytest.mark.parametrize("last", ALL)
def test_no_block_behind_the_last_layer_is_run(subject: Subject, site: Site, last: int) -> None:
    with counted([subject.block(layer) for layer in ALL]) as calls:
        read(subject.reader([0, last] if last else [0], site), batch())
    # Inside its block mlp and attention are read before the block itself is done.
    done = last + 1 if site in RESIDUALS else last
    assert calls[:done] == [1] * done
    assert calls[last + 1 :] == [0] * (LAYERS - last - 1)


@pytest.mark.parametrize("architecture", sorted(FINAL_NORM))
def test_the_final_norm_is_on_the_last_layer_and_on_no_other(subject: Subject) -> None:
    norm = subject.trunk.get_submodule(FINAL_NORM[subject.architecture])
    tensors = batch(rows=[ids()[0]])
    with counted([norm]) as calls:
        before = read(subject.reader([0, LAYERS - 2]), tensors)
    assert calls == [0]
    with counted([norm]) as calls:
        last = read(subject.reader([LAYERS - 2, LAYERS - 1]), tensors)
    assert calls == [1]

    outputs: dict[int, Tensor] = {}

    def note(layer: int) -> Callable[..., None]:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            outputs[layer] = output[0] if isinstance(output, tuple) else output

        return hook

    handles = [subject.block(layer).register_forward_hook(note(layer)) for layer in ALL]
    with torch.no_grad():
        subject.trunk(tensors.tokens)
        for handle in handles:
            handle.remove()
        normed = norm(outputs[LAYERS - 1])
    assert torch.equal(before[0], outputs[0])
    assert torch.equal(before[LAYERS - 2], outputs[LAYERS - 2])
    assert torch.equal(last[LAYERS - 2], outputs[LAYERS - 2])
    assert torch.equal(last[LAYERS - 1], normed)
    assert not torch.allclose(normed, outputs[LAYERS - 1], atol=0.1)
    with counted([norm]) as calls:
        raw = read(subject.reader(ALL, Site.residual_raw), tensors)
    assert calls == [0]
    assert all(torch.equal(raw[layer], outputs[layer]) for layer in ALL)


@everywhere
@both_sides
def test_embeddings_are_the_first_hidden_state(subject: Subject, side: Side) -> None:
    tensors = batch(side)
    with counted([subject.block(layer) for layer in ALL]) as calls:
        found = read(subject.reader([0], Site.embedding, side), tensors)
    assert calls == [0] * LAYERS
    assert list(found) == [0]
    expected = forward(subject.trunk, tensors, side).hidden_states[0]
    real = tensors.attended
    assert torch.equal(found[0][real], expected[real])


@everywhere
@both_sides
@pytest.mark.parametrize("site", [Site.mlp, Site.mlp_output, Site.attention])
def test_sites_are_what_hooks_on_the_known_modules_see(
    subject: Subject, side: Side, site: Site
) -> None:
    seen: list[Tensor] = []

    def note(_: nn.Module, inputs: Any, output: Any) -> None:
        value = inputs if site is Site.mlp else output
        seen.append(value[0] if isinstance(value, tuple) else value)

    paths = {Site.mlp: MLP_OUTPUT, Site.mlp_output: MLP, Site.attention: ATTENTION}
    path = paths[site][subject.architecture]
    places = [subject.block(layer).get_submodule(path) for layer in ALL]
    handles = [place.register_forward_hook(note) for place in places]
    tensors = batch(side)
    forward(subject.trunk, tensors, side)
    for handle in handles:
        handle.remove()

    found = read(subject.reader(ALL, site, side), tensors)
    assert list(found) == ALL
    width = INNER if site is Site.mlp else WIDTH
    for layer, expected in zip(ALL, seen, strict=True):
        assert found[layer].shape == (*tensors.tokens.shape, width)
        # OPT's MLP sees the tokens of all examples in one row.
        expected = expected.reshape(found[layer].shape)
        real = tensors.attended
        torch.testing.assert_close(found[layer][real], expected[real], rtol=0, atol=1e-6)


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gpt_neox", "opt"])
def test_attention_and_mlp_are_what_a_block_adds_to_the_residual_stream(subject: Subject) -> None:
    tensors = batch()
    before, attention, mlp, after = (
        read(subject.reader(ALL, site), tensors)
        for site in (Site.embedding, Site.attention, Site.mlp_output, Site.residual_raw)
    )
    for layer in ALL:
        added = (before[layer] + attention[layer] + mlp[layer])[tensors.attended]
        torch.testing.assert_close(after[layer][tensors.attended], added, rtol=0, atol=1e-5)


@pytest.mark.parametrize("architecture", ["llama"])
def test_layers_are_handed_over_in_order_whatever_order_is_asked_for(subject: Subject) -> None:
    assert list(read(subject.reader([2, 0, 1]), batch())) == ALL
    assert list(read(subject.reader([1, 0], Site.mlp), batch())) == [0, 1]


@pytest.mark.parametrize("architecture", ["llama"])
def test_a_layer_is_handed_over_before_the_next_is_computed(subject: Subject) -> None:
    done: list[int] = []
    with counted([subject.block(layer) for layer in ALL]) as calls:
        subject.reader(ALL).read(batch(), lambda layer, _: done.append(sum(calls)))
    # The reader's hook comes after the counting one, and the last layer after the last block.
    assert done == [1, 2, 3]


@pytest.mark.parametrize("architecture", ["gpt2", "opt"])
@all_sites
@pytest.mark.parametrize("layers", [[0], ALL])
def test_no_hook_stays_behind(subject: Subject, site: Site, layers: list[int]) -> None:
    before = n_hooks(subject.trunk)
    reader = subject.reader(layers, site)
    reader.read(batch(), lambda *_: None)
    reader.n_neurons()
    assert n_hooks(subject.trunk) == before


@pytest.mark.parametrize("architecture", ["gpt2"])
@all_sites
@pytest.mark.parametrize("raise_at", ALL)
def test_a_consumer_that_raises_is_heard_and_leaves_no_hook(
    subject: Subject, site: Site, raise_at: int
) -> None:
    before = n_hooks(subject.trunk)
    reader, tensors = subject.reader(ALL, site), batch()
    expected = read(reader, tensors)

    def refuse(layer: int, _: Tensor) -> None:
        if layer == raise_at:
            raise ZeroDivisionError(layer)

    with pytest.raises(ZeroDivisionError):
        reader.read(tensors, refuse)
    assert n_hooks(subject.trunk) == before
    again = read(reader, tensors)
    assert all(torch.equal(again[layer], expected[layer]) for layer in ALL)


@pytest.mark.parametrize("architecture", sorted(FINAL_NORM))
def test_a_forward_pass_keeps_neither_gradients_nor_keys_and_values(subject: Subject) -> None:
    outputs: list[Any] = []
    handle = subject.trunk.register_forward_hook(lambda *arguments: outputs.append(arguments[2]))
    subject.trunk.requires_grad_(True)
    graphs: list[bool] = []
    try:
        subject.reader(ALL).read(batch(), lambda _, x: graphs.append(x.requires_grad))
    finally:
        handle.remove()
        subject.trunk.requires_grad_(False)
    assert graphs == [False] * LAYERS
    assert [output.past_key_values for output in outputs] == [None]


@everywhere
@all_sites
@pytest.mark.parametrize("layers", [[0], [1, 2]])
def test_the_neurons_of_a_layer_are_counted(
    subject: Subject, site: Site, layers: list[int]
) -> None:
    expected = INNER if site is Site.mlp else WIDTH
    assert subject.reader(layers, site).n_neurons() == expected
    assert read(subject.reader(layers, site), batch())[layers[0]].shape[-1] == expected


def test_a_place_that_is_not_found_is_said_before_anything_is_run() -> None:
    counter = count()

    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(2))

        def forward(self, input_ids: Tensor) -> None:
            next(counter)

    trunk = Odd()
    model = ModelConfig(path="odd", blocks="layers")
    Reader(trunk, model, [0, 1], Site.residual)
    with pytest.raises(UserError, match=r"model\.mlp_output="):
        Reader(trunk, model, [0, 1], Site.mlp)
    with pytest.raises(UserError, match=r"model\.mlp="):
        Reader(trunk, model, [0, 1], Site.mlp_output)
    with pytest.raises(UserError, match=r"model\.attention="):
        Reader(trunk, model, [0, 1], Site.attention)
    assert next(counter) == 0


def test_the_keys_for_blocks_and_places_are_honoured(tmp_path: Path) -> None:
    folder = save_tiny("llama", tmp_path)
    trunk = load_trunk(ModelConfig(path=str(folder)), InitConfig(), torch.device("cpu"))
    places = {"blocks": "layers", "mlp_output": "mlp.gate_proj", "attention": "self_attn.v_proj"}
    model = ModelConfig(path=str(folder), **places)  # type: ignore[arg-type]
    states = forward(trunk, batch(), Side.right).hidden_states
    into_mlp = read(Reader(trunk, model, [1], Site.mlp), batch())[1]
    assert into_mlp.shape[-1] == WIDTH
    values = read(Reader(trunk, model, [1], Site.attention), batch())[1]
    expected = trunk.layers[1].self_attn.v_proj(trunk.layers[1].input_layernorm(states[1]))
    real = batch().attended
    torch.testing.assert_close(values[real], expected[real], rtol=0, atol=1e-6)
