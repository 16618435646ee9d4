"""An example: the token ids of one text, and which of them count."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from probe.config import DataConfig
from probe.config.data import ANSWER, GENERATED, PROMPT
from probe.examples.counting import Dropped, n_counted
from probe.examples.spans import Span

# One for all texts without known parts.
NO_SPANS: Mapping[str, Span] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Example:
    """Token ids of one text, and the document it was cut from.

    Examples of one `group`, their document or the question they answer, are in the same half.
    `spans` are the first token of each known part of a whole document and the one behind its last.
    """

    document: str
    ids: Sequence[int]
    group: str = ""
    spans: Mapping[str, Span] = field(default_factory=lambda: NO_SPANS, hash=False)

    def __post_init__(self) -> None:
        """Make a document its own group by default."""
        object.__setattr__(self, "group", self.group or self.document)

    def span(self, part: str | None) -> Span:
        """Return the first token of a part, None for the whole, and the one behind its last.

        What is before an answer is its prompt.

        Raises
        ------
        KeyError
            If the part is not known.
        """
        if part is None:
            return 0, len(self.ids)
        if part == PROMPT and PROMPT not in self.spans:
            return 0, self.spans[ANSWER][0]
        return self.spans[part]

    def knows(self, part: str | None) -> bool:
        """Whether it is known where a part is."""
        return part is None or part in self.spans or (part == PROMPT and ANSWER in self.spans)

    def n_counted(self, data: DataConfig, dropped: Dropped | None) -> int:
        """Return the number of tokens that count."""
        return n_counted(self.ids, counted(self.span(data.part), data.skip_first), dropped)

    def followed_by(self, ids: Sequence[int]) -> "Example":
        """Return the example with tokens that the model wrote behind it.

        Examples
        --------
        >>> Example("d", [5, 6]).followed_by([7]).spans
        {'prompt': (0, 2), 'generated': (2, 3)}
        """
        start, stop = len(self.ids), len(self.ids) + len(ids)
        spans = {**self.spans, PROMPT: (0, start), GENERATED: (start, stop)}
        return replace(self, ids=[*self.ids, *ids], spans=spans)


def counted(span: Span, skip_first: int) -> Span:
    """Return the span of the tokens that count in a part without the first ones of the text.

    Examples
    --------
    >>> counted((0, 9), 2), counted((5, 9), 2), counted((0, 9), 20)
    ((2, 9), (5, 9), (9, 9))
    """
    start, stop = span
    return min(max(start, skip_first), stop), stop


def continued(
    examples: Sequence[Example],
    generate: Callable[[list[Example]], list[list[int]]],
    data: DataConfig,
    skipped: Counter[str],
    dropped: Dropped | None = None,
) -> Iterator[Example]:
    """Let the model continue the examples, and yield those with enough tokens that count.

    Examples that hold a continuation already are not continued again.

    Parameters
    ----------
    examples : sequence of Example
        Prompts.
    generate : callable
        Returns the tokens that the model writes behind each of them.
    data : DataConfig
        Which tokens count, and how many are enough.
    skipped : Counter
        Counts those that are left out, by reason.
    dropped : Dropped, optional
        Tokens that do not count.
    """
    prompts = [example for example in examples if GENERATED not in example.spans]
    written = iter(generate(prompts) if prompts else [])
    for example in examples:
        prompt = GENERATED not in example.spans
        whole = example.followed_by(next(written)) if prompt else example
        first, end = whole.spans[GENERATED]
        if first == end:
            skipped["an empty continuation"] += 1
        elif reason := too_little(whole, data, dropped):
            skipped[reason] += 1
        else:
            yield whole


def unknown(data: DataConfig) -> str:
    """Say what is wrong with an example of which the part that counts is not known."""
    return f"no {data.part} that is known"


def too_little(example: Example, data: DataConfig, dropped: Dropped | None) -> str | None:
    """Say why too few tokens of an example count; None if they are enough."""
    if not example.knows(data.part):
        return unknown(data)
    if example.n_counted(data, dropped) < data.least_tokens:
        return f"fewer than {data.least_tokens} tokens that count"
    return None
