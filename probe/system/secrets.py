"""Tokens and passwords, kept out of everything that is written."""

import os
import re

_ENDINGS = ("_TOKEN", "_API_KEY", "_PASSWORD", "_SECRET")
_SHORTEST = 12  # shorter ones could occur in ordinary words
_SHAPES = (
    re.compile(r"(?<=://)[^/\s@]+(?=@)"),  # user:password@ in an address
    re.compile(r"\bhf_[A-Za-z0-9]{12,}"),  # a Hugging Face token
    re.compile(r"\bwandb_v\d_\w{12,}"),  # a W&B key
)

# What is said after the name of a value that holds one.
REFUSAL = (
    "contains a token or password, which would be saved with the results; set HF_TOKEN or "
    "WANDB_API_KEY in the environment instead"
)


def hide(text: str) -> str:
    """Replace tokens by stars: those in the environment, and what looks like one.

    Examples
    --------
    >>> hide("https://me:mine@host/file and hf_0123456789abcdef")
    'https://***@host/file and ***'
    """
    for name, value in os.environ.items():
        if name.upper().endswith(_ENDINGS) and len(value) >= _SHORTEST:
            text = text.replace(value, "***")
    for shape in _SHAPES:
        text = shape.sub("***", text)
    return text
