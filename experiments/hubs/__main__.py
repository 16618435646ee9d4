"""`python -m experiments.hubs model=… data=… ['study.over=["data=…"]']`."""

from pathlib import Path
from typing import Any

import experiments.hubs
from experiments.hubs.settings import HubsConfig, sources
from probe.api import study


def find_hubs(config: HubsConfig, folder: Path) -> dict[str, Any]:
    """Run the study; imported here so that --help is fast."""
    from experiments.hubs.task import run

    return run(config, folder)


if __name__ == "__main__":
    study("hubs", HubsConfig, find_hubs, experiments.hubs.__doc__, reads=sources)
