"""Settings of the tiny language model, without heavy imports."""

from dataclasses import dataclass, field

from probe.api import StudyConfig, UserError, key

# It reads neither a model nor texts.
IDLE = (
    "model", "data", "subject", "layers", "average", "init", "null", "measures", "site", "launch",
    "runtime", "experiment",
)  # fmt: skip


@dataclass
class TrainTiny:
    """
    Settings of one training of the tiny language model.

    The defaults give the model that is bundled with probe: about 1.4 million parameters, trained in
    about a quarter of an hour on two processor cores.
    """

    steps: int = key(3000, "Number of optimiser steps; 0 stores the untrained model.", least=0)

    batch_size: int = key(2, "Windows per optimiser step.", least=1)

    window: int = key(
        1024,
        "Tokens per window in training and evaluation, and the model's context length.",
        least=2,
    )

    learning_rate: float = key(
        3e-3, "Peak learning rate, reached at the end of the warm-up.", above=0
    )

    warmup_steps: int = key(
        100, "Steps of linear warm-up before the cosine decay to zero.", least=0
    )

    weight_decay: float = key(
        0.1, "AdamW weight decay of the matrices; norms and biases have none.", least=0
    )

    gradient_clip: float = key(1.0, "Maximum norm of the gradient.", above=0)

    seed: int = key(0, "Seed of the initial weights and of the order of the windows.", least=0)

    held_out: float = key(
        0.05,
        "Expected fraction of documents held out, selected by a hash of their names.",
        above=0,
        below=1,
    )

    vocabulary: int = key(
        2048, "Number of tokens, including the 256 bytes and the end of text.", least=257
    )

    hidden_size: int = key(128, "Width of the residual stream.", least=1)

    num_layers: int = key(6, "Number of decoder layers.", least=1)

    num_heads: int = key(4, "Number of attention heads in each layer.", least=1)

    num_key_value_heads: int = key(
        2, "Number of key-value heads in each layer, shared by the attention heads.", least=1
    )

    intermediate_size: int = key(384, "Width of the feed-forward blocks.", least=1)

    threads: int = key(
        2, "Processor threads of PyTorch; another number changes the last digits.", least=1
    )

    log_every: int = key(50, "Steps between log lines of the training loss.", least=1)

    checkpoints: bool = key(
        False,
        "Whether to store the model at steps 0, 1, 2, 4, 8, ... and the last as "
        "`checkpoints/step-N`, and their bits per byte in `scores.csv`.",
    )


@dataclass
class TrainTinyConfig(StudyConfig):
    """The program's configuration with the settings of this training."""

    study: TrainTiny = field(default_factory=TrainTiny)


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
    heads, shared = settings.num_heads, settings.num_key_value_heads
    # Rotary positions rotate pairs of coordinates in a head.
    if settings.hidden_size % (2 * heads) or heads % shared:
        raise UserError(
            f"study.hidden_size={settings.hidden_size} must be a multiple of twice "
            f"study.num_heads={heads}, and that a multiple of study.num_key_value_heads={shared}"
        )
