"""Every YAML of conf/ as the words of a command line that composes it."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

import probe
from probe.cli import compose_job
from probe.config import CONF, Config

ASSETS = Path(probe.__file__).parent / "assets"
TINY = ASSETS / "tiny"
TEXT = ASSETS / "sample.jsonl"
OPTIONS = sorted(CONF.glob("*/*.yaml"))
# What an option cannot do without, in the words of a command line.
COMPANIONS = {
    "model/local": [f"model.path='{TINY}'"],
    "model/hub": ["model.id=org/name"],
    "data/text": [f"data.path='{TEXT}'"],
    "data/hub": ["data.id=org/name"],
    "data/table": [f"data.path='{TEXT}'", "data.template='{text}'"],
    "layers/single": ["layers.index=3"],
}


def option_name(file: Path) -> str:
    """Name an option as group/option."""
    return f"{file.parent.name}/{file.stem}"


def option_words(file: Path) -> list[str]:
    """Choose an option, and what it cannot do without."""
    return [f"{file.parent.name}={file.stem}", *COMPANIONS.get(option_name(file), [])]


# A composition takes a while, and most options are models: each other one is composed with one.
_MODELS, _OTHERS = (
    [file for file in OPTIONS if (file.parent.name == "model") is models]
    for models in (True, False)
)
TOGETHER = [*zip(_MODELS, _OTHERS, strict=False), *((one,) for one in _MODELS[len(_OTHERS) :])]


def words_together(file: Path) -> list[str]:
    """Choose an option and the one that it is composed with, and what they cannot do without."""
    [both] = (files for files in TOGETHER if file in files)
    return [word for one in both for word in option_words(one)]


@cache
def composed(*words: str) -> Config:
    """Compose from words, once; the result is for reading."""
    return compose_job(words)


def leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten a mapping to dotted keys."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        dotted = f"{prefix}{name}"
        found |= leaves(value, f"{dotted}.") if isinstance(value, dict) else {dotted: value}
    return found


def written(file: Path) -> dict[str, Any]:
    """Read what an option sets, by dotted key."""
    text = file.read_text(encoding="utf-8")
    content = yaml.safe_load(text) or {}
    content.pop("defaults", None)
    prefix = "" if "@package _global_" in text else f"{file.parent.name}."
    return leaves(content, prefix)
