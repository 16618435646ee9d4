"""Read what the model writes after every prompt, or the prompts, at all sites."""

import logging
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.task_mapping.prompts import Numbers, Prompts
from experiments.task_mapping.settings import TaskMappingConfig
from experiments.task_mapping.signals import Signals
from probe.api import (
    Document,
    SeriesStore,
    UserError,
    generate,
    model_name,
    overlay,
    plural,
    series,
)
from probe.api.parts import context_length, load_tokenizer

logger = logging.getLogger(__name__)
# Rows that are copied at a time.
_ROWS = 256
GENERATED = "generated"


@dataclass(frozen=True, eq=False)
class Units:
    """Where every unit is.

    Attributes
    ----------
    site : ndarray of str, shape (n_units,)
        Site, those that were read first first.
    layer, neuron : ndarray of int64, shape (n_units,)
        Layer, and neuron of the layer.
    """

    site: NDArray[np.str_]
    layer: Numbers
    neuron: Numbers

    @property
    def sites(self) -> list[str]:
        """The sites in their order."""
        return list(dict.fromkeys(self.site.tolist()))


@dataclass(frozen=True, eq=False)
class Texts:
    """What is read.

    Attributes
    ----------
    documents : list of Document
        Prompts, with what the model wrote after each.
    numbers : ndarray of int64, shape (n_texts,)
        Which of the prompts they are, ascending: one after which nothing was written is not read.
    ids : list of ndarray of int64, each of shape (n_tokens,)
        The tokens that are read.
    lengths : ndarray of int64, shape (n_texts,)
        Tokens of the prompts.
    """

    documents: list[Document]
    numbers: Numbers
    ids: list[Numbers]
    lengths: Numbers

    @property
    def tokens(self) -> Numbers:
        """Tokens that are read of each, shape (n_texts,)."""
        return np.array([len(ids) for ids in self.ids])


def whole_prompts(config: TaskMappingConfig) -> TaskMappingConfig:
    """Return the configuration under which prompts are read whole, without special tokens."""
    words = ["data.cut=whole", "data.min_tokens=2", f"data.skip_first={_special(config)}"]
    return overlay(config, words)


def continuations(config: TaskMappingConfig) -> TaskMappingConfig:
    """Return the configuration under which what the model writes after a prompt is read."""
    settings, words = config.study, ["data.cut=whole", "data.min_tokens=2", "data.part=generated"]
    words += [f"data.generate={settings.tokens}", f"data.temperature={settings.temperature}"]
    # The likeliest tokens are not drawn, and take no seed.
    words += [f"data.seed={settings.seed}"] if settings.temperature else []
    return overlay(config, words)


def within_context(config: TaskMappingConfig, prompts: Prompts) -> Prompts:
    """Leave out prompts that the model cannot read, with room for what it writes, and count them.

    Raises
    ------
    UserError
        If none is left.
    """
    more = config.study.tokens if config.study.generate else 0
    most = context_length(config.model, load_tokenizer(config.model)) - more
    lengths = np.array([len(ids) for ids in _tokens(config, prompts.documents)])
    long = int((lengths > most).sum())
    behind = f" with {plural(more, 'token')} behind it" if more else ""
    if long == len(lengths):
        raise UserError(
            f"every prompt{behind} is beyond the model's context: the shortest has {lengths.min()} "
            f"tokens, and {most} are read; use a model with a longer context"
        )
    if long:
        logger.warning(
            "%d of %s are left out: a prompt%s is beyond the model's context, %d tokens",
            long, plural(len(lengths), "prompt"), behind, most + more,
        )  # fmt: skip
    return prompts.some(np.flatnonzero(lengths <= most))


