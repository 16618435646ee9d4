"""Softmax attention in float64 from a layer's input and weights: heads, positions, mask, output.

Written out for models that are so far alike: projections (apart or joint), norms of queries and
keys, rotary or ALiBi positions, groups of heads, a causal mask or none, windows. Rotary factors
that are scaled (Apertus, GPT-OSS) are not.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

# Softmax attention is written out for these.
LLAMA = [
    "llama",
    "mistral",
    "mixtral",
    "qwen2",
    "qwen3",
    "qwen2_moe",
    "qwen3_moe",
    "gemma",
    "gemma2",
    "gemma3_text",
    "phi",
    "phi3",
    "phimoe",
    "olmo",
    "olmo2",
    "olmo3",
    "olmoe",
    "cohere",
    "cohere2",
    "granite",
    "granitemoe",
    "stablelm",
    "starcoder2",
    "persimmon",
    "nemotron",
    "glm",
    "glm4",
    "glm4_moe",
    "smollm3",
    "ernie4_5",
    "exaone4",
    "arcee",
    "helium",
    "seed_oss",
    "hunyuan_v1_dense",
    "ministral",
    "eurobert",
]
OTHERS = [
    "gpt2",
    "gpt_neo",
    "gpt_neox",
    "gptj",
    "gpt_bigcode",
    "opt",
    "bloom",
    "mpt",
    "xglm",
    "biogpt",
    "openai-gpt",
    "falcon",
]
ENCODERS = ["bert", "roberta", "xlm-roberta", "camembert", "electra", "megatron-bert", "ernie"]
WRITTEN = frozenset({*LLAMA, *OTHERS, *ENCODERS})
_TWO_SIDED = {*ENCODERS, "eurobert"}
_WITHOUT_ROTARY = {
    "gpt2", "gpt_neo", "gpt_bigcode", "opt", "bloom", "mpt", "xglm", "biogpt", "openai-gpt",
    *ENCODERS,
}  # fmt: skip
_ALIBI = {"bloom", "mpt"}
# They turn pairs of neighbouring channels, others the two halves.
_PAIRS = {"gptj", "cohere", "cohere2", "glm", "glm4", "ernie4_5", "helium"}
# Norms of queries and keys stand behind the rotation.
_NORMS_LAST = {"hunyuan_v1_dense"}
_QUERY_NORMS = ("q_norm", "q_layernorm", "query_layernorm")
_KEY_NORMS = ("k_norm", "k_layernorm", "key_layernorm")
_JOINT = ("qkv_proj", "query_key_value", "c_attn", "Wqkv")


def attention_of(block: nn.Module) -> nn.Module | None:
    """Return the part of a block that has the projections of queries."""
    wanted = {"q_proj", "query", *_JOINT}
    for module in block.modules():
        if wanted & {name for name, _ in module.named_children()}:
            return module
    return None


def project(module: Any, x: Tensor) -> Tensor:
    """Multiply by a projection's weights; GPT-2's are stored the other way."""
    weight = module.weight.T if type(module).__name__ == "Conv1D" else module.weight
    return functional.linear(x, weight, getattr(module, "bias", None))


def heads(attention: Any, config: Any, layer: int, x: Tensor) -> Tensor:
    """Return the heads' outputs side by side, (n_tokens, width), for inputs (n_tokens, width)."""
    kind = config.model_type
    width = _first(config, "head_dim") or _first(config, "hidden_size", "n_embd") // _count(config)
    q, k, v = _projected(attention, config, width, x)
    rotary = kind not in _WITHOUT_ROTARY and _turns(config, layer)
    if rotary and kind in _NORMS_LAST:
        q, k = (_rotated(one, config, layer) for one in (q, k))
    q, k = _normed(attention, config, _QUERY_NORMS, q), _normed(attention, config, _KEY_NORMS, k)
    if rotary and kind not in _NORMS_LAST:
        q, k = (_rotated(one, config, layer) for one in (q, k))
    k, v = (one.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for one in (k, v))
    scores = torch.einsum("ihd,jhd->hij", q, k) * _scale(config, width)
    if kind in _ALIBI:
        scores = scores + _alibi(config, len(x))
    if cap := getattr(config, "attn_logit_softcapping", None):
        scores = cap * torch.tanh(scores / cap)
    scores = scores.masked_fill(~_seen(config, layer, len(x)), -torch.inf)
    return torch.einsum("hij,jhd->ihd", scores.softmax(dim=2), v).flatten(1)


def _first(config: Any, *names: str) -> Any:
    return next((value for name in names if (value := getattr(config, name, None))), None)


def _count(config: Any) -> int:
    count: int = _first(config, "num_attention_heads", "n_head", "num_heads")
    return count


