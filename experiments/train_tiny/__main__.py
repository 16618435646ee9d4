"""`python -m experiments.train_tiny study.steps=3000`: retrain the bundled model."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import experiments.train_tiny
from experiments.train_tiny.settings import TrainTiny
from probe.api import Config, study


@dataclass
class TrainTinyConfig(Config):
    """The program's configuration with the settings of this training."""

    study: TrainTiny = field(default_factory=TrainTiny)


def train_tiny(config: TrainTinyConfig, folder: Path) -> dict[str, Any]:
    """Train; imported here so that --help does not import torch."""
    from experiments.train_tiny.training import train

    return train(config.study, folder)


if __name__ == "__main__":
    study("train_tiny", TrainTinyConfig, train_tiny, experiments.train_tiny.__doc__)
