"""`python -m experiments.networks model=… data=… 'study.effects=[lesion]'`."""

from experiments.networks.settings import NetworksConfig, sources
from probe.api import study

if __name__ == "__main__":
    study(
        "networks",
        NetworksConfig,
        "experiments.networks.task:run",
        reads=sources,
        idle={
            "average": "",
            "null": "study.permutations is the number of draws of the null models",
            "measures": "study.measure says what is measured",
            "runtime.matmul": "",
        },
        defaults=["layers=each", "site=mlp_output"],
        resumes=True,
    )
