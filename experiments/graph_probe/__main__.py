"""`python -m experiments.graph_probe model=… data=… study.targets=… layers=…`."""

from experiments.graph_probe.settings import GraphProbeConfig, sources
from probe.api import study

if __name__ == "__main__":
    study(
        "graph_probe",
        GraphProbeConfig,
        "experiments.graph_probe.run:run",
        reads=sources,
        idle=("average", "null", "measures", "runtime.matmul"),
        defaults=["layers=middle"],
        look="experiments.graph_probe.report:log_headline",
        resumes=True,
    )