def _projected(attention: Any, config: Any, width: int, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys and values, (n_tokens, n_heads, width) each."""
    parts = dict(attention.named_children())
    count, kind = _count(config), config.model_type
    joint = next((parts[name] for name in _JOINT if name in parts), None)
    if joint is None:
        names = ("q_proj", "k_proj", "v_proj") if "q_proj" in parts else ("query", "key", "value")
        apart = [project(parts[name], x) for name in names]
        q, k, v = (one.unflatten(1, (-1, width)) for one in apart)
        return q, k, v
    whole = project(joint, x)
    if kind in ("gpt_neox", "bloom", "persimmon"):  # head by head
        q, k, v = whole.unflatten(1, (count, 3, width)).unbind(dim=2)
        return q, k, v
    if kind == "falcon":  # group by group
        groups = whole.unflatten(1, (config.num_kv_heads, -1, width))
        return groups[:, :, :-2].flatten(1, 2), groups[:, :, -2], groups[:, :, -1]
    if kind == "gpt_bigcode":  # one head of keys and values
        shared = [count * width, width, width]
    else:
        shared = [count * width, *[(whole.shape[1] - count * width) // 2] * 2]
    q, k, v = (one.unflatten(1, (-1, width)) for one in whole.split(shared, dim=1))
    return q, k, v


def _normed(attention: Any, config: Any, names: tuple[str, ...], x: Tensor) -> Tensor:
    """Normalise every head, or all of them together, by the norm's own kind."""
    norm = next((one for name in names if (one := getattr(attention, name, None))), None)
    weight = getattr(norm, "weight", None)
    if weight is None:
        return x
    flat = x if weight.numel() == x.shape[2] else x.flatten(1)
    if isinstance(norm, nn.LayerNorm):
        flat = functional.layer_norm(flat, (flat.shape[-1],), weight, norm.bias, norm.eps)
    else:
        eps = _first(norm, "variance_epsilon", "eps") or config.rms_norm_eps
        gain = weight + 1 if config.model_type.startswith("gemma") else weight
        flat = flat / (flat.square().mean(dim=-1, keepdim=True) + eps).sqrt() * gain
    return flat.reshape(x.shape)


def _kind_of(config: Any, layer: int) -> str | None:
    kinds = getattr(config, "layer_types", None)
    return None if kinds is None else kinds[layer]


def _turns(config: Any, layer: int) -> bool:
    """Whether a layer has rotary positions at all."""
    if config.model_type == "smollm3":
        return bool(config.no_rope_layers[layer])
    if config.model_type == "cohere2":
        return _kind_of(config, layer) == "sliding_attention"
    if config.model_type == "exaone4" and config.sliding_window is not None:
        return _kind_of(config, layer) == "sliding_attention"
    return True


def _rotated(x: Tensor, config: Any, layer: int) -> Tensor:
    """Turn the first channels of every head by the token's place."""
    factors = getattr(config, "rope_parameters", None) or {}
    factors = factors.get(_kind_of(config, layer), factors)
    width = x.shape[2]
    share = factors.get("partial_rotary_factor") or getattr(config, "partial_rotary_factor", 1.0)
    turned = getattr(config, "rotary_dim", None) or int(width * share)
    base = factors.get("rope_theta", 10000.0)
    speed = base ** (-torch.arange(0, turned, 2).double() / turned)
    angle = torch.arange(len(x)).double()[:, None] * speed
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    some, rest = x[..., :turned], x[..., turned:]
    if config.model_type in _PAIRS:
        a, b = some[..., 0::2], some[..., 1::2]
        both = torch.stack([a * cos - b * sin, b * cos + a * sin], dim=-1).flatten(-2)
    else:
        a, b = some.chunk(2, dim=-1)
        both = torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)
    return torch.cat([both, rest], dim=-1)


def _scale(config: Any, width: int) -> float:
    if config.model_type == "gpt_neo":
        return 1.0
    if scalar := getattr(config, "query_pre_attn_scalar", None):
        return float(scalar) ** -0.5
    return float(getattr(config, "attention_multiplier", None) or width**-0.5)


def _alibi(config: Any, n: int) -> Tensor:
    """Return what is added for the distance, (n_heads, 1, n_keys); the number is a power of 2."""
    count = _count(config)
    slopes = 2.0 ** (-8 * torch.arange(1, count + 1).double() / count)
    return slopes[:, None, None] * torch.arange(n).double()


def _seen(config: Any, layer: int, n: int) -> Tensor:
    """Return which keys a query sees, (n_queries, n_keys)."""
    distance = torch.arange(n)[:, None] - torch.arange(n)
    window = getattr(config, "sliding_window", None)
    if config.model_type == "gpt_neo":
        window = config.window_size if config.attention_layers[layer] == "local" else None
    elif _kind_of(config, layer) not in (None, "sliding_attention"):
        window = None
    # PaliGemma sets the latter: texts are prefixes of its answers.
    two_sided = getattr(config, "use_bidirectional_attention", None)
    if config.model_type in _TWO_SIDED or two_sided:
        return torch.ones_like(distance, dtype=torch.bool)
    return (distance >= 0) & (distance < (math.inf if window is None else window))
