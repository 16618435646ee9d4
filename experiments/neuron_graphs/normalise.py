"""Which tokens are the same in a graph."""

from collections.abc import Sequence

import numpy as np

from experiments.neuron_graphs.records import Vocabulary


def normalised(text: str, rule: str) -> str:
    r"""Return a token's text as the rule has it.

    Parameters
    ----------
    text : str
        The token.
    rule : {"none", "title_strip", "casefold_strip"}
        As it is; as the paper's code has it: lower case if it is in title case, then without
        spaces around it if it has a letter; or the same for every case.

    Examples
    --------
    >>> [normalised(text, "title_strip") for text in (" The", "A", " A", " 3", "USA", "\n")]
    ['the', 'A', 'a', ' 3', 'USA', '\n']
    """
    if rule == "none":
        return text
    # " A" is in title case to the paper's code, and "A" is not: its test begins at 1.
    title = text.istitle() and len(text) > 1
    plain = text.lower() if title or rule == "casefold_strip" else text
    return plain.strip() if any(letter.isalpha() for letter in plain) else plain


def vocabulary(texts: Sequence[str], rule: str) -> Vocabulary:
    """Return labels and classes of all tokens; those with equal labels are one class.

    With rule `none` every token is its own: distinct ones can have one text, as bytes that are no
    character do.
    """
    labels = tuple(normalised(text, rule) for text in texts)
    if rule == "none":
        return Vocabulary(labels, np.arange(len(labels), dtype=np.int32))
    first: dict[str, int] = {}
    classes = [first.setdefault(label, number) for number, label in enumerate(labels)]
    return Vocabulary(labels, np.array(classes, np.int32))
