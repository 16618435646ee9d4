"""The same texts for two models with different tokenizers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from torch import Tensor

from probe.api import Config, Factor, compose, documents, iterate
from probe.api.parts import merge_paragraphs

Settings = TypeVar("Settings", bound=Config)


@dataclass(frozen=True)
class Text:
    """A text and its group: the document or question it belongs to."""

    text: str
    group: str


@dataclass(frozen=True)
class Side:
    """A model's series over the texts that it can read.

    Attributes
    ----------
    name : str
        Its name in tables.
    series : dict of int to Tensor, each of shape (n_tokens, n_neurons)
        Standardised series of each text, by its index: `Z.T @ Z` is its topology.
    """

    name: str
    series: dict[int, Tensor]

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return int(next(iter(self.series.values())).shape[1])

    def of(self, numbers: Sequence[int]) -> list[Tensor]:
        """Return the series of some texts."""
        return [self.series[number] for number in numbers]


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
    with TemporaryDirectory() as folder:
        path = Path(folder) / "texts.jsonl"
        lines = (json.dumps({"text": texts[number].text}) + "\n" for number in numbers)
        path.write_text("".join(lines), encoding="utf-8")
        usual = compose("data=text", f"data.path='{path}'").data
        names = ("min_tokens", "max_tokens", "perplexity", "special_tokens", "skip_first",
                "shuffle", "seed", "offset", "limit")  # fmt: skip
        chosen = {key: getattr(config.data, key) for key in names}
        data = replace(usual, name=config.data.name or config.data.source, **chosen)
        series = {}
        for example in iterate(replace(config, data=data, subject=None)):
            [activations] = example.layers.values()
            row = int(example.document.rpartition("/")[2])
            series[numbers[row]] = Factor.of(activations).series
    return Side(name, dict(sorted(series.items())))


def everything(config: Settings) -> Settings:
    """Switch off the selection of texts, as they have been selected before."""
    usual = compose().data
    choice = {key: getattr(usual, key) for key in ("perplexity", "shuffle", "offset", "limit")}
    return replace(config, data=replace(config.data, **choice))
