"""Write the factors of every example, on every rank."""

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
    """Store the topology of every example in each chosen layer, as a factor; all ranks write.

    A factor is tokens × neurons numbers of two bytes each, whatever `n²` is; any process can read
    them with `open_factors`. Existing factors are reused. The index is written last, so that a
    folder has all factors or none. Several machines need a folder that all of them see.

    Parameters
    ----------
    config : Config
        Model, texts, `layers` and `site`; of `average`, only `average.example` is used.
    folder : path
        Folder for the factors.

    Raises
    ------
    UserError
        If the model or the texts cannot be loaded, the disk is too small, or the folder holds
        other factors.
    """
    place = Path(folder).resolve()
    documents = load_documents(config)
    identity: dict[str, Any] = {
        "computed": json.loads(json.dumps(computed(config))),
        "fingerprints": {
            "model": model_fingerprint(config.model, config.init),
            "data": fingerprint(documents),
        },
    }
    if (place / INDEX).exists():
        return _reuse(place, identity)
    place.mkdir(parents=True, exist_ok=True)
    remove_shards(place)
    request, examples = plan_extraction(config, documents, score=perplexities)
    payload = str(place).encode() + b"\0" + request.to_bytes()
    device = config.runtime.device
    result = run_ranks("probe.factors.write:write", payload, request.processes, device)
    records = _records(result["rows"], examples, documents)
    shards = sorted({record.shard for record in records})
    index = {
        "format": 1,
        "layers": request.layers,
        "n_neurons": int(result["n_neurons"]),
        **identity,
        "shards": {name: (place / name).stat().st_size for name in shards},
        "examples": [asdict(record) for record in records],
    }
    with atomic_write(place / INDEX) as unfinished:
        unfinished.write_text(json.dumps(index))
    return open_factors(place)


def _reuse(place: Path, identity: dict[str, Any]) -> FactorStore:
    store = open_factors(place)
    before = {"computed": store.computed, "fingerprints": store.fingerprints}
    changed = [
        name
        for part, values in identity.items()
        for name in values
        if before[part].get(name) != values[name]
    ]
    if changed:
        raise UserError(
            f"{place} has the factors of another configuration ({', '.join(changed)} differ); "
            "give another folder, or remove it"
        )
    logger.info("the factors in %s already exist", place)
    return store


def _records(
    rows: Tensor, examples: Examples, documents: Iterable[Document]
) -> list[StoredExample]:
    """Join each example's place in the shards with its document's labels."""
    names = {example.document for example in examples.chosen}
    by_name: dict[str, Document] = {}
    for document in documents:
        if document.name in names:
            by_name[document.name] = document
        if len(by_name) == len(names):
            break
    records = []
    for example, rank, shard, start, n_tokens in sorted(rows.tolist()):
        chosen = examples.chosen[example]
        document = by_name[chosen.document]
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
    """Download the model that `write` will load; called once per machine."""
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
        On rank 0 the `rows` of all ranks, see `ShardWriter`, and `n_neurons`.

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
    packed_layers: dict[int, Tensor] = {}

    def consume(batch: Batch, tensors: Tensors, layer: int, activations: Tensor) -> None:
        if activations.device.type == "mps":  # standardising needs float64
            activations = activations.cpu()
        packed_layers[layer], finite = pack(activations, tensors.keep.to(activations.device))
        for row in (~finite).nonzero()[:1].flatten().tolist():
            raise request.not_finite(batch.members[row], layer)

    for batch, tensors in loop.batches(consume):
        for row, member in enumerate(batch.members):
            keep = tensors.keep[row]
            series = {layer: x[row][keep.to(x.device)] for layer, x in packed_layers.items()}
            writer.add(member, tensors.tokens[row][keep], series)
        packed_layers.clear()
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
            f"the factors need {needed / 1e9:.3g} GB, but {place} has {free / 1e9:.3g} GB free; "
            "use fewer layers, a smaller data.limit, or another folder"
        )
