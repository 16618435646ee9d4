"""Words whose keys are texts: what is typed is the text, whatever Hydra's grammar makes of it."""

import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from types import UnionType
from typing import Any, get_args

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, QuotedString, Sweep
from hydra.errors import HydraException

_OPENED, _CLOSED = "([{", ")]}"


@lru_cache(maxsize=1000)  # a word is looked at many times
def parsed(word: str) -> Override | None:
    """Parse a word by Hydra's grammar; None if it is not of it."""
    try:
        return _parser().parse_override(word)
    except HydraException:
        return None


_parser = cache(OverridesParser.create)


def quoted(text: str) -> str:
    r"""Write a text so that Hydra takes it as it is.

    Examples
    --------
    >>> quoted("it's ${y}")
    '"it\'s \\${y}"'
    """
    # Backslashes are doubled before a quotation mark and at the end, and nowhere else.
    text = re.sub(r'(\\*)"', r'\1\1\\"', re.sub(r"(\\+)$", r"\1\1", text))
    return '"' + text.replace("${", "\\${") + '"'


def as_typed(word: str, kinds: Mapping[str, Any], multirun: bool) -> str:
    """Quote what Hydra would read as a number or could not read, where the key is a text.

    Parameters
    ----------
    word : str
        A word of the command line.
    kinds : mapping of str to type
        The keys' types.
    multirun : bool
        Whether commas separate the values of a sweep.

    Examples
    --------
    >>> as_typed("data.column=1_000", {"data.column": str}, multirun=False)
    'data.column="1_000"'
    >>> as_typed("tags=[a,1e5]", {"tags": list[str]}, multirun=False)
    'tags=[a,"1e5"]'
    """
    name, equals, text = word.partition("=")
    kind = _text_kind(kinds.get(name))
    if not equals or kind is None:
        return word
    write = _text if kind is str else _texts
    override = parsed(word)
    if override is not None and isinstance(override.value(), Sweep):
        if not multirun or not isinstance(override.value(), ChoiceSweep) or not _simple(override):
            return word
        return f"{name}={','.join(map(write, split(text)))}"
    if override is None and multirun and len(values := list(split(text))) > 1:
        return f"{name}={','.join(map(write, values))}"
    return f"{name}={write(text)}"


def split(text: str) -> Iterator[str]:
    """Split at the commas that are outside of quotes and brackets.

    Examples
    --------
    >>> list(split("a,'b,c',[d,e]"))
    ['a', "'b,c'", '[d,e]']
    """
    start, depth, quote = 0, 0, ""
    for place, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote and text[place - 1] != "\\" else quote
        elif sign in "'\"" and not text[start:place].strip(" [({"):
            quote = sign
        elif sign in _OPENED or sign in _CLOSED:
            depth += 1 if sign in _OPENED else -1
        elif sign == "," and depth == 0:
            yield text[start:place]
            start = place + 1
    yield text[start:]


def _text_kind(kind: Any) -> Any:
    """Return `str` or `list[str]` if a type is one of the two, with or without None."""
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    return next((one for one in kinds if one in (str, list[str])), None)


def _simple(override: Override) -> bool:
    value = override.value()
    return isinstance(value, ChoiceSweep) and value.simple_form


def _text(text: str) -> str:
    override = parsed(f"a={text}")
    value = None if override is None else override.value()
    if override is not None and (value is None or isinstance(value, str | QuotedString | Sweep)):
        return text
    return quoted(text.strip())


def _texts(text: str) -> str:
    inner = text.strip()
    if not (inner.startswith("[") and inner.endswith("]")) or inner == "[]":
        return text
    return f"[{','.join(_element(one) for one in split(inner[1:-1]))}]"


def _element(text: str) -> str:
    override = parsed(f"a=[{text}]")
    values = None if override is None else override.value()
    if isinstance(values, list) and all(isinstance(v, bool | int | float) for v in values):
        return quoted(text.strip())
    return text if override is not None else quoted(text.strip())
