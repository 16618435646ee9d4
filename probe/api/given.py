"""What every function of the interface takes: words, or a configuration."""

from __future__ import annotations

import json
from typing import Any

from probe.cli import compose_job, overlay
from probe.cli.text_words import quoted
from probe.config import Config, SubjectConfig, leaves, to_plain, unread
from probe.config.subjects import subject_options
from probe.errors import UserError

_ABSENT = object()


def configured(given: tuple[str | Config, ...], schema: type[Config] = Config) -> Config:
    """Return the configuration of words, a configuration, or one with words laid over it.

    Parameters
    ----------
    given : tuple of str or Config
        Words as on the command line, which a configuration may precede.
    schema : type
        What words alone are composed to.

    Raises
    ------
    UserError
        If something else is given, or a word is mistyped.
    """
    config = given[0] if given and isinstance(given[0], Config) else None
    words = [_word(one) for one in given[config is not None :]]
    if config is None:
        return compose_job(words, schema)
    return overlay(config, words) if words else config


def _word(one: object) -> str:
    if isinstance(one, str):
        return one
    if isinstance(one, Config):
        raise UserError("give one configuration, and words behind it, e.g. (config, 'layers=3')")
    kind = "None" if one is None else f"a value of type {type(one).__name__}"
    raise UserError(
        f"give words such as 'data.limit=20', or a configuration, not {kind}"
        + (": write *words to give a list of them" if isinstance(one, list | tuple) else "")
    )


def words_of(config: Config) -> list[str]:
    """Return the words that compose a configuration, for the files of its run.

    Examples
    --------
    >>> words_of(compose_job(["data.limit=3", "layers=[1,3]"]))
    ['layers=single', 'data.limit=3', 'layers.index=[1,3]', 'average.halves=true']
    """
    usual, own = (dict(leaves(to_plain(one))) for one in (compose_job([]), config))
    # Numbers of layers need the option; and only one of `data` can take the subject away.
    head = {"layers.selection": f"layers={config.layers.selection}"}
    head |= {"subject": "data=text"} if config.subject is None else {}
    # A model that is given by path or repository alone is not the default one with another path.
    place = "local" if config.model.path is not None else "hub"
    head |= {f"model.{name}": f"model={place}" for name in ("path", "id")}
    named = dict.fromkeys(
        word for name, word in head.items() if usual.get(name, _ABSENT) != own[name]
    )
    # What an option sets besides is written out, default or not.
    beside = {"layers": ("average.halves",), "data": ("data.",), "model": ("model.",)}
    parts = tuple(part for word in named for part in beside[word.partition("=")[0]])
    subject = _subject(config)
    unread_keys = {one.name for one in unread(config)}
    return [*named, *subject] + [
        f"{name}={_written(value)}"
        for name, value in own.items()
        if (name not in head or name.startswith("model."))
        and not name.startswith("study")
        and not (subject and name.startswith("subject."))
        and name not in unread_keys
        and (name.startswith(parts) or usual.get(name, _ABSENT) != value)
    ]


def _subject(config: Config) -> list[str]:
    """Return the word for a subject that is one of the options."""
    subject = config.subject
    if subject is None or subject == compose_job([]).subject:
        return []
    meaning = subject_options().get(subject.name)
    is_option = meaning is not None and SubjectConfig(subject.name, **meaning) == subject
    return [f"subject={subject.name}"] if is_option else []


def _written(value: Any) -> str:
    """Write a value in Hydra's grammar."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        return f"[{','.join(map(_written, value))}]"
    return json.dumps(value)
