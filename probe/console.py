"""The log on the console, for what runs outside of Hydra."""

from __future__ import annotations

import logging


def log_to_console() -> None:
    """Show what is logged at INFO and above, as `conf/hydra/job_logging` does, unless it is."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s  %(message)s", datefmt="%H:%M:%S")
