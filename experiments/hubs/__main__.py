"""`python -m experiments.hubs model=… data=… ['study.over=["data=…"]']`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import experiments.hubs
from experiments.hubs.settings import HubsConfig, sources
from probe.api import study


def look_for_hubs(config: HubsConfig, folder: Path) -> dict[str, Any]:
    """Do the study; imported here, so that --help does not wait."""
    from experiments.hubs.task import run

    return run(config, folder)


if __name__ == "__main__":
    study("hubs", HubsConfig, look_for_hubs, experiments.hubs.__doc__, reads=sources)
