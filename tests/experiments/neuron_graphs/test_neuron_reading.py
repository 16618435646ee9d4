"""Activations of real modules: planted weights, patched neurons, every architecture's MLP."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import (
    AutoModel,
    BloomConfig,
    FalconConfig,
    Gemma2Config,
    GPT2Config,
    GPT2Model,
    GPTJConfig,
    GPTNeoConfig,
    GPTNeoXConfig,
    LlamaConfig,
    MixtralConfig,
    OPTConfig,
    Phi3Config,
    PhiConfig,
    Qwen2Config,
)

from experiments.neuron_graphs.answering import Answerer
from experiments.neuron_graphs.asks import Activations, Ids
from experiments.neuron_graphs.fit import Rules, fit
from experiments.neuron_graphs.graph import WILDCARD
from experiments.neuron_graphs.lockstep import Lockstep
from experiments.neuron_graphs.packing import Gather, Packer
from experiments.neuron_graphs.predict import Predictor
from experiments.neuron_graphs.presets import PRESETS
from experiments.neuron_graphs.reading import Rows
from experiments.neuron_graphs.records import Match
from experiments.neuron_graphs.texts import Text
from experiments.neuron_graphs.unit import Unit
from experiments.neuron_graphs.validate import Evidence, validate
from probe.api import Config, Site, UserError
from probe.cli import compose_job
from probe.models import find_hook_point

CPU = torch.device("cpu")
THE, CAT, MASK = 1, 5, 0
composed = cache(lambda *words: compose_job(list(words), Config))


def settings(site: str = "mlp") -> Config:
    return replace(composed("data.limit=1"), site=Site(site))


SMALL = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
WIDE = SMALL | {"intermediate_size": 24, "max_position_embeddings": 64}
GROUPED = WIDE | {"num_key_value_heads": 2}
CONFIGS: dict[str, Any] = {
    "gpt2": GPT2Config(vocab_size=40, n_embd=16, n_layer=2, n_head=2, n_positions=64),
    "gpt_neo": GPTNeoConfig(
        vocab_size=40, hidden_size=16, num_layers=2, num_heads=2, max_position_embeddings=64,
        attention_types=[[["global", "local"], 1]],
    ),
    "gptj": GPTJConfig(vocab_size=40, n_embd=16, n_layer=2, n_head=2, n_positions=64, rotary_dim=4),
    "gpt_neox": GPTNeoXConfig(**WIDE),
    "bloom": BloomConfig(vocab_size=40, hidden_size=16, n_layer=2, n_head=2),
    "falcon": FalconConfig(**SMALL),
    "llama": LlamaConfig(**GROUPED),
    "qwen2": Qwen2Config(**GROUPED),
    "gemma2": Gemma2Config(**GROUPED, head_dim=8),
    "phi3": Phi3Config(**GROUPED, pad_token_id=0),
    "phi": PhiConfig(**WIDE),
    "opt": OPTConfig(**SMALL, ffn_dim=24, max_position_embeddings=64, word_embed_proj_dim=16),
}  # fmt: skip


def random_model(config: Any) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: nn.Module = AutoModel.from_config(config).eval()
        # Enough to be told from 0 in every layer.
        with torch.no_grad():
            for weight in model.parameters():
                if weight.dim() > 1:
                    weight.normal_(0, 0.3)
    return model


def rows_of(number: int, seed: int = 0) -> list[Ids]:
    rng = np.random.default_rng(seed)
    return [tuple(rng.integers(1, 40, rng.integers(3, 30)).tolist()) for _ in range(number)]


def everything(rows: Sequence[Ids], neuron: int) -> Gather:
    row = np.concatenate([np.full(len(ids), n) for n, ids in enumerate(rows)])
    position = np.concatenate([np.arange(len(ids)) for ids in rows])
    return Gather(row, position, np.full(len(row), neuron), np.ones(len(row), np.int64))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_padded_batch_is_its_rows_and_a_pass_that_ends_early_a_whole_one(name: str) -> None:
    model, rows, config = random_model(CONFIGS[name]), rows_of(6), settings()
    read = Rows(model, config, CPU, pad=0)
    for layer in (0, 1):
        together = read(layer, rows, everything(rows, 3))
        alone = [read(layer, [ids], everything([ids], 3)) for ids in rows]
        np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-5)
        # A whole pass, with a hook of one's own.
        place = find_hook_point(_blocks(model)[layer], config.model, Site.mlp)
        kept: list[torch.Tensor] = []
        handle = place.module.register_forward_pre_hook(lambda _, x, kept=kept: kept.append(x[0]))
        ids = torch.tensor([rows[0]])
        with torch.inference_mode():
            model(input_ids=ids, use_cache=False)
        handle.remove()
        whole = kept[0].reshape(1, len(rows[0]), -1)[0, :, 3].numpy()
        assert np.abs(whole).max() > 0
        np.testing.assert_array_equal(alone[0], whole)


def _blocks(model: nn.Module) -> nn.ModuleList:
    from probe.models import find_blocks

    return find_blocks(model, settings().model)


def test_experts_have_no_single_output_projection() -> None:
    model = random_model(MixtralConfig(**GROUPED, num_local_experts=2))
    with pytest.raises(UserError, match=r"site=mlp finds no such part .* give model\.mlp_output="):
        Rows(model, settings(), CPU, 0)(0, [(1, 2)], everything([(1, 2)], 0))


def test_memory_that_runs_out_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model(CONFIGS["gpt2"])
    read, rows = Rows(model, settings(), CPU, 0), rows_of(8)
    expected = read(0, rows, everything(rows, 1))
    forward = model.forward

    def small(input_ids: torch.Tensor, **more: Any) -> Any:
        if len(input_ids) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return forward(input_ids, **more)

    small.__signature__ = __import__("inspect").signature(forward)  # type: ignore[attr-defined]
    monkeypatch.setattr(model, "forward", small)
    with pytest.raises(MemoryError, match="8 rows do not fit on cpu"):
        read(0, rows, everything(rows, 1))
    packer = Packer(read, 100, 10_000)
    found = packer([(Unit(0, 1), Activations(ids, range(len(ids)))) for ids in rows])
    np.testing.assert_allclose(np.concatenate(found), expected, atol=1e-6)
    assert packer.tally.batches == 4, "halved twice"


def test_what_is_not_finite_is_refused() -> None:
    model = random_model(CONFIGS["llama"])
    with torch.no_grad():
        next(model.parameters())[7] = torch.nan
    with pytest.raises(UserError, match="an activation of layer 1 is not finite"):
        Rows(model, settings(), CPU, 0)(1, [(1, 7)], everything([(1, 7)], 0))


def graph_and_match(
    read: Rows, unit: Unit, train: list[Ids], test: list[Ids], classes: int
) -> tuple[dict[Ids, float], Match, float]:
    """Return a unit's paths, how well they foretell other texts, and its largest activation."""
    packer = Packer(read, 64, 4096)

    def texts(rows: list[Ids]) -> list[Text]:
        found = packer([(unit, Activations(ids, range(len(ids)))) for ids in rows])
        return [Text(ids, one.astype(float)) for ids, one in zip(rows, found, strict=True)]

    seen, held_out = texts(train), texts(test)
    largest = float(max(one.activations.max() for one in seen))
    rules = Rules(PRESETS["consistent"], MASK, np.arange(classes, dtype=np.int32), substitutes=0)
    run = Lockstep(lambda _: fit(seen, largest, rules), Answerer(packer, None), 9).run([unit])
    [(_, result)] = run
    assert not isinstance(result, Exception), result
    pairs = [(np.array(one.tokens, np.int32), one.activations / largest) for one in held_out]
    scores = validate(Predictor(result.graph), Evidence([], pairs, []))
    return result.graph.ends, scores.graph, largest


