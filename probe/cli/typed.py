"""What was typed, against what is read: no word is ignored, and names are of what is read."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from probe.config import BUNDLED, Config, Unread, leaves, typed_mistakes
from probe.errors import UserError


@dataclass(frozen=True)
class Typed:
    """The groups and keys that are named.

    Attributes
    ----------
    words : frozenset of str
        By the words of the command line.
    files : tuple of frozenset of str
        By each file of the user's own options that is chosen.
    repeated : frozenset of str
        By the words of a run that is repeated.
    """

    words: frozenset[str] = frozenset()
    files: tuple[frozenset[str], ...] = ()
    repeated: frozenset[str] = frozenset()

    def refuse_unread(self, config: Config, lenient: Collection[str] = ()) -> None:
        """Raise `UserError` for the first key that is named and not read.

        Keys in `lenient` are let pass: another job of the sweep reads them.
        """
        for one in self.unread(config):
            if one.name not in lenient:
                raise UserError(str(one))

    def unread(self, config: Config) -> Iterator[Unread]:
        """Yield the keys that are named and not read."""
        model = config.model
        bundled = model.path is not None and str(model.id).startswith(BUNDLED)
        if bundled and {"model", "model.path"} <= self.words:
            instead = f"give model={model.path}"
            yield Unread("model", model.name, "model.path", f"with model.path; {instead}")
        yield from typed_mistakes(config, self.words, self.files, self.repeated)


def names_of_models(words: Sequence[str], names: Sequence[str], base: Config | None) -> list[str]:
    """Let a model that is given by path or repository alone be named by it.

    Parameters
    ----------
    words, names : sequence of str
        The words, and the group or key of each.
    base : Config, optional
        What they are laid over; by default the program's defaults, whose model is the bundled one.

    Examples
    --------
    >>> names_of_models(["model.path=/folder"], ["model.path"], None)
    ['model=local', 'model.path=/folder']
    """
    given = {"model.path", "model.id"} & {*names}
    if not given or "model.name" in names:
        return [*words]
    if "model" in names or base is not None:
        bundled = base is not None and "model" not in names and _bundled(base)
        unnamed = ["model.name=null"] if "model.id" in given or bundled else []
        if bundled and "model.id" not in given:
            unnamed.append("model.id=null")
        return [*words, *unnamed]
    return ["model=local" if "model.path" in given else "model=hub", *words]


def _bundled(config: Config) -> bool:
    return config.model.path is None and str(config.model.id).startswith(BUNDLED)


def set_in(file: Path) -> Iterator[str]:
    """Yield the keys that an option's file sets; none of a file that Hydra will refuse."""
    try:
        text = file.read_text(encoding="utf-8")
        content: Any = OmegaConf.to_container(OmegaConf.create(text))
    except (OSError, ValueError, YAMLError, OmegaConfBaseException):
        return
    if isinstance(content, dict):
        content.pop("defaults", None)
        everywhere = "@package _global_" in text
        yield from dict(leaves(content if everywhere else {file.parent.name: content}))
