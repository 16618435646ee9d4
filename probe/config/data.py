"""The keys of the texts: where they are, how they are cut, and which of their tokens count."""

from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING

from probe.config.choices import Cut, Sinks
from probe.config.key import key

# Parts of a text whose tokens may be the only ones that count.
PROMPT, GENERATED, ANSWER = "prompt", "generated", "answer"
ROLES = ("system", "user", "assistant")
PARTS = (GENERATED, PROMPT, "question", ANSWER, *ROLES)


@dataclass
class DataConfig:
    """A data set and the choice of examples from it."""

    source: str = key(MISSING, "Reader of the data set.")
    name: str | None = key(None, "Short name in paths and tables (default: the file's name).")
    id: str | None = key(None, "Repository on the Hugging Face Hub.")
    revision: str | None = key(None, "Branch, tag or commit on the Hub.")
    config: str | None = key(None, "Configuration on the Hub, if the data set has several.")
    split: str = key("test", "Split of the data set.")
    column: str = key("text", "Column that holds the text.")
    template: str | None = key(
        None, "Text to fill with a row's columns, named in braces (data=table)."
    )
    choices: list[str] | None = key(
        None,
        "Texts, or templates, of the choices that each row has (data=table), "
        "e.g. [negative,positive].",
        younger=True,
    )
    answer: str | None = key(
        None,
        "Column with the right choice, its text or its number from 0 (data=table).",
        younger=True,
    )
    streaming: bool = key(False, "Download only as many rows from the Hub as needed.")
    path: str | None = key(
        None, "Local file, folder or pattern of files, used instead of the Hub.", path=True
    )
    cut: Cut = key(
        Cut.whole,
        "A document is one example, whole or truncated to max_tokens, or several: merged "
        "paragraphs, or windows of tokens.",
    )
    max_words: int = key(800, "Merge paragraphs up to this many words (cut=paragraphs).", least=1)
    window: int | None = key(None, "Tokens per example (cut=tokens; default: max_tokens).", least=2)
    generate: int = key(0, "Tokens that the model writes behind every text.", least=0, younger=True)
    temperature: float = key(
        0.0, "Temperature of what it writes (0: the likeliest token).", least=0, younger=True
    )
    part: str | None = key(
        None,
        "Count only the tokens of this part of every text: generated (what the model wrote), "
        "prompt (what is before it, or before an answer), question, answer, or the turn of a role.",
        choices=PARTS,
        younger=True,
    )
    drop_tokens: Any = key(
        None,
        "Tokens that are read and not counted: special, punctuation (nothing else in them), the id "
        "of a token, or a list of these.",
        younger=True,
    )
    min_tokens: int = key(
        16,
        "Drop examples with fewer tokens that count (part=generated: at most as many as generate).",
        least=2,
    )
    max_tokens: int | None = key(
        None,
        "Drop longer examples (default: the model's context length).",
        least=2,
    )
    perplexity: list[float] | None = key(
        None, "Keep examples between two percentiles of the model's perplexity, e.g. [1,99]."
    )
    special_tokens: bool = key(True, "Let the tokenizer add its special tokens.")
    skip_first: int = key(
        0, "Leave the first k tokens of each example out (attention sinks).", least=0
    )
    sinks: Sinks = key(
        Sinks.auto,
        "Tokens with an outlying norm (attention sinks): keep, drop in every layer, both (a second "
        "topology without them), or auto: both if one token of a text makes most of a topology.",
        younger=True,
    )
    drop_norm: float = key(
        10.0,
        "Norm from which a token is an outlier, over the median of its text.",
        above=1,
        younger=True,
    )
    shuffle: bool = key(False, "Shuffle the examples before offset and limit.")
    seed: int = key(0, "Seed of the shuffle, and of what is written at a temperature.", least=0)
    offset: int = key(0, "Examples to skip.", least=0)
    limit: int | None = key(None, "Examples to keep, after all other selections.", least=1)

    @property
    def least_tokens(self) -> int:
        """Fewest tokens that count in an example that is kept."""
        return min(self.min_tokens, self.generate) if self.part == GENERATED else self.min_tokens

    @property
    def dropped(self) -> list[str | int]:
        """What `drop_tokens` names, each once, in one order however it was written."""
        given = self.drop_tokens if isinstance(self.drop_tokens, list) else [self.drop_tokens]
        named = {one for one in given if one is not None}
        return sorted(named, key=lambda one: (isinstance(one, str), one))


@dataclass
class SubjectConfig:
    """A subject and what it means in each data set that has subjects."""

    name: str = key(MISSING, "Name of the subject.")
    mmlu: list[str] = key([], "The matching subjects of MMLU.")
    mmlu_pro: list[str] = key([], "The matching subjects of MMLU-Pro.")
    sample: list[str] = key([], "The matching subjects of the bundled sample.")