def write_texts(
    config: TaskMappingConfig, documents: Sequence[Document], numbers: Numbers
) -> Texts:
    """Let the model continue prompts, and say which tokens are read.

    Parameters
    ----------
    config : TaskMappingConfig
        Of `whole_prompts` or `continuations`.
    documents : sequence of Document
        All prompts.
    numbers : ndarray of int64
        Those that are read.

    Raises
    ------
    UserError
        If the tokenizer puts special tokens behind a prompt, or the model has no language-model
        head.
    """
    prompts = [documents[number] for number in numbers]
    before = _tokens(config, prompts)
    skipped = config.data.skip_first
    if config.study.generate:
        written = {one.name: one for one in _continued(config, prompts)}
        kept = [place for place, one in enumerate(prompts) if one.name in written]
        texts = [written[prompts[place].name] for place in kept]
        ids = [np.array(one.ids[slice(*one.spans[GENERATED])], dtype=np.int64) for one in texts]
    else:
        kept = [place for place, one in enumerate(before) if len(one) > skipped]
        texts = [prompts[place] for place in kept]
        ids = [np.array(before[place][skipped:], dtype=np.int64) for place in kept]
    if len(kept) < len(prompts):
        why = "the model ends there" if config.study.generate else "they have no token"
        if config.model.chat:
            why += ", or the chat template makes them too long"
        logger.warning(
            "%d of %s are left out of their scans: %s",
            len(prompts) - len(kept), plural(len(prompts), "prompt"), why,
        )  # fmt: skip
    return Texts(texts, numbers[kept], ids, np.array([len(before[place]) for place in kept]))


def read_units(
    at_sites: Mapping[str, TaskMappingConfig], texts: Texts, means: bool, folder: Path
) -> tuple[Signals, Units]:
    """Read texts at all sites, into an unnamed file in a folder.

    Parameters
    ----------
    at_sites : mapping of str to TaskMappingConfig
        Model and what is read, by site.
    texts : Texts
        What is read.
    means : bool
        One row a text, the mean over its tokens; else a row a token.
    folder : Path
        Where the file is.
    """
    however_short = [
        replace(config, data=replace(config.data, min_tokens=1)) for config in at_sites.values()
    ]
    stores = [series(config, texts=texts.documents, mean=means) for config in however_short]
    lengths = np.ones_like(texts.tokens) if means else texts.tokens
    widths = [len(store.units) for store in stores]
    with tempfile.TemporaryFile(dir=folder) as file:
        values = np.memmap(file, np.float32, "w+", shape=(int(lengths.sum()), sum(widths)))
    for store, end in zip(stores, np.cumsum(widths), strict=True):
        _copy(store, values[:, end - len(store.units) : end])
    places = np.concatenate([store.units for store in stores])
    site = np.repeat(list(at_sites), widths)
    return Signals(values, lengths), Units(site, places[:, 0], places[:, 1])


def _continued(config: TaskMappingConfig, prompts: Sequence[Document]) -> list[Document]:
    try:
        return generate(config, prompts=prompts)
    except UserError as error:
        # The user has not typed data.generate, which study.tokens has set.
        wanted = re.sub(
            r"leave out (data\.perplexity and )?data\.generate",
            "give study.generate=false",
            str(error),
        )
        raise UserError(wanted) from None


def _copy(store: SeriesStore, into: NDArray[np.float32]) -> None:
    start = 0
    for block in store.blocks(_ROWS):
        into[start : start + len(block)] = block
        start += len(block)
    assert start == len(into), f"{start} rows came, {len(into)} were expected"


def _tokens(config: TaskMappingConfig, prompts: Sequence[Document]) -> list[list[int]]:
    """Return the token ids of prompts, the special ones before them, too."""
    tokenizer = load_tokenizer(config.model)
    encoded = tokenizer(
        [one.text for one in prompts], add_special_tokens=config.data.special_tokens,
        return_special_tokens_mask=True,
    )  # fmt: skip
    ids: list[list[int]] = encoded["input_ids"]
    if encoded["special_tokens_mask"][0][-1] and not config.model.chat:
        raise UserError(
            f"the tokenizer of {model_name(config.model)} puts "
            f"{tokenizer.convert_ids_to_tokens(ids[0][-1])} behind every prompt, which is no token "
            "of it; give data.special_tokens=false"
        )
    return ids


def _special(config: TaskMappingConfig) -> int:
    """Return how many special tokens stand before a text."""
    if not config.data.special_tokens:
        return 0
    tokenizer = load_tokenizer(config.model)
    special = tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"]
    return int(np.argmin(special))
