"""The log on the console, for what runs outside of Hydra."""

from __future__ import annotations

import logging

from probe.run_log import Hiding


def log_to_console() -> None:
    """Show what is logged at INFO and above, as `conf/hydra/job_logging` does, unless it is."""
    handler = logging.StreamHandler()
    handler.setFormatter(Hiding("%(asctime)s  %(message)s", datefmt="%H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
