"""A model is put back as it was before it read anything."""

from typing import Any

import torch
from transformers import AutoConfig, AutoModel

from probe.models import ModelState

SIZE: dict[str, Any] = {
    "vocab_size": 300, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2,
    "num_attention_heads": 4, "max_position_embeddings": 160, "pad_token_id": 1,
}  # fmt: skip


def make(kind: str, **more: Any) -> Any:
    return AutoModel.from_config(AutoConfig.for_model(kind, **SIZE | more)).eval()


def ids(length: int) -> torch.Tensor:
    return torch.arange(3, 3 + length)[None]


@torch.inference_mode()
def states(trunk: Any, length: int) -> torch.Tensor:
    last: torch.Tensor = trunk(input_ids=ids(length)).last_hidden_state
    return last.clone()


def test_an_attention_that_was_replaced_is_put_back() -> None:
    more = {"block_size": 8, "num_random_blocks": 1, "attention_type": "block_sparse"}
    trunk = make("big_bird", **more)
    state, before, attention = ModelState(trunk), states(trunk, 130), trunk.encoder.layer[0]
    attention = attention.attention.self
    assert state.changed() == []
    states(trunk, 1)
    assert trunk.attention_type == "original_full"
    changed = state.changed()
    assert ".attention_type" in changed
    assert any(name.endswith("attention._modules") for name in changed)
    assert not torch.equal(states(trunk, 130), before)
    state.restore()
    assert state.changed() == []
    assert trunk.encoder.layer[0].attention.self is attention
    assert torch.equal(states(trunk, 130), before)


def test_rotary_factors_of_a_longer_text_are_put_back() -> None:
    rope = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
    trunk = make("llama", num_key_value_heads=2, max_position_embeddings=32, rope_parameters=rope)
    state, before = ModelState(trunk), states(trunk, 40)
    state.restore()
    states(trunk, 90)
    assert not torch.equal(states(trunk, 40), before)
    state.restore()
    assert torch.equal(states(trunk, 40), before)


def test_configuration_hooks_and_computed_buffers_are_put_back() -> None:
    trunk = make("llama", num_key_value_heads=2)
    state, frequencies = ModelState(trunk), trunk.rotary_emb.inv_freq.clone()
    with torch.inference_mode():
        trunk(input_ids=ids(5), output_hidden_states=True)
    trunk.config.use_cache = False
    trunk.config.rope_parameters["rope_theta"] = 7.0
    trunk.config.extra = 1
    with torch.inference_mode():
        trunk.rotary_emb.inv_freq.mul_(2)
    changed = state.changed()
    assert any(name.endswith(".use_cache") for name in changed)
    assert any(name.endswith(".rope_parameters") for name in changed)
    assert "rotary_emb.inv_freq" in changed
    assert any(module._forward_hooks for module in trunk.modules())
    state.restore()
    assert len(trunk(input_ids=ids(5), output_hidden_states=True).hidden_states) == 3
    state.restore(hooks=True)
    assert state.changed() == []
    assert trunk.config.rope_parameters["rope_theta"] == 1e4
    assert not hasattr(trunk.config, "extra")
    assert torch.equal(trunk.rotary_emb.inv_freq, frequencies)
    assert not any(module._forward_hooks for module in trunk.modules())
    assert len(trunk(input_ids=ids(5), output_hidden_states=True).hidden_states) == 3


def test_weights_that_are_prepared_at_the_first_reading_stay_so() -> None:
    trunk = make("rwkv", num_hidden_layers=4, rescale_every=2, context_length=160)
    state, before = ModelState(trunk), states(trunk, 9)
    state.restore()
    assert torch.equal(states(trunk, 9), before)
    state.restore()
    assert torch.equal(states(trunk, 9), before)
