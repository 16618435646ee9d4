"""`python -m experiments.hallucination model=qwen0.5b data=truthfulqa`."""

from pathlib import Path
from typing import Any

import experiments.hallucination
from experiments.hallucination.settings import HallucinationConfig, sources
from probe.api import study


def probe_answers(config: HallucinationConfig, folder: Path) -> dict[str, Any]:
    """Run the study; imported here so that --help is fast."""
    from experiments.hallucination.report import report

    return report(config, folder)


if __name__ == "__main__":
    study(
        "hallucination",
        HallucinationConfig,
        probe_answers,
        experiments.hallucination.__doc__,
        reads=sources,
    )
