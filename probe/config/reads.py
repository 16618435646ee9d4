"""Which keys a configuration reads. What is typed and not read is refused, by this one rule.

A key is read unless it stands here. Keys that say where texts come from are read only by the data
sets that name them in `SOURCES`, so that a new data set refuses what it does not read.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probe.config.data import DataConfig
from probe.config.needs import GROUPS, NEEDS, declared, shown_as, value_of
from probe.config.run_name import BUNDLED
from probe.config.schema import Config

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
# Unread, they are no part of a run's name: in a sweep it is enough that one job reads them.
SWEPT = (
    "layers.index",
    "init.seed",
    "null.seed",
    "figures.format",
    "figures.dpi",
    "figures.max_r",
)


_USUAL = Config()


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
        return f"{self.name}={shown_as(self.value)} has no effect {self.hint}, or leave it out"


def unread(config: Config) -> Iterator[Unread]:
    """Yield the keys that a configuration does not read."""
    usual = type(config)()
    for name in sorted(_ORIGIN):
        value = value_of(config, name)
        if name not in SOURCES.get(config.data.source, _ORIGIN):
            hint = _of_source(name, config.data)
            yield Unread(name, value, "data.source", hint, value_of(_USUAL, name))
    for name, need in {**NEEDS, **dict(declared(config))}.items():
        decides = value_of(config, need.of)
        names_documents = name == "data.id" and config.data.source == "hub"
        if not need.met(config) and not names_documents:
            of = GROUPS.get(need.of, need.of)
            hint = f"with {of}={need.shown or shown_as(decides)}; give {need.give}"
            yield Unread(name, value_of(config, name), need.of, hint, value_of(usual, name))
    if not config.averages:
        for name in ("data.sinks", "data.drop_norm"):
            hint = "where nothing is averaged over tokens; give it to python -m probe"
            yield Unread(name, value_of(config, name), "data.sinks", hint, value_of(usual, name))
    if config.model.path is None and str(config.model.id).startswith(BUNDLED):
        hint = f"on {config.model.id}, which comes with the program; give another model"
        yield Unread("model.revision", config.model.revision, "model.id", hint)
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
        earlier = one.name in repeated and not {one.of, GROUPS.get(one.of)} & {*typed}
        if (one.name in typed or in_file or earlier) and not one.off:
            yield one


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
    return Unread(name, value, "data.path", hint, value_of(_USUAL, name))


def _has_splits(path: Path, source: str) -> bool:
    if source not in ("text", "table"):
        return path.is_dir()
    return (path / "dataset_dict.json").is_file() or any(path.glob("**/*-of-*.parquet"))
