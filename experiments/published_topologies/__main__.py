"""`python -m experiments.published_topologies model=qwen0.5b [reference=DIR]`."""

from experiments.published_topologies.settings import IDLE, PublishedTopologiesConfig
from probe.api import study

if __name__ == "__main__":
    study(
        "published_topologies",
        PublishedTopologiesConfig,
        "experiments.published_topologies.tree:build",
        idle=dict.fromkeys(IDLE, "the published files fix it, and --help shows what can change"),
        look="experiments.published_topologies.reference:compare",
        resumes=True,
    )
