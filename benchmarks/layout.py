"""Memory and disk of the texts alone, before any model: a simulated stream, its batches and shares.

python -m benchmarks.layout 10_000_000    # tokens; prints what was measured as JSON
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from probe.config import Config, DataConfig, Side
from probe.data.document import Document, Stream
from probe.examples.batches import form_batches
from probe.examples.choose import choose_examples
from probe.examples.partition import partition
from probe.examples.request import Request
from probe.examples.share import deal

# Tokens of a text, and ranks that share them.
TOKENS, RANKS, VOCABULARY = 184, 8, 50_000


class Simulated:
    """A tokenizer that gives every text random ids, of much the same number."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def __call__(self, texts: Sequence[str], **_: Any) -> dict[str, list[list[int]]]:
        """Return ids of each text, at most a third more or fewer than usual."""
        lengths = self.rng.integers(2 * TOKENS // 3, 4 * TOKENS // 3, len(texts), endpoint=True)
        return {"input_ids": [self.rng.integers(VOCABULARY, size=n).tolist() for n in lengths]}


def lay_out(tokens: int, output: Path) -> dict[str, Any]:
    """Choose texts, form batches, pack the request, and read the share of one rank."""
    number = tokens // TOKENS

    def read() -> Iterator[Document | str]:
        return (Document(f"stream/{n}", "simulated") for n in range(number))

    # A few texts first: what imports and the tokenizer take is not the texts'.
    config = Config(data=DataConfig("hub", streaming=True), output=str(output))
    _prepare(config, Stream(lambda: (Document(str(n), "first") for n in range(9)), "first"))
    before, started = _resident(), time.perf_counter()
    request = _prepare(config, Stream(read, "simulated"))
    packed = request.to_bytes()
    again = Request.from_bytes(packed)
    share = deal(again.batches, RANKS)[0]
    read_tokens = sum(
        int(batch.tensors(0, Side.right, 0).attended.sum()) for batch in share
    )  # fmt: skip
    files = sum(file.stat().st_size for file in (output / ".tokens").glob("*.int32"))
    total = sum(len(ids) for batch in request.batches for ids in batch.ids)
    return {
        "texts": request.n_examples, "tokens": total, "seconds": time.perf_counter() - started,
        "memory": _peak() - before, "file": files, "request": len(packed),
        "batches": len(request.batches), "tokens of a share": read_tokens,
    }  # fmt: skip


def _prepare(config: Config, documents: Stream) -> Request:
    examples = choose_examples(documents, Simulated(), config, 1024)
    cells, matrices = partition({"all_layers": [0]}, examples.chosen)
    batches = form_batches(examples.chosen, config.runtime.token_budget, cells)
    names = [example.document for example in examples.chosen]
    return Request(config, [0], batches, names, "layout", matrices)


def _status(name: str) -> int:
    """Return a figure of Linux's /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024


def _resident() -> int:
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        print(json.dumps(lay_out(int(sys.argv[1]), Path(place))))  # noqa: T201
