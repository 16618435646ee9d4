"""Settings of the tiny language model, without heavy imports."""

from dataclasses import dataclass
from math import inf

from probe.api import UserError, key

# The 256 bytes and the end of text are always tokens.
_LEAST = {
    "steps": 0, "batch_size": 1, "window": 2, "warmup_steps": 0, "seed": 0, "vocabulary": 257,
    "hidden_size": 1, "num_layers": 1, "num_heads": 1, "num_key_value_heads": 1,
    "intermediate_size": 1, "threads": 1, "log_every": 1,
}  # fmt: skip


@dataclass
class TrainTiny:
    """
    Settings of one training of the tiny language model.

    The defaults give the model that is bundled with probe: about 1.4 million parameters, trained in
    about a quarter of an hour on two processor cores.
    """

    steps: int = key(3000, "Number of optimiser steps; 0 stores the untrained model.")

    batch_size: int = key(2, "Windows per optimiser step.")

    window: int = key(
        1024, "Tokens per window in training and evaluation, and the model's context length."
    )

    learning_rate: float = key(3e-3, "Peak learning rate, reached at the end of the warm-up.")

    warmup_steps: int = key(100, "Steps of linear warm-up before the cosine decay to zero.")

    weight_decay: float = key(
        0.1, "AdamW weight decay of the matrices; norms and biases have none."
    )

    gradient_clip: float = key(1.0, "Maximum norm of the gradient.")

    seed: int = key(0, "Seed of the initial weights and of the order of the windows.")

    held_out: float = key(
        0.05, "Expected fraction of documents held out, selected by a hash of their names."
    )

    vocabulary: int = key(2048, "Number of tokens, including the 256 bytes and the end of text.")

    hidden_size: int = key(128, "Width of the residual stream.")

    num_layers: int = key(6, "Number of decoder layers.")

    num_heads: int = key(4, "Number of attention heads in each layer.")

    num_key_value_heads: int = key(
        2, "Number of key-value heads in each layer, shared by the attention heads."
    )

    intermediate_size: int = key(384, "Width of the feed-forward blocks.")

    threads: int = key(2, "Processor threads of PyTorch; another number changes the last digits.")

    log_every: int = key(50, "Steps between log lines of the training loss.")

    checkpoints: bool = key(
        False, "Whether to store the model at steps 0, 1, 2, 4, 8, ... as `checkpoints/step-N`."
    )


def check(settings: TrainTiny) -> None:
    """
    Check the settings before any work.

    Parameters
    ----------
    settings
        Sizes, schedule and seed.

    Raises
    ------
    UserError
        For the first value that cannot work.
    """
    for name, bound in _LEAST.items():
        value = getattr(settings, name)
        if value < bound:
            raise UserError(f"study.{name}={value} is too small; give {bound} or more")
    for name in ("learning_rate", "gradient_clip"):
        value = getattr(settings, name)
        if not 0 < value < inf:
            raise UserError(f"study.{name}={value} must be above 0")
    if not 0 <= settings.weight_decay < inf:
        raise UserError(f"study.weight_decay={settings.weight_decay} must be 0 or more")
    if not 0 < settings.held_out < 1:
        raise UserError(f"study.held_out={settings.held_out} must be between 0 and 1")
    heads, shared = settings.num_heads, settings.num_key_value_heads
    # Rotary positions rotate pairs of coordinates in a head.
    if settings.hidden_size % (2 * heads) or heads % shared:
        raise UserError(
            f"study.hidden_size={settings.hidden_size} must be a multiple of twice "
            f"study.num_heads={heads}, and that a multiple of study.num_key_value_heads={shared}"
        )
