"""Settings of the tiny language model, free of heavy imports."""

from __future__ import annotations

from dataclasses import dataclass

from probe.api import key


@dataclass
class TrainTiny:
    """
    Settings of one training of the tiny language model.

    The defaults give the model that is bundled with the tool: about 1.4 million parameters,
    trained in about a quarter of an hour on two processor cores.
    """

    steps: int = key(3000, "Number of optimiser steps; 0 stores the untrained model.")

    batch_size: int = key(2, "Number of windows in one optimiser step.")

    window: int = key(
        1024, "Tokens in one window, for training and evaluation, and the model's longest input."
    )

    learning_rate: float = key(3e-3, "Highest learning rate, reached at the end of the warm-up.")

    warmup_steps: int = key(
        100, "Steps over which the learning rate rises linearly before its cosine decay to zero."
    )

    weight_decay: float = key(
        0.1, "AdamW weight decay of the matrices; norms and biases have none."
    )

    gradient_clip: float = key(1.0, "Largest norm of the whole gradient.")

    seed: int = key(0, "Seed of the initial weights and of the order of the windows.")

    held_out: float = key(
        0.05, "Expected share of documents kept out of training, chosen by a hash of their names."
    )

    vocabulary: int = key(
        2048, "Number of tokens, of which 256 are the bytes and one is the end of a text."
    )

    hidden_size: int = key(128, "Width of the residual stream.")

    num_layers: int = key(6, "Number of decoder layers.")

    num_heads: int = key(4, "Number of attention heads in each layer.")

    num_key_value_heads: int = key(
        2, "Number of key and value heads in each layer, shared between the attention heads."
    )

    intermediate_size: int = key(384, "Width inside each feed-forward block.")

    threads: int = key(
        2, "Processor threads that PyTorch uses; another number changes the last digits."
    )

    log_every: int = key(50, "Steps between two log lines of the training loss.")

    checkpoints: bool = key(
        False, "Whether to store the model at steps 0, 1, 2, 4, 8, ... as `checkpoints/step-N`."
    )
