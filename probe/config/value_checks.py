"""Checks of single values: strings, paths, numbers."""

import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import PurePath
from unicodedata import category

from probe.config.plain import leaves
from probe.config.schema import Config

# The largest integer that a double, and so every JSON reader, represents exactly.
LARGEST = 1 << 53
# Bytes of a file's name and of a path.
_NAME, _PATH = 255, 4096
# No machine has more GPUs, and every process needs its own memory.
_PROCESSES = 64
_LEAST = {
    "data.max_words": 1, "data.min_tokens": 2, "data.max_tokens": 2, "data.window": 2,
    "data.skip_first": 0, "data.seed": 0, "data.offset": 0, "data.limit": 1,
    "average.parts": 1, "average.example": 0,
    "init.seed": 0, "launch.num_processes": 1, "null.shifts": 0, "null.seed": 0,
    "measures.rewired": 0, "measures.hubs": 1, "measures.seed": 0,
    "runtime.token_budget": 1, "runtime.checkpoint_minutes": 0,
}  # fmt: skip
_PATHS = ("model.path", "data.path", "output")
# A column's name and a template may be any text; an empty template has its own message.
_ANY_TEXT = ("data.column", "data.template")


def text_mistakes(config: Config) -> Iterator[str]:
    """Find strings that are empty, not text or too long for a path, before the disk is searched."""
    texts = [
        (name, text)
        for name, value in leaves(asdict(config))
        for text in (value if isinstance(value, list) else [value])
        if isinstance(text, str)
    ]
    for name, value in texts:
        if not value.strip() and name not in _ANY_TEXT:
            yield f"{name} is empty; give it a value, or leave it out"
        refused = ("Cs",) if name in _ANY_TEXT else ("Cc", "Cs")
        if "\0" in value or any(category(sign) in refused for sign in value):
            yield f"{name}={value!r} contains a character that is not text; remove it"
        if name in _PATHS and _too_long(value):
            yield (
                f"{name} is too long: it has {len(os.fsencode(value))} bytes, and a path can have "
                f"{_PATH - 1}, a name in it {_NAME}"
            )


def number_mistakes(config: Config) -> Iterator[str]:
    """Find numbers that are out of range."""
    values = dict(leaves(asdict(config)))
    for name, least in _LEAST.items():
        value = values[name]
        if value is not None and not value >= least:
            yield f"{name}={value} is too small; give {least} or more"
        elif value is not None and value > LARGEST:
            yield f"{name}={value} is too large; give {LARGEST} or less"
    processes = config.launch.num_processes
    most = max(_PROCESSES, 4 * (os.cpu_count() or 1))
    if processes is not None and processes > most:
        yield (
            f"launch.num_processes={processes} is more than this machine can run ({most}); give "
            "one per GPU, or leave it out"
        )


def _too_long(path: str) -> bool:
    parts = (len(os.fsencode(part)) for part in PurePath(path).parts)
    return len(os.fsencode(path)) >= _PATH or any(size > _NAME for size in parts)
