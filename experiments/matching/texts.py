"""The same texts for two models with different tokenizers."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from probe.api import (
    Config,
    UnitSeries,
    atomic_write,
    compose,
    correlate,
    documents,
    series,
)
from probe.api.parts import merge_paragraphs, this_rank

Settings = TypeVar("Settings", bound=Config)


@dataclass(frozen=True)
class Text:
    """A text and its group: the document or question it belongs to."""

    text: str
    group: str


@dataclass(frozen=True)
class StoredSeries(Mapping[int, Tensor]):
    """Standardised series by the index of their text, read when they are asked for.

    Attributes
    ----------
    series : UnitSeries
        Those of all texts that were read.
    places : dict of int to int
        The place of each text among them.
    """

    series: UnitSeries
    places: dict[int, int]

    def __getitem__(self, number: int) -> Tensor:
        return self.series[self.places[number]]

    def __iter__(self) -> Iterator[int]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


@dataclass(frozen=True)
class Side:
    """A model's series over the texts that it can read.

    Attributes
    ----------
    name : str
        Its name in tables.
    series : mapping of int to Tensor, each of shape (n_tokens, n_neurons)
        Standardised series of each text, by its index: `Z.T @ Z` is its topology.
    """

    name: str
    series: Mapping[int, Tensor]

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return int(next(iter(self.series.values())).shape[1])

    def of(self, numbers: Sequence[int]) -> list[Tensor]:
        """Return the series of some texts."""
        return [self.series[number] for number in numbers]

    def average(self, numbers: Sequence[int]) -> NDArray[np.float64]:
        """Return the mean topology of some texts, shape (n_neurons, n_neurons)."""
        return correlate(self.series[number] for number in numbers).matrix.astype(np.float64)


def load_texts(config: Config) -> list[Text]:
    """Load the texts, cut into merged paragraphs if configured; by words, not by tokens."""
    cut, words = config.data.cut.value == "paragraphs", config.data.max_words
    return [
        Text(piece, document.group or document.name)
        for document in documents(config)
        for piece in (merge_paragraphs(document.text, words) if cut else [document.text])
        if piece.strip()
    ]


def read(name: str, config: Config, texts: Sequence[Text], numbers: Sequence[int]) -> Side:
    """Read some of the texts; those that are too long or too short are dropped.

    `data.shuffle`, `.offset`, `.limit` and `.perplexity` select among them as usual.
    """
    lines = "".join(json.dumps({"text": texts[number].text}) + "\n" for number in numbers)
    # Named by its content, so that what was read of it is found again.
    digest = hashlib.sha256(lines.encode()).hexdigest()[:16]
    path = Path(config.output).resolve() / ".texts" / f"{digest}.jsonl"
    with atomic_write(path) as unfinished:
        unfinished.write_text(lines, encoding="utf-8")
    usual = compose("data=text", f"data.path='{path}'").data
    names = ("min_tokens", "max_tokens", "perplexity", "special_tokens", "skip_first",
            "shuffle", "seed", "offset", "limit", "generate", "temperature", "part")  # fmt: skip
    chosen = {key: getattr(config.data, key) for key in names}
    data = replace(usual, name=config.data.name or config.data.source, **chosen)
    store = series(replace(config, data=data, subject=None))
    [layer] = store.layers
    rows = [int(example.document.rpartition("/")[2]) for example in store.examples]
    places = {numbers[row]: place for place, row in enumerate(rows)}
    unit = UnitSeries(store.layer(layer), this_rank(config.runtime.device).device)
    return Side(name, StoredSeries(unit, dict(sorted(places.items()))))


def everything(config: Settings) -> Settings:
    """Switch off the selection of texts, as they have been selected before."""
    usual = compose().data
    choice = {key: getattr(usual, key) for key in ("perplexity", "shuffle", "offset", "limit")}
    return replace(config, data=replace(config.data, **choice))
