"""The keys of a model."""

from dataclasses import dataclass

from probe.config.choices import DType, Side
from probe.config.key import key


@dataclass
class ModelConfig:
    """A Hugging Face model."""

    name: str | None = key(None, "Short name in paths and tables (default: from the id or folder).")
    id: str | None = key(None, "Repository on the Hugging Face Hub, ORG/NAME.")
    path: str | None = key(None, "Local folder of the model, used instead of the Hub.", path=True)
    revision: str | None = key(None, "Branch, tag or commit on the Hub, e.g. step1000 for Pythia.")
    dtype: DType = key(DType.float32, "Precision of weights and activations.")
    device_map: str | None = key(None, "auto spreads one model over all GPUs and the host.")
    padding_side: Side = key(Side.right, "Side on which short examples are padded.")
    blocks: str | None = key(None, "Dotted path to the decoder blocks, if they are not found.")
    mlp: str | None = key(
        None, "Path within a block to the MLP, whose output site=mlp_output reads.", younger=True
    )
    mlp_output: str | None = key(
        None, "Path within a block to the MLP's output projection, whose input site=mlp reads."
    )
    attention: str | None = key(
        None, "Path within a block to the attention module (site=attention)."
    )
    stream: int | None = key(
        None,
        "Which residual stream is read, from 0, of a model that has several.",
        least=0,
        younger=True,
    )
    checks: bool = key(
        True,
        "Check on the first texts that hooks and padded batches read what the model computes.",
        younger=True,
    )
    chat: bool = key(False, "Wrap questions in the model's chat template (instruct models).")
    trust_remote_code: bool = key(False, "Run Python code that comes with the model.")
    pickle: bool = key(False, "Also read pickled weights (.bin), tensors only.")
