"""The index of a store: what its shards hold, written last."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from probe.config import Config
from probe.data import Document, named
from probe.examples.choose import Examples
from probe.examples.counting import mask
from probe.examples.example import counted
from probe.examples.request import Request
from probe.series.shards import find_shards, widths_of
from probe.series.stored import INDEX, StoredExample
from probe.system.files import atomic_write


def write_index(
    place: Path,
    of: str,
    request: Request,
    examples: Examples,
    documents: Iterable[Document],
    identity: dict[str, Any],
) -> None:
    """Write the index of a store whose shards are finished, see `probe.series.find`."""
    shards = find_shards(place, of)
    index = {
        "format": 1,
        "widths": widths_of(next(iter(shards)), request.layers),
        **identity,
        "shards": {file.name: file.stat().st_size for file in shards},
        "examples": [asdict(one) for one in _records(shards, examples, documents, request.config)],
        "order": [member for batch in request.batches for member in batch.members],
    }
    with atomic_write(place / INDEX) as unfinished:
        unfinished.write_text(json.dumps(index), encoding="utf-8")


def _records(
    shards: dict[Path, list[tuple[int, int, int]]],
    examples: Examples,
    documents: Iterable[Document],
    config: Config,
) -> list[StoredExample]:
    """Join each example's place in the shards with its document's labels and parts."""
    by_name = named(documents, {example.document for example in examples.chosen})
    rows = [(*row, file.name) for file, members in shards.items() for row in members]
    records = []
    for example, start, n_tokens, shard in sorted(rows):
        chosen = examples.chosen[example]
        document = by_name[chosen.document]
        span = counted(chosen.span(config.data.part), config.data.skip_first)
        # How many tokens count before each, and before the end.
        before = [0, *mask(chosen.ids, span, examples.dropped).cumsum().tolist()]
        records.append(
            StoredExample(
                example=example,
                document=chosen.document,
                group=chosen.group,
                n_tokens=n_tokens,
                shard=shard,
                start=start,
                subject=document.subject,
                answer=document.answer,
                labels=dict(document.labels),
                spans={
                    name: (before[start], before[stop])
                    for name, (start, stop) in chosen.spans.items()
                    if before[start] < before[stop]
                },
            )
        )
    return records
