"""Bits per byte of a model on a stream of tokens."""

import math

import torch
from torch.nn.functional import cross_entropy
from transformers import Qwen2ForCausalLM


@torch.no_grad()
def bits_per_byte(
    model: Qwen2ForCausalLM, tokens: torch.Tensor, text_bytes: int, window: int
) -> float:
    """
    Measure a model over fixed windows.

    Each window begins with the last token of the previous one, so that every token but the first
    is predicted once, from the preceding tokens of its window. End-of-text tokens cost bits but add
    no bytes.

    Parameters
    ----------
    model
        Model to measure.
    tokens
        Stream of tokens, starting with the end-of-text token.
    text_bytes
        UTF-8 bytes of the texts in the stream.
    window
        Tokens in one window.

    Returns
    -------
    float
        Bits of the whole stream, divided by `text_bytes`.
    """
    was_training = model.training
    model.train(False)
    nats = 0.0
    for start in range(0, len(tokens) - 1, window - 1):
        piece = tokens[start : start + window]
        logits = model(input_ids=piece[None, :-1], use_cache=False).logits[0].float()
        nats += float(cross_entropy(logits, piece[1:], reduction="sum"))
    model.train(was_training)
    return nats / math.log(2) / text_bytes
