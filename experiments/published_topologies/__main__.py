"""`python -m experiments.published_topologies model=qwen0.5b [reference=DIR]`."""

from pathlib import Path
from typing import Any

import experiments.published_topologies
from experiments.published_topologies.settings import PublishedTopologiesConfig
from probe.api import study


def build_tree(config: PublishedTopologiesConfig, folder: Path) -> dict[str, Any]:
    """Build the tree; imported here so that --help is fast."""
    from experiments.published_topologies.tree import build

    return build(config, folder)


def compare_with_reference(config: PublishedTopologiesConfig, folder: Path) -> None:
    """Compare with the published files, if a copy is given."""
    from experiments.published_topologies.reference import compare

    compare(config, folder)


if __name__ == "__main__":
    study(
        "published_topologies",
        PublishedTopologiesConfig,
        build_tree,
        experiments.published_topologies.__doc__,
        look=compare_with_reference,
        resumable=True,
    )
