"""`python -m experiments.neuron_graphs model=… data=… study.units=…`."""

from experiments.neuron_graphs.settings import NeuronGraphsConfig, sources
from probe.api import study

if __name__ == "__main__":
    study(
        "neuron_graphs",
        NeuronGraphsConfig,
        "experiments.neuron_graphs.task:run",
        reads=sources,
        idle={
            "layers": "study.units says which neurons, e.g. study.units=4 for all of layer 4",
            "average": "",
            "null": "random weights are the control",
            "measures": "",
            "init": "random weights are the control",
            "runtime.matmul": "",
            "model.padding_side": "texts are padded on the right",
            "data.part": "graphs are made of all tokens",
            "data.drop_tokens": "graphs are made of all tokens",
            "data.skip_first": "graphs say themselves what fires at the start of a text",
        },
        defaults=["site=mlp"],
        resumes=True,
    )
