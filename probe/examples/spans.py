"""Where the parts of a document, such as its question and answer, are among its tokens."""

from collections import Counter
from collections.abc import Iterator, Sequence

Span = tuple[int, int]


def token_spans(
    text: str, parts: Sequence[tuple[str, str]], offsets: Sequence[Span]
) -> dict[str, Span]:
    """Return the tokens of each part, from the first to behind the last that it overlaps.

    Parameters
    ----------
    text : str
        The text that was tokenized; it may have been put into a chat template.
    parts : sequence of (str, str)
        Name and text of each part, in their order. Those that the text does not contain, one
        behind the other, are left out.
    offsets : sequence of (int, int)
        Where each token starts and stops in the text; special tokens are empty.

    Examples
    --------
    >>> token_spans("Question: How?", [("question", "How?")], [(0, 8), (8, 9), (9, 13), (13, 14)])
    {'question': (2, 4)}
    """
    spans = {}
    for name, start, stop in _located(text, parts):
        inside = [
            place
            for place, (first, behind) in enumerate(offsets)
            if start < behind and first < min(stop, behind)
        ]
        if inside:
            spans[name] = inside[0], inside[-1] + 1
    return spans


def roles(turns: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the roles that speak once, each with what it says; templates strip spaces around it.

    Examples
    --------
    >>> roles([("user", "Hi "), ("assistant", "Hello"), ("user", "Why?")])
    [('assistant', 'Hello')]
    """
    times = Counter(role for role, _ in turns)
    return [(role, content.strip()) for role, content in turns if times[role] == 1]


def _located(text: str, parts: Sequence[tuple[str, str]]) -> Iterator[tuple[str, int, int]]:
    end = 0
    for name, part in parts:
        start = text.find(part, end)
        if start >= 0 and part:
            end = start + len(part)
            yield name, start, end
