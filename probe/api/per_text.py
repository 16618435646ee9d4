"""What studies ask of every text: its labels, tokens, perplexity, activations and factor.

Importing it imports no torch; its functions do when they are called.
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
    """What was read over one example.

    Attributes
    ----------
    example : int
        Its number among the chosen examples, from 0.
    document : str
        Name of the document it was cut from.
    tokens : Tensor of int64, shape (n_tokens,)
        Token ids; `data.skip_first` tokens are left out here and below.
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
        If they cannot be had.
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

    They are kept in the output folder and found again. The first token is not scored.

    Raises
    ------
    UserError
        If model or data cannot be had, or the model has no language-model head.
    """
    from probe.data import load_documents
    from probe.examples.plan import plan_extraction
    from probe.extraction.perplexity import perplexities as score

    plain = without_study(config)
    return score(plan_extraction(plain, load_documents(plain), score=score)[1].chosen, plain)


def iterate(config: Config) -> Iterator[ExampleActivations]:
    """Yield the activations of every example, in batches of like length, in this process.

    Only one batch is in memory at a time. `average` has no meaning here, but for
    `average.example`.

    Raises
    ------
    UserError
        If model or data cannot be had, or an activation is not finite.
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
    """Keep the topology of every example in each chosen layer, as its factor.

    Tokens × neurons numbers of two bytes each, whatever `n²` is; read back from any process with
    `open_factors`. All ranks write; what is there already is found again.

    Parameters
    ----------
    config : Config
        Model, texts, `layers` and `site`; `average` has no meaning here, but for
        `average.example`.
    folder : path
        Where the factors go.

    Raises
    ------
    UserError
        If model or texts cannot be had, the disk is too small, or the folder has other factors.
    """
    from probe.factors import write_factors as write

    return write(without_study(config), folder)


def request_of(config: Config) -> Request:
    """Return what the ranks would be asked to extract.

    Raises
    ------
    UserError
        If model or data cannot be had.
    """
    from probe.data import load_documents
    from probe.examples.plan import plan_extraction
    from probe.extraction.perplexity import perplexities as score

    plain = without_study(config)
    return plan_extraction(plain, load_documents(plain), score=score)[0]


def without_study(config: Config) -> Config:
    """Leave a study's own keys out: they are no part of an extraction."""
    return Config(**{field.name: getattr(config, field.name) for field in fields(Config)})