def spread_words(number: int, length: int, vocabulary: int, seed: int, gap: int) -> list[Ids]:
    """Return texts in which "the", some words and "cat" occur, also at the distance asked for."""
    rng = np.random.default_rng(seed)
    texts = []
    for _ in range(number):
        ids = rng.integers(6, vocabulary, length)
        ids[rng.choice(length, 8, replace=False)] = rng.choice([THE, CAT], 8)
        at = int(rng.integers(gap, length))
        ids[at], ids[at - gap] = CAT, THE
        texts.append(tuple(ids.tolist()))
    return texts


V, P = 24, 64


def planted(distance: int) -> GPT2Model:
    """Return a GPT-2 whose neurons 0 and 1 are "the … cat" at a distance, and "cat"."""
    d = 2 * V + P
    config = GPT2Config(
        vocab_size=V, n_positions=P, n_embd=d, n_layer=1, n_head=1, n_inner=8,
        activation_function="relu",
    )  # fmt: skip
    model = GPT2Model(config).eval()

    def hot_and_cold(ones: int) -> tuple[float, float]:
        share = ones / d
        scale = (share - share**2 + 1e-5) ** 0.5
        return (1 - share) / scale, -share / scale

    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        block: Any = model.h[0]
        for norm in (block.ln_1, block.ln_2):
            norm.weight.fill_(1)
        model.wte.weight[:, :V] = torch.eye(V)
        model.wpe.weight[:, 2 * V :] = torch.eye(P)
        hot, cold = hot_and_cold(2)
        gain = 40 / (hot - cold)
        weight, bias = block.attn.c_attn.weight, block.attn.c_attn.bias
        for position in range(P):
            slot = max(0, position - distance)
            weight[2 * V + position, slot] = gain
            weight[2 * V + position, d + position] = gain
            bias[slot] -= gain * cold
            bias[d + position] -= gain * cold
        for token in range(V):
            weight[token, 2 * d + V + token] = 1 / (hot - cold)
            bias[2 * d + V + token] = -cold / (hot - cold)
        block.attn.c_proj.weight.copy_(torch.eye(d))
        hot, cold = hot_and_cold(3)
        step = 1 / (hot - cold)
        block.mlp.c_fc.weight[CAT, 0] = block.mlp.c_fc.weight[V + THE, 0] = step
        block.mlp.c_fc.bias[0] = -2 * cold * step - 1
        block.mlp.c_fc.weight[CAT, 1] = step
        block.mlp.c_fc.bias[1] = -cold * step
    return model


