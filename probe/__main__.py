"""`python -m probe`: extract the neural topology of a language model."""

from __future__ import annotations

from probe.config import Config
from probe.entry import enter


def extract(config: Config, overrides: list[str], group: str | None) -> None:
    """Run the pipeline; imported here, so that --help does not wait for torch."""
    from probe.pipeline import run

    run(config, overrides, group)


def main() -> None:
    """Enter from the command line."""
    enter(extract)


if __name__ == "__main__":
    main()
