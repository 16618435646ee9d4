"""The tiny model: building and storing it."""

from pathlib import Path

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer

from experiments.train_tiny.settings import TrainTiny


def build_model(settings: TrainTiny, end_of_text: int) -> Qwen2ForCausalLM:
    """
    Build the untrained model in float32.

    The same settings give the same weights; the caller's random state is not changed.

    Parameters
    ----------
    settings
        Sizes and seed.
    end_of_text
        Token that separates texts and serves as padding.

    Returns
    -------
    Qwen2ForCausalLM
        Model with initial weights.
    """
    config = Qwen2Config(
        vocab_size=settings.vocabulary,
        hidden_size=settings.hidden_size,
        intermediate_size=settings.intermediate_size,
        num_hidden_layers=settings.num_layers,
        num_attention_heads=settings.num_heads,
        num_key_value_heads=settings.num_key_value_heads,
        max_position_embeddings=settings.window,
        tie_word_embeddings=True,
        bos_token_id=end_of_text,
        eos_token_id=end_of_text,
        pad_token_id=end_of_text,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return Qwen2ForCausalLM(config)


def store_model(model: Qwen2ForCausalLM, tokenizer: Qwen2Tokenizer, folder: Path) -> None:
    """
    Store the model with float16 weights, and its tokenizer.

    The configuration still says float32, so that loading gives float32 by default.

    Parameters
    ----------
    model
        Model in float32, which is not changed.
    tokenizer
        Tokenizer of the model.
    folder
        Where to write; created if it does not exist.
    """
    weights = {
        name: weight.half()
        for name, weight in model.state_dict().items()
        # Tied to the embedding: converted separately, it would be stored twice.
        if name != "lm_head.weight"
    }
    model.save_pretrained(folder, state_dict=weights)
    (folder / "model.safetensors").chmod(0o644)  # by default only its owner can read it
    tokenizer.save_pretrained(folder)


def count_parameters(model: Qwen2ForCausalLM) -> int:
    """Count the model's parameters, tied ones once."""
    return sum(parameter.numel() for parameter in model.parameters())
