"""Memory by texts of 184 tokens: bytes for each more token, in whole runs and before the model.

The peak of a run is that of its worst batch, and glibc's allocator makes like batches take tens of
megabytes more or fewer: the more batches, the larger the worst, however little is held beside. So
whole runs are also measured with every large tensor returned to the system when it is freed, which
leaves what the texts take (and costs CPU time, so it is no setting for users). Runs are of one
layer, as texts are held once for all layers, and side by side, as only memory is measured.
"""

import os
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from benchmarks.commands import measured, probe, save_texts
from benchmarks.report import Report, save
from benchmarks.timing import describe

# Words of a text of 184 tokens under the bundled tokenizer.
_SHORT = 55
# Without it glibc takes tensors of up to 32 MB from a heap, which falls to pieces.
_AT_ONCE = {"MALLOC_MMAP_THRESHOLD_": "65536"}
# Tokens and peak memory in bytes.
_Measured = dict[str, int]


def run(sizes: Sequence[int], rounds: int, simulated: int) -> None:
    """Measure numbers of texts, the smallest first, each some rounds; the results' medians count.

    A size beyond the second takes fewer rounds, at least one: over so many tokens noise is little.
    With the usual allocator only the first two are measured, for its noise.
    """
    repeats = {size: max(1, min(rounds, rounds * sizes[1] // size)) for size in sizes}
    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(os.cpu_count()) as pool:
        for size in sizes:
            save_texts(size, _SHORT, Path(place, f"{size}.jsonl"))
        started = {
            what: {size: _start(pool, measure, Path(place, f"{size}.jsonl"), n)
                   for size, n in repeats.items() if measure is not _whole or size in sizes[:2]}
            for what, measure in _KINDS.items()
        }  # fmt: skip
        found = {
            what: {size: [one.result() for one in of_size] for size, of_size in by_size.items()}
            for what, by_size in started.items()
        }
    layout = measured("benchmarks.layout", str(simulated))
    save(
        Report(
            name="texts-cpu",
            title="Memory by texts",
            facts=describe(torch.device("cpu")) | {"layers": "one", "rounds": rounds},
            columns=["what", "texts", "tokens", "peak MB", "of all rounds", "bytes a token",
                     "noise ±"],
            rows=[row for what, one in found.items() for row in rows(what, one)],
            notes=[
                "Bytes a token are of the tokens beyond those of the row above, between medians; "
                "noise is half the ranges of both rows, over the same tokens (none is known of a "
                "single run).",
                _stream(layout),
            ],
            raw=found | {"simulated": layout},
        )
    )  # fmt: skip


def _start(
    pool: Executor, measure: Callable[[Path, int], _Measured], file: Path, rounds: int
) -> list[Future[_Measured]]:
    return [pool.submit(measure, file, number) for number in range(rounds)]


def _words(file: Path, kind: str, number: int) -> list[str]:
    return [
        "data=text", f"data.path={file}", "layers=0", "runtime.device=cpu",
        "measures.rewired=0", "figures=none", f"output={file.with_suffix('')}-{kind}{number}",
    ]  # fmt: skip


def _planned(file: Path, number: int) -> _Measured:
    found = measured("benchmarks.layout", *_words(file, "planned", number))
    return {"memory": found["memory"], "tokens": found["tokens"]}


def _whole(file: Path, number: int) -> _Measured:
    return run_once(_words(file, "usual", number), {})


def _whole_at_once(file: Path, number: int) -> _Measured:
    return run_once(_words(file, "at-once", number), _AT_ONCE)


def run_once(words: Sequence[str], environment: Mapping[str, str]) -> _Measured:
    """Run the program; return its tokens and its peak memory."""
    usage, _, manifest = probe(*words, environment=environment)
    return {"memory": usage.peak, "tokens": manifest["tokens"]}


_KINDS: Mapping[str, Callable[[Path, int], _Measured]] = {
    "whole runs, memory returned at once": _whole_at_once,
    "whole runs": _whole,
    "all before the model": _planned,
}


def rows(what: str, by_size: Mapping[int, Sequence[_Measured]]) -> list[list[str]]:
    """Return a row for every number of texts, with its growth over the row before."""
    made: list[list[str]] = []
    before: tuple[int, float, int] | None = None
    for size, found in by_size.items():
        tokens, memory = found[0]["tokens"], [one["memory"] for one in found]
        now = tokens, statistics.median(memory), max(memory) - min(memory)
        grown = noise = ends = ""
        if before is not None:
            grown = f"{(now[1] - before[1]) / (tokens - before[0]):.1f}"
        if len(found) > 1:
            ends = f"{min(memory) / 1e6:.1f} to {max(memory) / 1e6:.1f}"
            if before is not None:
                noise = f"{(now[2] + before[2]) / 2 / (tokens - before[0]):.1f}"
        made.append([what, str(size), str(tokens), f"{now[1] / 1e6:.1f}", ends, grown, noise])
        before = now
    return made


def _stream(layout: Mapping[str, Any]) -> str:
    per_token = layout["memory"] / layout["tokens"]
    return (
        f"A simulated stream of {layout['tokens']} tokens in {layout['texts']} texts took "
        f"{layout['memory'] / 1e6:.0f} MB of memory ({per_token:.1f} bytes a token), "
        f"{layout['file'] / 1e6:.0f} MB of disk and {layout['request'] / 1e6:.1f} MB for "
        f"the request to the ranks, until a share of {layout['tokens of a share']} tokens "
        f"was read; so a billion tokens take {per_token:.1f} GB of memory and "
        f"{layout['file'] / layout['tokens']:.1f} GB of disk."
    )