@pytest.mark.parametrize(
    ("distance", "neuron", "path"),
    [(1, 0, (CAT, THE)), (2, 0, (CAT, WILDCARD, THE)), (1, 1, (CAT,))],
)
def test_planted_weights_are_found(distance: int, neuron: int, path: Ids) -> None:
    read = Rows(planted(distance), settings(), CPU, 0)
    train, test = (spread_words(10, 48, V, seed, distance) for seed in (1, 2))
    ends, match, largest = graph_and_match(read, Unit(0, neuron), train, test, V)
    assert ends == {path: pytest.approx(1.0, abs=1e-5)}
    assert match == Match(1.0, 1.0, 1.0)
    assert largest == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_patched_neuron_is_found_and_its_neighbour_untouched(name: str) -> None:
    model, config, neuron = random_model(CONFIGS[name]), settings(), 3
    place = find_hook_point(_blocks(model)[1], config.model, Site.mlp)
    seen: list[torch.Tensor] = []
    embedding: Any = model.get_input_embeddings()  # type: ignore[operator]
    embedding.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))

    def patch(_: nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        ids = seen[-1]
        fires = torch.zeros(ids.shape)
        fires[:, 1:] = ((ids[:, 1:] == CAT) & (ids[:, :-1] == THE)).float()
        changed = inputs[0].clone()
        changed.reshape(*ids.shape, -1)[..., neuron] = 3.25 * fires
        return (changed,)

    rows = rows_of(4)
    read = Rows(model, config, CPU, 0)
    neighbour = read(1, rows, everything(rows, neuron + 1))
    place.module.register_forward_pre_hook(patch)
    np.testing.assert_array_equal(read(1, rows, everything(rows, neuron + 1)), neighbour)
    train, test = (spread_words(5, 40, 40, seed, 1) for seed in (1, 2))
    ends, match, largest = graph_and_match(read, Unit(1, neuron), train, test, 40)
    assert largest == 3.25
    assert ends == {(CAT, THE): 1.0}
    assert match == Match(1.0, 1.0, 1.0)


def test_a_negative_unit_is_the_neuron_times_minus_one() -> None:
    read = Packer(Rows(random_model(CONFIGS["llama"]), settings(), CPU, 0), 9, 999)
    asked = Activations((1, 2, 3), range(3))
    up, down = read([(Unit(1, 2), asked), (Unit(1, 2, -1), asked)])
    assert np.array_equal(up, -down)
    assert np.abs(up).max() > 0
    assert read.tally.batches == 1
