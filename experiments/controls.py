"""What a trained layer is compared with: random weights, and what enters the model."""

from __future__ import annotations

from typing import TypeVar

from probe.api import Config, overlay

Settings = TypeVar("Settings", bound=Config)


def random_weights(config: Settings, seed: int) -> Settings:
    """Return the configuration of the same texts under random weights."""
    return overlay(config, ["init=random", f"init.seed={seed}"])


def untrained(config: Settings, models: int) -> list[Settings]:
    """Return configurations of several random models, none of which is the given one."""
    own = config.init
    taken = own.seed if own.kind.value == "random" else None
    seeds = [seed for seed in range(models + 1) if seed != taken][:models]
    return [random_weights(config, seed) for seed in seeds]


def embeddings(config: Settings) -> Settings:
    """Return the configuration that reads what enters the first block: the tokens' embeddings."""
    return overlay(config, ["site=embedding", "layers=all"])
