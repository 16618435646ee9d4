"""`python -m experiments.subjects model=… data=mmlu ['study.subjects=[…]']`."""

from pathlib import Path
from typing import Any

import experiments.subjects
from experiments.subjects.settings import SubjectsConfig, sources
from probe.api import study


def compare_subjects(config: SubjectsConfig, folder: Path) -> dict[str, Any]:
    """Run the study; imported here so that --help is fast."""
    from experiments.subjects.task import run

    return run(config, folder)


if __name__ == "__main__":
    study("subjects", SubjectsConfig, compare_subjects, experiments.subjects.__doc__, reads=sources)
