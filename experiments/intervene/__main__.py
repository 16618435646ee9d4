"""`python -m experiments.intervene model=qwen0.5b data=mmlu 'study.measure=[accuracy]'`."""

from pathlib import Path
from typing import Any

import experiments.intervene
from experiments.intervene.settings import InterveneConfig, sources
from probe.api import study


def intervene(config: InterveneConfig, folder: Path) -> dict[str, Any]:
    """Run the study; imported here so that --help is fast."""
    from experiments.intervene.intervention import intervene

    return intervene(config, folder)


if __name__ == "__main__":
    study("intervene", InterveneConfig, intervene, experiments.intervene.__doc__, reads=sources)
