"""Settings of the tiny language model, free of heavy imports."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainTiny:
    """
    Settings of one training of the tiny language model.

    The defaults give the model that is bundled with the tool: about 1.4 million parameters,
    trained in about a quarter of an hour on two processor cores.
    """

    steps: int = 3000
    """Number of optimiser steps; 0 stores the untrained model."""

    batch_size: int = 2
    """Number of windows in one optimiser step."""

    window: int = 1024
    """Tokens in one window, for training and evaluation, and the model's longest input."""

    learning_rate: float = 3e-3
    """Highest learning rate, reached at the end of the warm-up."""

    warmup_steps: int = 100
    """Steps over which the learning rate rises linearly before its cosine decay to zero."""

    weight_decay: float = 0.1
    """AdamW weight decay of the matrices; norms and biases have none."""

    gradient_clip: float = 1.0
    """Largest norm of the whole gradient."""

    seed: int = 0
    """Seed of the initial weights and of the order of the windows."""

    held_out: float = 0.05
    """Expected share of documents kept out of training, chosen by a hash of their names."""

    vocabulary: int = 2048
    """Number of tokens, of which 256 are the bytes and one is the end of a text."""

    hidden_size: int = 128
    """Width of the residual stream."""

    num_layers: int = 6
    """Number of decoder layers."""

    num_heads: int = 4
    """Number of attention heads in each layer."""

    num_key_value_heads: int = 2
    """Number of key and value heads in each layer, shared between the attention heads."""

    intermediate_size: int = 384
    """Width inside each feed-forward block."""

    threads: int = 2
    """Processor threads that PyTorch uses; another number changes the last digits."""

    log_every: int = 50
    """Steps between two log lines of the training loss."""

    checkpoints: bool = False
    """Whether to store the model at steps 0, 1, 2, 4, 8, ... as `checkpoints/step-N`."""
