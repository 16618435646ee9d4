"""Words of a command line that stand in a setting, such as those of a variant."""

import shlex

from probe.api import UserError


def split_words(words: str, name: str) -> list[str]:
    """Split words as a shell does.

    Parameters
    ----------
    words : str
        For example `data=mmlu subject=stem`.
    name : str
        The setting that they stand in.

    Raises
    ------
    UserError
        If a quote is open.

    Examples
    --------
    >>> split_words("data=table 'data.template=by {author}'", "study.on")
    ['data=table', 'data.template=by {author}']
    """
    try:
        return shlex.split(words)
    except ValueError:
        raise UserError(f"{name} has {words}, whose quotes are not closed; close them") from None
