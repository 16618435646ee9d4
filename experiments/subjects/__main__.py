"""`python -m experiments.subjects model=… data=mmlu ['study.subjects=[…]']`."""

from experiments.subjects.settings import SubjectsConfig, sources
from probe.api import study

if __name__ == "__main__":
    study(
        "subjects",
        SubjectsConfig,
        "experiments.subjects.task:run",
        reads=sources,
        idle=("average", "null", "measures", "runtime.matmul"),
        resumes=True,
    )
