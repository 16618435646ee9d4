"""`python -m experiments.intervene model=qwen0.5b data=mmlu 'study.measure=[accuracy]'`."""

from experiments.intervene.settings import InterveneConfig, sources
from probe.api import study

if __name__ == "__main__":
    study(
        "intervene",
        InterveneConfig,
        "experiments.intervene.intervention:intervene",
        reads=sources,
        idle={
            "average": "study.scope selects the topology",
            "null": "study.select=[…,random] is the null model",
            "init": "an untrained model has no predictions to lose",
            "measures": "",
            "runtime.matmul": "",
        },
        defaults=["layers=middle"],
    )
