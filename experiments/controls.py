"""Controls for a trained layer: random weights and token embeddings."""

from typing import TypeVar

from probe.api import Config, overlay

Settings = TypeVar("Settings", bound=Config)


def random_weights(config: Settings, seed: int) -> Settings:
    """Return the configuration of the same model with random weights."""
    return overlay(config, ["init=random", f"init.seed={seed}"])


def untrained(config: Settings, models: int) -> list[Settings]:
    """Return configurations of several random models, none of them the given one."""
    own = config.init.seed if config.init.kind.value == "random" else None
    seeds = [seed for seed in range(models + 1) if seed != own][:models]
    return [random_weights(config, seed) for seed in seeds]


def embeddings(config: Settings) -> Settings:
    """Return the configuration that reads the input of the first block: the token embeddings."""
    return overlay(config, ["site=embedding", "layers=all"])
