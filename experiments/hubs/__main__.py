"""`python -m experiments.hubs model=… data=… ['study.over=["data=…"]']`."""

from experiments.hubs.settings import HubsConfig, sources
from probe.api import study

if __name__ == "__main__":
    study(
        "hubs",
        HubsConfig,
        "experiments.hubs.task:run",
        reads=sources,
        idle={
            "average": "",
            "null": "study.shifts, study.rotations and study.inits are the null models",
            "measures": "study.hubs is the number of hubs",
            "runtime.matmul": "",
        },
        resumes=True,
    )
