"""What studies need per text: labels, tokens, perplexity and activations.

Importing this module does not import torch; its functions do when called.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from probe.api.given import configured
from probe.config import Config, Cut, StudyConfig
from probe.data.document import Document
from probe.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from probe.examples.choose import Examples
    from probe.examples.request import Request
    from probe.series import SeriesStore


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
        Ids of the tokens that count (`data.skip_first`, `data.part`), as in `layers`.
    layers : dict of int to Tensor, each of shape (n_tokens, n_neurons)
        Activations, by layer.
    """

    example: int
    document: str
    tokens: Tensor
    layers: dict[int, Tensor]


def documents(*given: str | Config) -> list[Document]:
    """Load the raw texts of words or a configuration, with labels; examples are cut from them.

    Raises
    ------
    UserError
        If they cannot be loaded.
    """
    from probe.data import load_documents

    return list(load_documents(configured(given, StudyConfig)))


def tokenize(*given: str | Config, texts: Sequence[str]) -> list[list[int]]:
    """Return the token ids of texts under the configuration's model, without special tokens."""
    from probe.models import load_tokenizer

    tokenizer = load_tokenizer(configured(given, StudyConfig).model)
    ids: list[list[int]] = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return ids


def perplexities(*given: str | Config) -> NDArray[np.float64]:
    """Return the pretrained model's perplexity of every example, in the order of `example`.

    They are cached in the output folder. The first token is not scored.

    Raises
    ------
    UserError
        If the model or the data cannot be loaded, or the model has no language-model head.
    """
    from probe.extraction.perplexity import perplexities as score

    config = configured(given, StudyConfig)
    return score(planned(config)[1].chosen, config)


def generate(*given: str | Config, prompts: Sequence[Document] | None = None) -> list[Document]:
    """Let the pretrained model write `data.generate` tokens behind prompts, on all ranks.

    Continuations are cached in the output folder. Prompts that are empty or too long, or that the
    model ends at once, are left out.

    Parameters
    ----------
    *given : str or Config
        Words as on the command line, or a configuration, which more words may follow.
    prompts : sequence of Document, optional
        All of them are continued, however short, in their order (default: the configuration's
        texts, as a run chooses them).

    Returns
    -------
    list of Document
        Prompts with their continuations: `parts` are `prompt` and `generated`, `ids` the exact
        tokens and `spans` which of them are of which part. Whatever takes `texts` reads them so,
        and does not continue them again.

    Raises
    ------
    UserError
        If `data.generate` is not set, the model or the texts cannot be loaded, or the model has no
        language-model head.
    """
    from probe.examples.explicit import as_documents, texts_of
    from probe.models import load_tokenizer

    config = configured(given, StudyConfig)
    if not config.data.generate:
        raise UserError("api.generate needs the number of tokens to write; give data.generate=8")
    if prompts is not None:  # however short
        config = replace(config, data=replace(config.data, min_tokens=1, skip_first=0))
    config, texts = texts_of(config, prompts)
    chosen = _planned(config, texts, told=prompts is not None)[1].chosen
    whole = config.data.cut is Cut.whole
    return as_documents(chosen, texts, whole, load_tokenizer(config.model))


def iterate(
    *given: str | Config, texts: Sequence[Document] | None = None
) -> Iterator[ExampleActivations]:
    """Yield the activations of every example, in batches of similar length, in this process.

    Only one batch is in memory at a time. `layers=all` is every layer; of `average`, only
    `average.example` is used.

    Parameters
    ----------
    *given : str or Config
        Words as on the command line, or a configuration, which more words may follow.
    texts : sequence of Document, optional
        Read in place of the configuration's, all of them in their order: `data.perplexity`,
        `data.shuffle`, `data.offset` and `data.limit` choose none.

    Raises
    ------
    UserError
        If the model or the data cannot be loaded, or an activation is not finite.
    """
    return _iterate(configured(given, StudyConfig), texts)


def _iterate(config: Config, texts: Sequence[Document] | None) -> Iterator[ExampleActivations]:
    from probe.distributed import this_rank
    from probe.extraction.loop import Loop

    request = planned(config, texts)[0]
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


def series(
    *given: str | Config,
    folder: str | os.PathLike[str] | None = None,
    dtype: str = "float32",
    standardised: bool = False,
    mean: bool = False,
    texts: Sequence[Document] | None = None,
) -> SeriesStore:
    """Read every example on all ranks and keep its activations, or find what was kept before.

    Parameters
    ----------
    *given : str or Config
        Model, texts, `layers` and `site`; `layers=all` is every layer.
    folder, dtype, standardised, mean, texts
        See `probe.series.find.series`.

    Raises
    ------
    UserError
        If the model or the texts cannot be loaded, the disk is too small, an activation is not
        finite, or the folder holds other series.
    """
    from probe.series.find import series as write

    return write(configured(given, StudyConfig), folder, dtype, standardised, mean, texts)


def planned(config: Config, texts: Sequence[Document] | None = None) -> tuple[Request, Examples]:
    """Return the request that the ranks would receive, and its examples.

    Parameters
    ----------
    config : Config
        The run.
    texts : sequence of Document, optional
        See `iterate`.

    Raises
    ------
    UserError
        If the model or the data cannot be loaded.
    """
    from probe.examples.explicit import texts_of

    return _planned(*texts_of(config, texts), told=texts is not None)


def _planned(
    config: Config, texts: Iterable[Document], told: bool = False
) -> tuple[Request, Examples]:
    from probe.examples.plan import plan_extraction
    from probe.extraction.generation import continue_examples
    from probe.extraction.perplexity import perplexities as score

    return plan_extraction(config, texts, score=score, generate=continue_examples, told=told)
