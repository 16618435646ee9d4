"""`python -m experiments.hallucination model=qwen0.5b data=truthfulqa`."""

from experiments.hallucination.settings import HallucinationConfig, sources
from probe.api import study

if __name__ == "__main__":
    study(
        "hallucination",
        HallucinationConfig,
        "experiments.hallucination.report:report",
        reads=sources,
        idle=("average", "null", "measures", "runtime.matmul"),
        defaults=["layers=middle"],
        resumes=True,
    )
