"""`python -m experiments.matching model=pythia160m "study.other=['model=gpt2']"`."""

from experiments.matching.settings import MatchingConfig, sources
from probe.api import study

if __name__ == "__main__":
    study(
        "matching",
        MatchingConfig,
        "experiments.matching.report:report",
        reads=sources,
        idle=("average", "null", "measures", "runtime.matmul"),
        defaults=["layers=middle"],
        resumes=True,
    )
