"""Parts of the work for the ranks as bytes, without pickle."""

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def pack(
    parts: Mapping[str, bytes], plain: Any, arrays: Mapping[str, NDArray[Any]] | None = None
) -> bytes:
    """Join parts, whatever JSON can hold, and arrays.

    Examples
    --------
    >>> packed = pack({"inner": b"abc"}, {"seed": 3}, {"x": np.arange(2)})
    >>> parts, plain, arrays = unpack(packed)
    >>> parts, plain, arrays["x"].tolist()
    ({'inner': b'abc'}, {'seed': 3}, [0, 1])
    """
    stream = io.BytesIO()
    texts = {**{f"part/{name}": part for name, part in parts.items()}, "plain": _json(plain)}
    named: dict[str, Any] = {
        name: np.frombuffer(text, dtype=np.uint8) for name, text in texts.items()
    }
    named |= {f"array/{name}": array for name, array in (arrays or {}).items()}
    np.savez(stream, **named)
    return stream.getvalue()


def unpack(packed: bytes) -> tuple[dict[str, bytes], Any, dict[str, NDArray[Any]]]:
    """Return what `pack` has joined."""
    parts: dict[str, bytes] = {}
    arrays: dict[str, NDArray[Any]] = {}
    with np.load(io.BytesIO(packed), allow_pickle=False) as file:
        for name in file.files:
            kind, _, rest = name.partition("/")
            if kind == "part":
                parts[rest] = file[name].tobytes()
            elif kind == "array":
                arrays[rest] = file[name]
        return parts, json.loads(file["plain"].tobytes()), arrays


def _json(plain: Any) -> bytes:
    return json.dumps(plain).encode()
