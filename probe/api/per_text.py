"""What studies need per text: labels, tokens, perplexity, activations and factor.

Importing this module does not import torch; its functions do when called.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from probe.config import Config
from probe.data.document import Document

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from probe.examples.request import Request
    from probe.factors import FactorStore


@dataclass(frozen=True)
class ExampleActivations:
    """The activations of one example.

    Attributes
    ----------
    example : int
        Its number among the chosen examples, from 0.
    document : str
        Name of the document it was cut from.
    tokens : Tensor of int64, shape (n_tokens,)
        Token ids, without the first `data.skip_first` tokens, as in `layers`.
    layers : dict of int to Tensor, each of shape (n_tokens, n_neurons)
        Activations, by layer.
    """

    example: int
    document: str
    tokens: Tensor
    layers: dict[int, Tensor]


def documents(config: Config) -> list[Document]:
    """Load the raw texts of a configuration, with their labels; examples are cut from them.

    Raises
    ------
    UserError
        If they cannot be loaded.
    """
    from probe.data import load_documents

    return list(load_documents(without_study(config)))


def tokenize(config: Config, texts: Sequence[str]) -> list[list[int]]:
    """Return the token ids of texts under the configuration's model, without special tokens."""
    from probe.models import load_tokenizer

    tokenizer = load_tokenizer(config.model)
    ids: list[list[int]] = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return ids


def perplexities(config: Config) -> NDArray[np.float64]:
    """Return the pretrained model's perplexity of every example, in the order of `example`.

    They are cached in the output folder. The first token is not scored.

    Raises
    ------
    UserError
        If the model or the data cannot be loaded, or the model has no language-model head.
    """
    from probe.data import load_documents
    from probe.examples.plan import plan_extraction
    from probe.extraction.perplexity import perplexities as score

    plain = without_study(config)
    return score(plan_extraction(plain, load_documents(plain), score=score)[1].chosen, plain)


def iterate(config: Config) -> Iterator[ExampleActivations]:
    """Yield the activations of every example, in batches of similar length, in this process.

    Only one batch is in memory at a time. Of `average`, only `average.example` is used.

    Raises
    ------
    UserError
        If the model or the data cannot be loaded, or an activation is not finite.
    """
    from probe.distributed import this_rank
    from probe.extraction.loop import Loop

    request = request_of(config)
    held: dict[int, Tensor] = {}
    loop = Loop(request, this_rank(request.config.runtime.device))

    def hold(_: object, __: object, layer: int, activations: Tensor) -> None:
        held[layer] = activations.clone()

    for batch, tensors in loop.batches(hold):
        for row, member in enumerate(batch.members):
            keep = tensors.keep[row]
            layers = {layer: activations[row][keep] for layer, activations in held.items()}
            for layer, activations in layers.items():
                if not activations.isfinite().all():
                    raise request.not_finite(member, layer)
            yield ExampleActivations(
                example=member,
                document=request.names[member],
                tokens=tensors.tokens[row][keep],
                layers=layers,
            )
        held.clear()


def write_factors(config: Config, folder: str | os.PathLike[str]) -> FactorStore:
    """Store the topology of every example in each chosen layer, as a factor.

    A factor is tokens × neurons numbers of two bytes each, whatever `n²` is; any process can read
    them with `open_factors`. All ranks write; existing factors are reused.

    Parameters
    ----------
    config : Config
        Model, texts, `layers` and `site`; of `average`, only `average.example` is used.
    folder : path
        Folder for the factors.

    Raises
    ------
    UserError
        If the model or the texts cannot be loaded, the disk is too small, or the folder holds
        other factors.
    """
    from probe.factors import write_factors as write

    return write(without_study(config), folder)


def request_of(config: Config) -> Request:
    """Return the request that the ranks would receive.

    Raises
    ------
    UserError
        If the model or the data cannot be loaded.
    """
    from probe.data import load_documents
    from probe.examples.plan import plan_extraction
    from probe.extraction.perplexity import perplexities as score

    plain = without_study(config)
    return plan_extraction(plain, load_documents(plain), score=score)[0]


def without_study(config: Config) -> Config:
    """Drop a study's own keys, which are not part of an extraction."""
    return Config(**{field.name: getattr(config, field.name) for field in fields(Config)})
