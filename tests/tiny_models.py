"""Tiny models of several architectures with a byte-level tokenizer, saved as real ones are."""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    PreTrainedTokenizerFast,
)

VOCABULARY, CONTEXT, LAYERS, WIDTH = 300, 128, 3, 16
END = "<|endoftext|>"

# What differs from one architecture to the next. The names that all of them understand
# (hidden_size, num_hidden_layers, num_attention_heads, …) are in `save_tiny`.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "gpt2": {"n_inner": 40},
    "gpt_neox": {"intermediate_size": 40, "rotary_pct": 0.5},
    "qwen2": {"intermediate_size": 40, "num_key_value_heads": 2},
    # Heads are wider than the residual stream divided by their number, as in the real ones.
    "qwen3": {"intermediate_size": 40, "num_key_value_heads": 2, "head_dim": 8},
    "llama": {"intermediate_size": 40, "num_key_value_heads": 2},
    # Every second layer sees all tokens, the others the last four only.
    "gemma3_text": {
        "intermediate_size": 40,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "sliding_window": 4,
        "sliding_window_pattern": 2,
    },
    "olmo2": {"intermediate_size": 40, "num_key_value_heads": 2},
    "bert": {"intermediate_size": 40},
    "opt": {"ffn_dim": 40, "word_embed_proj_dim": WIDTH},
}

# Where each keeps its blocks, and in a block its MLP's output projection and its attention.
BLOCKS = dict.fromkeys(ARCHITECTURES, "layers") | {
    "gpt2": "h",
    "bert": "encoder.layer",
    "opt": "decoder.layers",
}
MLP_OUTPUT = dict.fromkeys(ARCHITECTURES, "mlp.down_proj") | {
    "gpt2": "mlp.c_proj",
    "gpt_neox": "mlp.dense_4h_to_h",
    "bert": "output.dense",
    "opt": "fc2",
}
MLP = dict.fromkeys(ARCHITECTURES, "mlp") | {
    "gpt_neox": "mlp.dense_4h_to_h",
    "bert": "output.dense",
    "opt": "fc2",
}
ATTENTION = dict.fromkeys(ARCHITECTURES, "self_attn") | {
    "gpt2": "attn",
    "gpt_neox": "attention",
    "bert": "attention.output.dense",
}
# The norm behind the last block, where there is one.
FINAL_NORM = dict.fromkeys(ARCHITECTURES.keys() - {"bert"}, "norm") | {
    "gpt2": "ln_f",
    "gpt_neox": "final_layer_norm",
    "opt": "decoder.final_layer_norm",
}
LINES = [
    "The neurons of a layer rise and fall together, token by token, and we count how often.",
    "A river carries sand to the sea; the sea carries it back to the shore in every storm.",
    "Which of the following is the capital of the country in which the treaty was signed?",
    "In 1904 the engineers measured 17 bridges, 29 tunnels and 8 harbours along the coast.",
    "She asked whether the theory explains the data, or whether the data explain the theory.",
]


def save_tiny(architecture: str, folder: Path, *, seed: int = 0, **config: Any) -> Path:
    """Save a language model with weights drawn at random, head included, and its tokenizer.

    Every weight is random, those of the norms and biases too, so that one norm too many or too
    few shows. The tokenizer knows an end-of-sequence token and no padding token.

    Parameters
    ----------
    architecture : str
        One of `ARCHITECTURES`, or another that `config` describes.
    folder : Path
        Where to save; it is made if it is not there.
    seed : int
        Of the weights.
    **config : Any
        Values of the model's configuration that take the place of the tiny ones, e.g.
        `num_hidden_layers=2` or `dtype="bfloat16"`.

    Returns
    -------
    Path
        `folder`.
    """
    tiny: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "max_position_embeddings": CONTEXT,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": None,
    }
    settings = AutoConfig.for_model(
        architecture, **(tiny | ARCHITECTURES.get(architecture, {}) | config)
    )
    masked = architecture in ("bert", "fnet", "big_bird", "xlm", "roberta")
    kind = AutoModelForMaskedLM if masked else AutoModelForCausalLM
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind.from_config(settings, dtype=torch.float32)
        for parameter in model.parameters():
            norm_weight = parameter.dim() == 1 and bool((parameter == 1).all())
            torch.nn.init.normal_(parameter, mean=float(norm_weight), std=0.2)
    if "dtype" in config:
        model.to(getattr(torch, config["dtype"]))
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Make a byte-level tokenizer, trained on `LINES`, that adds no special tokens."""
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_trained()),
        bos_token=END,
        eos_token=END,
        unk_token=END,
        model_max_length=CONTEXT,
    )


@cache
def _trained() -> str:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(LINES, trainer)
    return tokenizer.to_str()
