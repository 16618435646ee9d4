"""Memory and disk of the texts alone, before any model: batches and shares, of a run or simulated.

python -m benchmarks.layout 10_000_000              # tokens of a simulated stream
python -m benchmarks.layout data=text data.path=…   # the texts of a run

Prints what was measured as JSON. Linux only, as it reads /proc/self/status.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from probe import api
from probe.config import Config, DataConfig, Side
from probe.data.document import Document, Stream
from probe.examples.batches import form_batches
from probe.examples.choose import choose_examples
from probe.examples.partition import partition
from probe.examples.plan import plan_extraction
from probe.examples.request import Request
from probe.examples.share import deal
from probe.extraction.checkpoints.find import identity
from probe.extraction.perplexity import perplexities
from probe.pipeline import load

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
    before, started = _status("VmRSS"), time.perf_counter()
    request = _prepare(config, Stream(read, "simulated"))
    found = _shared(request)
    files = sum(file.stat().st_size for file in (output / ".tokens").glob("*.int32"))
    seconds = time.perf_counter() - started
    return found | {"seconds": seconds, "memory": _status("VmHWM") - before, "file": files}


def plan(words: Sequence[str]) -> dict[str, Any]:
    """Do for a run's own texts all that comes before the model, as the run does."""
    config = api.compose(*words)
    documents, _ = load(config)
    request, examples = plan_extraction(config, documents, score=perplexities)
    del documents
    examples.fingerprint()
    identity(request, "model")
    return _shared(request) | {"memory": _status("VmHWM")}


def _shared(request: Request) -> dict[str, Any]:
    """Hand the request to ranks, and read one's share."""
    packed = request.to_bytes()
    share = deal(Request.from_bytes(packed).batches, RANKS)[0]
    attended = [batch.tensors(0, Side.right, 0).attended for batch in share]
    return {
        "texts": request.n_examples,
        "tokens": sum(len(ids) for batch in request.batches for ids in batch.ids),
        "request": len(packed), "batches": len(request.batches),
        "tokens of a share": sum(int(mask.sum()) for mask in attended),
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


if __name__ == "__main__":
    if sys.argv[1].replace("_", "").isdigit():
        with tempfile.TemporaryDirectory() as place:
            measured = lay_out(int(sys.argv[1]), Path(place))
    else:
        measured = plan(sys.argv[1:])
    sys.stdout.write(f"{json.dumps(measured)}\n")
