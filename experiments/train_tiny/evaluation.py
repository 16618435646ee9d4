"""Bits per byte of a model on a row of tokens."""

from __future__ import annotations

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

    Each window begins with the last token of the one before it, so that every token but the
    row's first is predicted once, from what its own window holds before it. The end-of-text
    tokens are paid for, but add no bytes.

    Parameters
    ----------
    model
        Model to measure.
    tokens
        Row of tokens that begins with the end-of-text token.
    text_bytes
        UTF-8 bytes of the texts in the row.
    window
        Tokens in one window.

    Returns
    -------
    float
        Bits of the whole row, divided by `text_bytes`.
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
