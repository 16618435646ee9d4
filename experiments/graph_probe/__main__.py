"""`python -m experiments.graph_probe model=… data=… study.targets=… study.layers=…`."""

from pathlib import Path
from typing import Any

import experiments.graph_probe
from experiments.graph_probe.settings import GraphProbeConfig, sources
from probe.api import study


def probe_texts(config: GraphProbeConfig, folder: Path) -> dict[str, Any]:
    """Run the study; imported here so that --help is fast."""
    from experiments.graph_probe.run import run

    return run(config, folder)


def show(_: GraphProbeConfig, folder: Path) -> None:
    """Log the headline table, also of a study that was finished before."""
    from experiments.graph_probe.report import log_headline

    log_headline(folder)


if __name__ == "__main__":
    study(
        "graph_probe",
        GraphProbeConfig,
        probe_texts,
        experiments.graph_probe.__doc__,
        reads=sources,
        look=show,
        resumable=True,
    )
