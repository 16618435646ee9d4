"""`python -m experiments.multifractal model=… 'study.revisions=[…]'`."""

from experiments.multifractal.checkpoints import sources
from experiments.multifractal.settings import IDLE, MultifractalConfig
from probe.api import study

if __name__ == "__main__":
    study(
        "multifractal",
        MultifractalConfig,
        "experiments.multifractal.task:run",
        reads=sources,
        idle=IDLE,
        resumes=True,
    )
