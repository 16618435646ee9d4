"""What a key needs to be read: another key, of the program's or of a study's own."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from operator import attrgetter
from typing import Any

from probe.config.choices import Cut, Figures, InitKind, Selection, Sinks, Site
from probe.config.schema import Config

# What a key is told in place of "data=…", which names the reader.
GROUPS = {
    "data.source": "data",
    "figures.draw": "figures",
    "init.kind": "init",
    "layers.selection": "layers",
}
# A key that has any value, or a word that it must have, or must not.
_CONDITION = re.compile(r"(?P<key>[\w.]+)(?:(?P<not>!)?=(?P<word>\w+))?")


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
                (word in _words(value_of(config, name))) != bool(other)
                if word is not None
                else bool(value_of(config, name))
                for name, other, word in names
            )

        return cls(names[0][0], met, " or ".join(_wish(*one) for one in names))


def _one_of(key: str, *values: Any, give: str = "") -> Need:
    name = GROUPS.get(key, key)
    give = give or " or ".join(f"{name}={value}" for value in values)
    return Need(key, lambda config: value_of(config, key) in values, give)


def _absent(key: str) -> Need:
    return Need(key, lambda config: value_of(config, key) is None, f"it without {key}")


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
    "data.drop_norm": _one_of("data.sinks", Sinks.auto, Sinks.drop, Sinks.both),
    "layers.index": _one_of(
        "layers.selection",
        Selection.single,
        Selection.cross,
        Selection.full,
        give="layers=3 or layers=[3,7]",
    ),
    "average.weight": _absent("average.example"),
    "average.halves": _absent("average.example"),
    **{
        f"figures.{name}": _one_of(
            "figures.draw",
            Figures.auto,
            Figures.all,
            Figures.summary,
            give="figures=all or summary",
        )
        for name in ("format", "dpi", "max_r")
    },
    "init.seed": _one_of("init.kind", InitKind.random),
    **{
        f"tracking.{name}": Need(
            "tracking", lambda config: config.tracking.enabled, "it without tracking=none", "none"
        )
        for name in ("mode", "project", "entity", "tags", "upload")
    },
    "null.seed": Need("null.shifts", lambda config: config.null.shifts > 0, "null.shifts=1"),
}


def declared(config: Config) -> Iterator[tuple[str, Need]]:
    """Yield the needs that a study declares, of its own keys and of others."""
    study = getattr(config, "study", None)
    texts = dict(config.needs)
    for one in fields(study) if is_dataclass(study) else ():
        if one.metadata.get("needs"):
            texts[f"study.{one.name}"] = one.metadata["needs"]
    for name, text in texts.items():
        yield name, Need.declared(text)


def shown_as(value: Any) -> Any:
    """Return a value as a message shows it."""
    if isinstance(value, list):
        return f"[{','.join(_words(value))}]"
    return str(value).lower() if isinstance(value, bool) else value


def value_of(config: Config, name: str) -> Any:
    """Return the value of a key; None for those of subjects where there are none."""
    if name.startswith("subject.") and config.subject is None:
        return None
    return attrgetter(name)(config)


def _words(value: Any) -> list[str]:
    return [_word(one) for one in (value if isinstance(value, list) else [value])]


def _word(value: Any) -> str:
    """Return a value as it is typed."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _wish(name: str, other: str | None, word: str | None) -> str:
    shown = GROUPS.get(name, name)
    if other:
        return f"another {shown}"
    return f"{shown}={'' if word is None else word}"
