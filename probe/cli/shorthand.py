"""`model=ORG/NAME`, `model=./DIR`, `data=FILE`: a model or texts in the place of an option."""

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from glob import has_magic
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigNode, ConfigStore
from omegaconf import OmegaConf

from probe.cli.text_words import parsed, split
from probe.config.value_checks import is_model
from probe.errors import UserError

_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_FILE = re.compile(r"\.(txt|jsonl|json|csv|tsv|parquet)(\.gz)?$", re.IGNORECASE)


def options_of_paths(
    word: str, options: Mapping[str, Sequence[str]], multirun: bool
) -> tuple[str, dict[str, str]]:
    """Put options into the place of paths and repositories, and register them with Hydra.

    Parameters
    ----------
    word : str
        A word of the command line.
    options : mapping of str to sequence of str
        The options of every group, which are no paths.
    multirun : bool
        Whether commas separate the values of a sweep.

    Returns
    -------
    str
        The word that Hydra reads.
    dict of str to str
        Each word with a new option, and what was typed in its place.

    Raises
    ------
    UserError
        If a path does not exist.
    """
    group, equals, text = word.partition("=")
    if not equals or group not in _READ:
        return word, {}
    typed: dict[str, str] = {}
    values = []
    for value in split(text) if multirun else [text]:
        bare = _unquoted(value)
        option = not bare or bare in options.get(group, ())
        content = None if option else _READ[group](bare.replace("${", "\\${"))
        if content is not None:
            name = f"given_{hashlib.sha256(repr(content).encode()).hexdigest()[:12]}"
            _register(group, name, content)
            typed[f"{group}={name}"] = f"{group}={value}"
            value = name
        values.append(value)
    return f"{group}={','.join(values)}", typed


def _unquoted(text: str) -> str:
    override = parsed(f"a={text}")
    value = text if override is None else override.value()
    return str(getattr(value, "text", text)).strip()


def _register(group: str, name: str, content: dict[str, Any]) -> None:
    node = ConfigNode(f"{name}.yaml", OmegaConf.create(content), group, None, None)
    ConfigStore.instance().repo.setdefault(group, {})[f"{name}.yaml"] = node


def _model(text: str) -> dict[str, Any] | None:
    path = os.path.expanduser(text)  # noqa: PTH111 - a Path would drop the leading ./
    if is_model(Path(path)) or text.startswith(("/", "./", "../", "~")):
        return {"name": None, "path": path}
    if text.lower().endswith(".gguf"):
        raise UserError(f"model={text} does not exist; give a GGUF file on this machine")
    if _REPOSITORY.fullmatch(text):
        return {"name": None, "id": text}
    if "/" in text:
        raise UserError(
            f"model={text} is neither a folder with a config.json nor ORG/NAME; give a model's "
            "folder, e.g. model=./DIR, or its repository on the Hub"
        )
    return None


def _data(text: str) -> dict[str, Any] | None:
    path = os.path.expanduser(text)  # noqa: PTH111 - as above
    if Path(path).exists() or text.startswith(("/", "./", "../", "~")):
        return {"source": "text", "name": None, "path": path}
    if has_magic(text) and ("/" in text or _FILE.search(text)):
        return {"source": "text", "name": None, "path": path}
    if _FILE.search(text):
        raise UserError(f"data={text} does not exist; give a file, a folder or a pattern of files")
    if _REPOSITORY.fullmatch(text):
        raise UserError(
            f"data={text} does not exist; for a data set on the Hub write data=hub data.id={text}"
        )
    if "/" in text:
        raise UserError(f"data={text} does not exist; give a file, a folder or a pattern of files")
    return None


_READ = {"model": _model, "data": _data}
