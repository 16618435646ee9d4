"""Short names of models and data sets, which name folders, too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from probe.config.schema import Config, DataConfig, ModelConfig

_MOST = 100  # letters; file systems take 255 bytes for all that is in a folder's name


def model_name(model: ModelConfig) -> str:
    """Short name of the model, from its id or folder where the configuration gives none."""
    return model.name or Path(model.path or model.id or "model").resolve().name


def data_name(data: DataConfig) -> str:
    """Short name of the data set, from its file or id where the configuration gives none."""
    if data.path is not None:
        return data.name or Path(data.path).stem
    return data.name or Path(data.id or data.source).name


def name_mistakes(config: Config) -> Iterator[str]:
    """Word what is wrong with names that become folders: none may lead out of `output`."""
    names = {"model.name": model_name(config.model), "data.name": data_name(config.data)}
    if config.subject is not None:
        names["subject.name"] = config.subject.name
    for key, name in names.items():
        if not _fit(name):
            yield (
                f"{key}={name[:_MOST]!r} cannot name a folder; give {key}= up to {_MOST} letters, "
                "without slashes or a dot in front"
            )


def _fit(name: str) -> bool:
    """Whether a name is one part of a path, and not one of the program's own.

    Examples
    --------
    >>> [_fit(name) for name in ("qwen2.5", "..", "a/b", ".locks", "")]
    [True, False, False, False, False]
    """
    slashes = "/" in name or "\\" in name
    return (
        name.isprintable() and not slashes and not name.startswith(".") and 0 < len(name) <= _MOST
    )
