"""Which keys a configuration reads. What is typed and not read is refused, by this one rule.

A key is read unless it stands here. Keys that say where texts come from are read only by the data
sets that name them in `SOURCES`, so that a new data set refuses what it does not read.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from probe.config.choices import Cut, InitKind, Selection, Site
from probe.config.schema import Config, DataConfig

_HUB = frozenset({"data.id", "data.revision", "data.config", "data.streaming"})
_FILES = frozenset({"data.path", "data.split"})
_ROWS = _HUB | _FILES | {"data.column"}
# For every reader of a data set (`probe.data` has the readers) the keys of `_ORIGIN` that it reads.
SOURCES: Mapping[str, frozenset[str]] = {
    "hub": _ROWS,
    "mbpp": _ROWS,
    "mmlu": _FILES | {"data.id", "data.revision", "subject.mmlu"},
    "mmlu_pro": _HUB | _FILES | {"subject.mmlu_pro"},
    "openwebtext": _ROWS,
    "sample": frozenset({"data.split", "subject.sample"}),
    "table": _FILES | {"data.template", "data.choices", "data.answer"},
    "tasks": frozenset({"data.split"}),
    "text": _FILES | {"data.column"},
    "truthfulqa": _HUB | _FILES,
    "wikitext": _ROWS,
}
_ORIGIN = frozenset().union(*SOURCES.values())
# Endings of files without columns.
_PLAIN = (".txt", ".txt.gz")
# What a key is told in place of "data=…", which names the reader.
_GROUPS = {"data.source": "data", "init.kind": "init", "layers.selection": "layers"}


@dataclass(frozen=True)
class Need:
    """What a key needs to be read.

    Attributes
    ----------
    of : str
        The key that decides.
    met : callable
        Whether a configuration meets it.
    give : str
        What to give instead.
    shown : str, optional
        What stands in its place (default: the value of `of`).
    """

    of: str
    met: Callable[[Config], bool]
    give: str
    shown: str | None = None

    @classmethod
    def declared(cls, text: str) -> "Need":
        """Read what a key's declaration says, see `key`.

        Examples
        --------
        >>> need = Need.declared("data.generate or site!=mlp")
        >>> [need.met(config) for config in (Config(), Config(site=Site.mlp))], need.give
        ([True, False], 'data.generate= or another site')
        """
        parts = [_CONDITION.fullmatch(part) for part in text.split(" or ")]
        names = [(one["key"], one["not"], one["word"]) for one in parts if one is not None]
        assert len(names) == len(parts), text

        def met(config: Config) -> bool:
            return any(
                (word in _words(_value(config, name))) != bool(other)
                if word is not None
                else bool(_value(config, name))
                for name, other, word in names
            )

        return cls(names[0][0], met, " or ".join(_wish(*one) for one in names))


def _one_of(key: str, *values: Any, give: str = "") -> Need:
    name = _GROUPS.get(key, key)
    give = give or " or ".join(f"{name}={value}" for value in values)
    return Need(key, lambda config: _value(config, key) in values, give)


def _absent(key: str) -> Need:
    return Need(key, lambda config: _value(config, key) is None, f"it without {key}")


NEEDS: Mapping[str, Need] = {
    "model.id": _absent("model.path"),
    "model.revision": _absent("model.path"),
    "model.mlp": _one_of("site", Site.mlp_output),
    "model.mlp_output": _one_of("site", Site.mlp),
    "model.attention": _one_of("site", Site.attention),
    "data.id": _absent("data.path"),
    "data.revision": _absent("data.path"),
    "data.max_words": _one_of("data.cut", Cut.paragraphs),
    "data.window": _one_of("data.cut", Cut.tokens),
    "data.seed": Need(
        "data.shuffle",
        lambda config: config.data.shuffle or config.data.temperature > 0,
        "data.shuffle=true",
    ),
    "layers.index": _one_of(
        "layers.selection",
        Selection.single,
        Selection.cross,
        Selection.full,
        give="layers=3 or layers=[3,7]",
    ),
    "average.weight": _absent("average.example"),
    "average.halves": _absent("average.example"),
    "init.seed": _one_of("init.kind", InitKind.random),
    **{
        f"tracking.{name}": Need(
            "tracking", lambda config: config.tracking.enabled, "it without tracking=none", "none"
        )
        for name in ("mode", "project", "entity", "tags", "upload")
    },
    "null.seed": Need("null.shifts", lambda config: config.null.shifts > 0, "null.shifts=1"),
}
# Unread, they are no part of a run's name: in a sweep it is enough that one job reads them.
SWEPT = ("layers.index", "init.seed", "null.seed")


_USUAL = Config()
# A key that has any value, or a word that it must have, or must not.
_CONDITION = re.compile(r"(?P<key>[\w.]+)(?:(?P<not>!)?=(?P<word>\w+))?")


def _words(value: Any) -> list[str]:
    return [_word(one) for one in (value if isinstance(value, list) else [value])]


def _word(value: Any) -> str:
    """Return a value as it is typed."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _wish(name: str, other: str | None, word: str | None) -> str:
    shown = _GROUPS.get(name, name)
    if other:
        return f"another {shown}"
    return f"{shown}={'' if word is None else word}"


