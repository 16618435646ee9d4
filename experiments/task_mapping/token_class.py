"""Classes of tokens, whose shares differ between tasks without any knowledge of them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

CLASSES = ("word", "piece", "number", "sign", "space")
# How byte-level and SentencePiece vocabularies write the space before a word.
_SPACES = ("Ġ", "▁")


def token_class(entry: str, text: str) -> str:
    """Return the class of a token.

    Parameters
    ----------
    entry : str
        As the vocabulary writes it.
    text : str
        What it decodes to.

    Examples
    --------
    >>> [token_class(*token) for token in (("Ġrock", " rock"), ("ology", "ology"), ("Ġ19", " 19"))]
    ['word', 'piece', 'number']
    >>> [token_class(*token) for token in ((",", ","), ("Ċ", chr(10)))]
    ['sign', 'space']
    """
    first = text.strip()[:1]
    if not first:
        return "space"
    if first.isdigit():
        return "number"
    if not first.isalpha():
        return "sign"
    return "word" if entry.startswith(_SPACES) else "piece"


def token_classes(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> NDArray[np.float64]:
    """Return which class each token has, of `CLASSES`, as 0 or 1, shape (n_tokens, n_classes)."""
    known = {
        number: CLASSES.index(token_class(entry, tokenizer.decode([number])))
        for number in set(ids)
        for entry in tokenizer.convert_ids_to_tokens([number])
    }
    return np.eye(len(CLASSES))[[known[number] for number in ids]]
