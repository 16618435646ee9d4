"""Short names of models and data sets, which name folders, too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from unicodedata import category

from probe.config.schema import Config, DataConfig, ModelConfig

# Bytes; file systems take 255 for a folder's name, which can be made of two of these.
_MOST = 120


def model_name(model: ModelConfig) -> str:
    """Short name of the model, from its id or folder where the configuration gives none."""
    return model.name or Path(model.path or model.id or "model").resolve().name


def data_name(data: DataConfig) -> str:
    """Short name of the data set, from its file or id where the configuration gives none."""
    if data.path is not None:
        # `.` and `..` have a name, too; links keep the name that was given.
        return data.name or Path(os.path.abspath(data.path)).stem  # noqa: PTH100
    return data.name or Path(data.id or data.source).name


def name_mistakes(config: Config) -> Iterator[str]:
    """Word what is wrong with names that become folders: none may lead out of `output`."""
    names = {"model.name": model_name(config.model), "data.name": data_name(config.data)}
    if config.subject is not None:
        names["subject.name"] = config.subject.name
    for key, name in names.items():
        if not _fit(name):
            yield (
                f"{key}={name[:_MOST]!r} cannot name a folder; give one of at most {_MOST} bytes, "
                f"without slashes, control characters or a dot in front, e.g. {key}=mine"
            )


def _fit(name: str) -> bool:
    """Whether a name is one part of a path, and not one of the program's own.

    Examples
    --------
    >>> [_fit(name) for name in ("qwen2.5", "..", "a/b", ".locks", "")]
    [True, False, False, False, False]
    """
    one_part = not any(sign in "/\\" for sign in name) and not name.startswith(".")
    text = not any(category(sign) in ("Cc", "Cs") for sign in name)
    return one_part and text and 0 < len(os.fsencode(name)) <= _MOST