@dataclass(frozen=True)
class Unread:
    """A key that a configuration does not read.

    Attributes
    ----------
    name : str
        The key.
    value : object
        Its value.
    of : str
        The key that decides.
    hint : str
        With what it has no effect, and what to give.
    usual : object
        Its value if nobody sets it.
    """

    name: str
    value: Any
    of: str
    hint: str
    usual: Any = None

    @property
    def off(self) -> bool:
        """Whether the value asks for nothing: it is empty, false, or what it is anyway."""
        return self.value is None or self.value is False or self.value == self.usual

    def __str__(self) -> str:
        """Say what is wrong in one sentence."""
        return f"{self.name}={_shown(self.value)} has no effect {self.hint}, or leave it out"


def unread(config: Config) -> Iterator[Unread]:
    """Yield the keys that a configuration does not read."""
    usual = type(config)()
    for name in sorted(_ORIGIN):
        value = _value(config, name)
        if name not in SOURCES.get(config.data.source, _ORIGIN):
            hint = _of_source(name, config.data)
            yield Unread(name, value, "data.source", hint, _value(_USUAL, name))
    for name, need in {**NEEDS, **dict(_declared(config))}.items():
        decides = _value(config, need.of)
        names_documents = name == "data.id" and config.data.source == "hub"
        if not need.met(config) and not names_documents:
            of = _GROUPS.get(need.of, need.of)
            hint = f"with {of}={need.shown or _shown(decides)}; give {need.give}"
            yield Unread(name, _value(config, name), need.of, hint, _value(usual, name))
    yield from _of_files(config.data)


def unread_mistakes(config: Config) -> Iterator[str]:
    """Find values of keys that the reader of the texts does not read, however they were set."""
    for one in unread(config):
        of_the_reader = one.of == "data.source" or one.name in ("data.window", "data.streaming")
        if of_the_reader and one.name.startswith("data.") and not one.off:
            value = "null" if one.usual is None else str(one.usual).lower()
            yield f"{one}".replace("leave it out", f"set {one.name}={value}")


def typed_mistakes(
    config: Config,
    typed: Collection[str],
    files: Collection[Collection[str]] = (),
    repeated: Collection[str] = (),
) -> Iterator[Unread]:
    """Find typed keys that are not read, unless they ask for nothing.

    Parameters
    ----------
    config : Config
        The configuration.
    typed : collection of str
        Groups and keys that the command line names.
    files : collection of collections of str
        Keys that the file of each chosen option of the user's own names; a key of the command line
        may overrule them.
    repeated : collection of str
        Keys that the words of a repeated run name; a group may overrule them, too.
    """
    in_files = frozenset().union(*files)
    for one in unread(config):
        in_file = one.name in in_files and one.of not in typed
        earlier = one.name in repeated and not {one.of, _GROUPS.get(one.of)} & {*typed}
        if (one.name in typed or in_file or earlier) and not one.off:
            yield one


def _declared(config: Config) -> Iterator[tuple[str, Need]]:
    """Yield the needs that a study declares, of its own keys and of others."""
    study = getattr(config, "study", None)
    texts = dict(config.needs)
    for one in fields(study) if is_dataclass(study) else ():
        if one.metadata.get("needs"):
            texts[f"study.{one.name}"] = one.metadata["needs"]
    for name, text in texts.items():
        yield name, Need.declared(text)


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        return f"[{','.join(_words(value))}]"
    return str(value).lower() if isinstance(value, bool) else value


def _value(config: Config, name: str) -> Any:
    if name.startswith("subject.") and config.subject is None:
        return None
    return attrgetter(name)(config)


def _of_source(name: str, data: DataConfig) -> str:
    if name == "data.path":
        instead = f"data={data.path}"
    else:
        readers = [source for source, keys in SOURCES.items() if name in keys]
        instead = f"data={', '.join(readers[:-1])}{' or ' * (len(readers) > 1)}{readers[-1]}"
    return f"with data={data.source}; give {instead}"


def _of_files(data: DataConfig) -> Iterator[Unread]:
    """Yield what is not read of a file: it is no part of a repository, and may have no columns."""
    if data.path is None:
        return
    if data.streaming and "data.streaming" in SOURCES.get(data.source, ()):
        yield _of_a_file("data.streaming", data, "with data.path; give one of the two")
    if data.path.lower().endswith(_PLAIN):
        hint = f"on {data.path}, which has no columns; give another file"
        yield _of_a_file("data.column", data, hint)
    if not _has_splits(Path(data.path), data.source):
        hint = f"on {data.path}, which is read whole; give a folder with splits"
        yield _of_a_file("data.split", data, hint)
        yield _of_a_file("data.config", data, hint)


def _of_a_file(name: str, data: DataConfig, hint: str) -> Unread:
    value = getattr(data, name.removeprefix("data."))
    return Unread(name, value, "data.path", hint, _value(_USUAL, name))


def _has_splits(path: Path, source: str) -> bool:
    if source not in ("text", "table"):
        return path.is_dir()
    return (path / "dataset_dict.json").is_file() or any(path.glob("**/*-of-*.parquet"))
