"""Checks of single values: strings, paths, processes, which tokens count."""

import os
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path, PurePath
from unicodedata import category

from probe.config.bounds import LARGEST
from probe.config.choices import Cut
from probe.config.data import GENERATED, PROMPT, ROLES
from probe.config.plain import leaves
from probe.config.schema import Config

# Bytes of a file's name and of a path.
_NAME, _PATH = 255, 4096
# No machine has more GPUs, and every process needs its own memory.
_PROCESSES = 64
# Names of torch's kinds of devices that run a model, and the number of one of them.
_DEVICE = re.compile(r"auto|cpu|(cuda|mps|xpu|hpu|npu|mlu|musa)(:\d+)?")
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


def is_model(path: Path) -> bool:
    """Whether a path is a model: a folder with its configuration or an adapter's, or a GGUF file.

    Examples
    --------
    >>> is_model(Path("no/such/folder"))
    False
    """
    if path.suffix.lower() == ".gguf":
        return path.is_file()
    return any((path / name).is_file() for name in ("config.json", "adapter_config.json"))


def process_mistakes(config: Config) -> Iterator[str]:
    """Refuse more processes than a machine can run, and devices that no machine has."""
    device = config.runtime.device
    if not _DEVICE.fullmatch(device):
        yield f"runtime.device={device} is not a device; use auto, cpu or cuda"
    processes = config.launch.num_processes
    most = max(_PROCESSES, 4 * (os.cpu_count() or 1))
    if processes is not None and processes > most:
        yield (
            f"launch.num_processes={processes} is more than this machine can run ({most}); give "
            "one per GPU, or leave it out"
        )


def counting_mistakes(config: Config) -> Iterator[str]:
    """Find parts that are not known of the texts, and tokens that are none."""
    data = config.data
    written = data.part == GENERATED or (data.part == PROMPT and data.generate > 0)
    if data.part is not None and not written and data.cut is not Cut.whole:
        yield (
            f"data.part={data.part} is known of whole texts, and data.cut={data.cut} cuts them; "
            "give data.cut=whole, or leave data.part out"
        )
    if data.part in ROLES and not config.model.chat:
        yield (
            f"data.part={data.part} is a turn of a chat template, which model.chat=false does not "
            "use; give model.chat=true, or data.part=question or answer"
        )
    given = data.drop_tokens if isinstance(data.drop_tokens, list) else [data.drop_tokens]
    for one in given if data.drop_tokens is not None else []:
        token = type(one) is int and 0 <= one <= LARGEST
        if not token and one not in ("special", "punctuation"):
            yield (
                f"data.drop_tokens={data.drop_tokens} must be special, punctuation, the id of a "
                "token, or a list of these, e.g. data.drop_tokens=[special,13]"
            )
            return


def _too_long(path: str) -> bool:
    parts = (len(os.fsencode(part)) for part in PurePath(path).parts)
    return len(os.fsencode(path)) >= _PATH or any(size > _NAME for size in parts)
