"""Write the factors of every example, on every rank."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from probe.config import Config
from probe.config.run_name import computed
from probe.data import Document, fingerprint, load_documents
from probe.distributed import Ranks, run_ranks
from probe.errors import UserError
from probe.examples.batches import Batch, Tensors
from probe.examples.choose import Examples
from probe.examples.plan import plan_extraction
from probe.examples.request import Request
from probe.extraction.loop import Loop
from probe.extraction.loop import fetch as fetch_request
from probe.extraction.perplexity import perplexities
from probe.factors.shards import ShardWriter, remove_shards, shard_name
from probe.factors.store import INDEX, STORED, FactorStore, StoredExample, open_factors, pack
from probe.models import model_fingerprint
from probe.system.files import atomic_write

logger = logging.getLogger(__name__)


def write_factors(config: Config, folder: str | os.PathLike[str]) -> FactorStore:
    """Read every example on every rank and keep its factor in each chosen layer.

    What is there already is found again. The index is written last, so that a folder has all
    factors or none. With several machines the folder must be one that all of them see.

    Parameters
    ----------
    config : Config
        Model, texts, `layers` and `site`; `average` has no meaning here, but for
        `average.example`.
    folder : path
        Where the factors go.

    Raises
    ------
    UserError
        If model or texts cannot be had, the disk is too small, or the folder has other factors.
    """
    place = Path(folder).resolve()
    documents = load_documents(config)
    made_of: dict[str, Any] = {
        "computed": json.loads(json.dumps(computed(config))),
        "fingerprints": {
            "model": model_fingerprint(config.model, config.init),
            "data": fingerprint(documents),
        },
    }
    if (place / INDEX).exists():
        return _find_again(place, made_of)
    place.mkdir(parents=True, exist_ok=True)
    remove_shards(place)
    request, examples = plan_extraction(config, documents, score=perplexities)
    payload = str(place).encode() + b"\0" + request.to_bytes()
    device = config.runtime.device
    found = run_ranks("probe.factors.write:write", payload, request.processes, device)
    records = _records(found["rows"], examples, documents)
    shards = sorted({record.shard for record in records})
    index = {
        "format": 1,
        "layers": request.layers,
        "n_neurons": int(found["n_neurons"]),
        **made_of,
        "shards": {name: (place / name).stat().st_size for name in shards},
        "examples": [asdict(record) for record in records],
    }
    with atomic_write(place / INDEX) as unfinished:
        unfinished.write_text(json.dumps(index))
    return open_factors(place)


def _find_again(place: Path, made_of: dict[str, Any]) -> FactorStore:
    store = open_factors(place)
    before = {"computed": store.computed, "fingerprints": store.fingerprints}
    changed = [
        name
        for part, values in made_of.items()
        for name in values
        if before[part].get(name) != values[name]
    ]
    if changed:
        raise UserError(
            f"{place} has the factors of another configuration ({', '.join(changed)} differ); "
            "give another folder, or remove it"
        )
    logger.info("the factors in %s are there already", place)
    return store


def _records(
    rows: Tensor, examples: Examples, documents: Iterable[Document]
) -> list[StoredExample]:
    """Join where each example lies with what is known of its document."""
    wanted = {example.document for example in examples.chosen}
    known: dict[str, Document] = {}
    for document in documents:
        if document.name in wanted:
            known[document.name] = document
        if len(known) == len(wanted):
            break
    records = []
    for example, rank, shard, start, n_tokens in sorted(rows.tolist()):
        chosen = examples.chosen[example]
        document = known[chosen.document]
        records.append(
            StoredExample(
                example=example,
                document=chosen.document,
                group=chosen.group,
                n_tokens=n_tokens,
                shard=shard_name(rank, shard),
                start=start,
                subject=document.subject,
                answer=document.answer,
                labels=dict(document.labels),
            )
        )
    return records


def fetch(payload: bytes) -> None:
    """Fetch the model that `write` is going to load; called once on every machine."""
    fetch_request(payload.partition(b"\0")[2])


def write(payload: bytes, ranks: Ranks) -> dict[str, Tensor]:
    """Write this rank's share of the factors.

    Parameters
    ----------
    payload : bytes
        The folder, a zero byte and a packed `Request`.
    ranks : Ranks
        This process among the ranks.

    Returns
    -------
    dict of str to Tensor
        On rank 0 `rows`, see `ShardWriter`, of all ranks, and `n_neurons`.

    Raises
    ------
    UserError
        If the model cannot be loaded, an activation is not finite, or the disk is too small.
    """
    folder, _, packed = payload.partition(b"\0")
    request, place = Request.from_bytes(packed), Path(folder.decode())
    loop = Loop(request, ranks)
    widths = [x.shape[-1] for x in loop.reader.one_token().values()]
    if ranks.main:
        _refuse_disk(request, sum(widths), place)
    writer = ShardWriter(place, ranks.index)
    held: dict[int, Tensor] = {}

    def hold(batch: Batch, tensors: Tensors, layer: int, activations: Tensor) -> None:
        if activations.device.type == "mps":  # has no float64, which standardising needs
            activations = activations.cpu()
        held[layer], finite = pack(activations, tensors.keep.to(activations.device))
        for row in (~finite).nonzero()[:1].flatten().tolist():
            raise request.not_finite(batch.members[row], layer)

    for batch, tensors in loop.batches(hold):
        for row, member in enumerate(batch.members):
            keep = tensors.keep[row]
            series = {layer: x[row][keep.to(x.device)] for layer, x in held.items()}
            writer.add(member, tensors.tokens[row][keep], series)
        held.clear()
    writer.flush()
    rows = {"rows": torch.tensor(writer.rows, dtype=torch.long).view(-1, 5)}
    every = [rows, *ranks.collect(rows)]
    return {"rows": torch.cat([one["rows"] for one in every]), "n_neurons": torch.tensor(widths[0])}


def _refuse_disk(request: Request, neurons: int, place: Path) -> None:
    skipped = request.config.data.skip_first
    tokens = sum(len(ids) - skipped for batch in request.batches for ids in batch.ids)
    needed, free = tokens * neurons * STORED.itemsize, shutil.disk_usage(place).free
    logger.info(
        "factors of %d examples in %d layer%s: %.3g GB in %s",
        request.n_examples, len(request.layers), "s" if len(request.layers) > 1 else "",
        needed / 1e9, place,
    )  # fmt: skip
    if needed > free:
        raise UserError(
            f"the factors take {needed / 1e9:.3g} GB and {place} has {free / 1e9:.3g} GB free; "
            "take fewer layers, a smaller data.limit, or another folder"
        )
