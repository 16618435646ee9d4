"""Short names of models and data sets, which also name folders."""

import os
from collections.abc import Iterator
from pathlib import Path
from unicodedata import category

from probe.config.schema import Config, DataConfig, ModelConfig

# Bytes; file systems allow 255 per folder name, which may combine two of these.
_MOST = 120


def model_name(model: ModelConfig) -> str:
    """Short name of the model; by default from its id or folder."""
    return model.name or Path(model.path or model.id or "model").resolve().name


def data_name(data: DataConfig) -> str:
    """Short name of the data set; by default from its file or id."""
    if data.path is not None:
        # Resolves `.` and `..`, but not links, which keep the name that was given.
        return data.name or Path(os.path.abspath(data.path)).stem  # noqa: PTH100
    return data.name or Path(data.id or data.source).name


def name_mistakes(config: Config) -> Iterator[str]:
    """Find names that cannot be folders; none may lead out of `output`."""
    names = {"model.name": model_name(config.model), "data.name": data_name(config.data)}
    if config.subject is not None:
        names["subject.name"] = config.subject.name
    for key, name in names.items():
        if not _fit(name):
            yield (
                f"{key}={name[:_MOST]!r} cannot name a folder; give one of at most {_MOST} bytes, "
                f"without slashes, control characters or a leading dot, e.g. {key}=mine"
            )


def _fit(name: str) -> bool:
    """Whether a name is a single path component that is not hidden, as the program's own are.

    Examples
    --------
    >>> [_fit(name) for name in ("qwen2.5", "..", "a/b", ".locks", "")]
    [True, False, False, False, False]
    """
    one_part = not any(sign in "/\\" for sign in name) and not name.startswith(".")
    text = not any(category(sign) in ("Cc", "Cs") for sign in name)
    return one_part and text and 0 < len(os.fsencode(name)) <= _MOST
