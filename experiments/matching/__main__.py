"""`python -m experiments.matching model=pythia160m "study.other=['model=gpt2']"`."""

from pathlib import Path
from typing import Any

import experiments.matching
from experiments.matching.settings import MatchingConfig, sources
from probe.api import study


def match_models(config: MatchingConfig, folder: Path) -> dict[str, Any]:
    """Run the study; imported here so that --help is fast."""
    from experiments.matching.report import report

    return report(config, folder)


if __name__ == "__main__":
    study("matching", MatchingConfig, match_models, experiments.matching.__doc__, reads=sources)
