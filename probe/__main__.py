"""`python -m probe`: extract the neural topology of a language model."""

from pathlib import Path

from probe.config import Config
from probe.entry.program import Program, enter
from probe.system.importing import importing


def extract(config: Config, overrides: list[str], group: str | None) -> Path:
    """Run the pipeline, imported here so that --help need not import torch."""
    with importing("probe.pipeline"):
        from probe.pipeline import run

    return run(config, overrides, group)


def summarise(sweep: Path, config: Config) -> None:
    """Summarise a sweep; imported here because it imports matplotlib."""
    from probe.sweep.summary import summarise

    summarise(sweep, config)


def main() -> None:
    """Run from the command line."""
    enter(Program(extract, after=summarise))


if __name__ == "__main__":
    main()
