"""`python -m probe`: extract the neural topology of a language model."""

from pathlib import Path
from typing import TYPE_CHECKING

from probe.early import until_begun

if TYPE_CHECKING:
    from probe.config import Config


def extract(config: "Config", overrides: list[str], group: str | None) -> Path:
    """Run the pipeline, imported here so that --help need not import torch."""
    from probe.system.importing import importing

    with importing("probe.pipeline"):
        from probe.pipeline import run

    return run(config, overrides, group)


def summarise(sweep: Path, config: "Config") -> None:
    """Summarise a sweep; imported here because it imports matplotlib."""
    from probe.sweep.summary import summarise

    summarise(sweep, config)


def main() -> None:
    """Run from the command line."""
    until_begun()  # one may see a mistake at once
    from probe.entry.program import Program, enter

    enter(Program(extract, after=summarise))


if __name__ == "__main__":
    main()
