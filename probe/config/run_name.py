"""Names: of a run, by what it computes, never when; of its model and data set."""

import hashlib
import json
import os
from collections.abc import Collection, Iterator
from dataclasses import asdict, fields, is_dataclass
from glob import has_magic
from itertools import takewhile
from pathlib import Path
from typing import Any
from unicodedata import category

from probe.config.choices import Coefficient, InitKind, Matmul, Scheme, Selection, Site, Weight
from probe.config.data import DataConfig
from probe.config.model import ModelConfig
from probe.config.schema import AverageConfig, Config

# Begins the id of a model that comes with the program.
BUNDLED = "bundled/"
# Selections whose matrices join the neurons of several layers.
JOINT = (Selection.cross, Selection.full)
# More do not fit into a folder's name; the hash distinguishes them.
_MANY_LAYERS = 24
# Bytes; file systems allow 255 per folder name, which may combine two of these.
_MOST = 120


def average_name(average: AverageConfig) -> str:
    """Short name of the averaging scheme, e.g. `fisher-3parts`."""
    usual = Weight.token if average.scheme is Scheme.pooled else Weight.example
    return "-".join(
        [
            average.scheme.value,
            *([average.correlation.value] if average.correlation is Coefficient.spearman else []),
            *([f"{average.weight.value}s"] if average.weight is not usual else []),
            *([f"{average.parts}parts"] if average.parts > 1 else []),
            *([f"example{average.example}"] if average.example is not None else []),
        ]
    )


def layers_name(config: Config) -> str:
    """Short name of the layers, e.g. `layer12`, `cross3-7`, `layer0to79` or `each-mlp`."""
    name = config.layers.selection.value
    name = "layer" if name == "single" else name
    numbers = layer_numbers(config)
    if len(numbers) > _MANY_LAYERS:
        name += f"{min(numbers)}to{max(numbers)}"
    else:
        name += "-".join(str(number) for number in numbers)
    return name if config.site is Site.residual else f"{name}-{config.site.value}"


def layer_numbers(config: Config) -> list[int]:
    """Return the layers selected by number; none if the selection needs no numbers."""
    index = config.layers.index
    if index is None or config.layers.selection not in (Selection.single, *JOINT):
        return []
    return list(index) if isinstance(index, list) else [index]


def computed(config: Config) -> dict[str, Any]:
    """Return the part of the configuration that the matrices depend on."""
    model, data, average = (asdict(part) for part in (config.model, config.data, config.average))
    del model["device_map"], model["pickle"]  # place and file format change no result
    for part, of in ((model, config.model), (data, config.data), (average, config.average)):
        for one in fields(of):
            if one.metadata["younger"] and part[one.name] == one.default:
                del part[one.name]
    for part in (model, data):
        if part["path"] is not None:
            part["path"] = str(Path(part["path"]).resolve())
    data |= {"drop_tokens": config.data.dropped}  # in one order, however they are written
    if not config.data.dropped:
        del data["drop_tokens"]
    random, matmul = config.init.kind is InitKind.random, config.runtime.matmul
    return {
        "model": model,
        "data": data,
        "subject": asdict(config.subject) if config.subject else None,
        "layers": {"selection": config.layers.selection, "index": layer_numbers(config)},
        "average": average,
        "init": asdict(config.init) if random else {"kind": InitKind.pretrained},
        "null": asdict(config.null) if config.null.shifts else None,
        "site": config.site,
        "token_budget": config.runtime.token_budget,
        **({"matmul": matmul} if matmul is not Matmul.fp32 else {}),
    }


def study_folder(config: Config, name: str, idle: Collection[str] = ()) -> Path:
    """Return `<output>/<study>/<model>/<data>[-<subject>]-<8 hex>`.

    The hash includes the study's own settings. What the study does not read (`idle`) is not named.
    """
    place = zip(("model", "data"), _subject(config).parts, strict=True)
    read = [part for group, part in place if group not in idle]
    return Path(config.output, name, *read[:-1], "-".join([*read[-1:], _study_hash(config)]))


def old_study_folder(config: Config, name: str) -> Path:
    """Return `<output>/<study>/<8 hex>`, where studies were before they were named as runs are."""
    return Path(config.output) / name / _study_hash(config)


def _study_hash(config: Config) -> str:
    return _hash(computed(config) | {"study": _settings(getattr(config, "study", None))})


def _settings(settings: Any) -> Any:
    """Return a study's settings under their first names, without younger keys at their defaults."""
    if not is_dataclass(settings):
        return settings
    return {
        one.metadata.get("was") or one.name: value
        for one in fields(settings)
        if (value := getattr(settings, one.name)) != one.default or not one.metadata.get("younger")
    }


def series_folder(config: Config, kind: str, texts: str | None = None) -> Path:
    """Return `<output>/series/<model>/<data>[-<subject>]/<layers>[-random]-<kind>-<8 hex>`.

    Texts other than those of the configuration are named by their fingerprint.
    """
    of = computed(config) | {"kind": kind} | ({} if texts is None else {"texts": texts})
    leaf = [layers_name(config), *_random(config), kind, _hash(of)]
    return Path(config.output) / "series" / _subject(config) / "-".join(leaf)


def run_folder(config: Config) -> Path:
    """Return `<output>/<model>/<data>[-<subject>]/<layers>-<average>[-random]-<8 hex>`."""
    leaf = [layers_name(config), average_name(config.average), *_random(config)]
    return Path(config.output) / _subject(config) / "-".join([*leaf, _hash(computed(config))])


def _subject(config: Config) -> Path:
    """Return `<model>/<data>[-<subject>]`."""
    data = data_name(config.data)
    if config.subject is not None and config.subject.name != "all":
        data += f"-{config.subject.name}"
    return Path(model_name(config.model)) / data


def _random(config: Config) -> list[str]:
    return ["random"] if config.init.kind is InitKind.random else []


def model_name(model: ModelConfig) -> str:
    """Short name of the model; by default from its id or folder."""
    name = Path(model.path or model.id or "model").resolve().name
    return model.name or name.removesuffix(".gguf")


def data_name(data: DataConfig) -> str:
    """Short name of the data set; by default from its file, its folder or its id.

    Examples
    --------
    >>> [data_name(DataConfig("text", path=path)) for path in ("a/mine.jsonl.gz", "a/b/*.txt")]
    ['mine', 'b']
    """
    if data.name or data.path is None:
        return data.name or Path(data.id or data.source).name
    # Resolves `.` and `..`, but not links, which keep the name that was given.
    path = Path(os.path.abspath(data.path))  # noqa: PTH100
    if has_magic(data.path) and not path.exists():
        path = Path(*takewhile(lambda part: not has_magic(part), path.parts))
    return Path(path.stem).stem if path.suffix.lower() == ".gz" else path.stem


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


def _hash(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
