"""`python -m experiments.train_tiny study.steps=3000`: retrain the bundled model."""

from experiments.train_tiny.settings import IDLE, TrainTinyConfig
from probe.api import study

if __name__ == "__main__":
    study("train_tiny", TrainTinyConfig, "experiments.train_tiny.training:train", idle=IDLE)
