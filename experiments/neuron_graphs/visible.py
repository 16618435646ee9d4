"""Tokens as a person sees them: none blank, none that moves or hides what stands beside it."""

import unicodedata

# Control, format, surrogate, private and unassigned characters; line and paragraph separators.
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: str, token: int) -> str:
    r"""Write a token in one line of printable characters.

    Parameters
    ----------
    text : str
        What the tokenizer decodes it to.
    token : int
        Its id, which is named where the text says nothing of it.

    Examples
    --------
    >>> [visible(text, 7) for text in (" cat", "a\n", "\x03", "", "  ", "�")]
    ['␣cat', 'a\\n', '\\x03', '#7', '␣␣', '�#7']
    """
    if not text.strip("\ufffd"):
        return f"{text}#{token}"
    # A mark that would stand on the character before it stands on a circle.
    carrier = "◌" if unicodedata.category(text[0]).startswith("M") else ""
    return carrier + "".join(_seen(character) for character in text)


def clipped(label: str, room: int) -> str:
    """Cut a label to a number of columns, of which characters of East Asia take two.

    Examples
    --------
    >>> clipped("abcdef", 4), clipped("猫猫猫", 4), clipped("abcd", 4)
    ('abc…', '猫…', 'abcd')
    """
    if sum(map(_columns, label)) <= room:
        return label
    kept, taken = "", 1
    for character in label:
        taken += _columns(character)
        if taken > room:
            break
        kept += character
    return kept + "…"


def _seen(character: str) -> str:
    if unicodedata.category(character) == "Zs":
        return "␣"
    if unicodedata.category(character) not in _UNSEEN:
        return character
    code = ord(character)
    width = (2, "x") if code < 0x100 else (4, "u") if code < 0x10000 else (8, "U")
    return _SHORT.get(character, f"\\{width[1]}{code:0{width[0]}x}")


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def word(label: str) -> str:
    r"""Return what a search compares: without spaces around and whatever the case.

    Examples
    --------
    >>> word(" The"), word("\n"), word(" ")
    ('the', '\n', ' ')
    """
    return label.strip().casefold() or label


def readable(text: str, token: int) -> str:
    r"""Write a token as part of a running text: visible, but spaces are spaces.

    Examples
    --------
    >>> readable(" cat", 7), readable("\n", 7), readable("  ", 7)
    (' cat', '\\n', '␣␣')
    """
    seen = visible(text, token)
    return seen.replace("␣", " ") if text.strip() else seen
