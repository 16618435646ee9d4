"""Find the series of every example, or have all ranks write them: what the leading process does."""

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from probe.config import (
    AverageConfig,
    Coefficient,
    Config,
    LayersConfig,
    NullConfig,
    Selection,
    series_folder,
)
from probe.config.run_name import computed
from probe.data import Document, fingerprint
from probe.distributed import run_ranks
from probe.errors import UserError, nearest
from probe.examples.cut import cut_identity
from probe.examples.explicit import texts_of
from probe.examples.plan import plan_extraction
from probe.examples.request import Request
from probe.extraction.generation import continue_examples
from probe.extraction.perplexity import perplexities
from probe.models import model_fingerprint
from probe.series.index import write_index
from probe.series.shards import find_shards, remove_others
from probe.series.store import SeriesStore, open_series
from probe.series.stored import FORM, INDEX, STORED, folder_of_series, hash_of
from probe.system.files import report_full_disk
from probe.system.locks import one_process
from probe.system.logs import plural

logger = logging.getLogger(__name__)
# Stores that this process has read or found: `overwrite=true` reads each once.
_seen: set[Path] = set()


def series(
    config: Config,
    folder: str | os.PathLike[str] | None = None,
    dtype: str = "float32",
    standardised: bool = False,
    mean: bool = False,
    texts: Sequence[Document] | None = None,
) -> SeriesStore:
    """Read every example on all ranks and keep its activations, or find what was kept before.

    The index is written last, so that a store is finished or is none. After an interruption the
    same call goes on from the shards that are whole. Several machines need a folder that all of
    them see.

    Parameters
    ----------
    config : Config
        Model, texts, `layers` and `site`; of `average`, only `average.example` is used. With
        `overwrite`, a store under `output` that was there before this process is read again.
    folder : path, optional
        Folder of the store, by default one under `output`, named by what is read, where any study
        of the same finds it.
    dtype : {"float32", "float16", "bfloat16"}
        Type on disk.
    standardised : bool
        Whether each neuron's series over an example is centred and scaled to a mean square of 1;
        in float16 the error of r is then below 3e-4 over 64 to 512 tokens.
    mean : bool
        Whether only each neuron's mean over the tokens of an example that count is kept, a row per
        example, summed in float64; no token is written.
    texts : sequence of Document, optional
        Read in place of the configuration's, all of them in their order.

    Raises
    ------
    UserError
        If the model or the texts cannot be loaded, the disk is too small, an activation is not
        finite, or the folder holds anything else.
    """
    if dtype not in STORED:
        raise UserError(
            f"dtype={dtype!r} is not one of {', '.join(STORED)}{nearest(str(dtype), STORED)}"
        )
    if mean and standardised:
        raise UserError(
            "the mean of a standardised series is 0; leave out one of mean and standardised"
        )
    if standardised and config.average.correlation is Coefficient.spearman:
        raise UserError(
            "standardised series are those of Pearson's r, and average.correlation=spearman ranks "
            "them; leave standardised out, and rank each text with Factor.of(…, 'spearman')"
        )
    # Other averages would form other batches, and other batches round differently.
    config = replace(
        config, average=AverageConfig(example=config.average.example), null=NullConfig()
    )
    config, documents = texts_of(config, texts)
    request, examples = plan_extraction(
        config, documents, score=perplexities, generate=continue_examples, told=texts is not None
    )
    # The same layers are the same series, however they were asked for.
    config = replace(config, layers=LayersConfig(Selection.single, request.layers))
    identity: dict[str, Any] = {
        "computed": json.loads(json.dumps(computed(config))),
        "fingerprints": {
            "model": model_fingerprint(config.model, config.init),
            "data": fingerprint(documents),
            **cut_identity(config, documents),
        },
        "dtype": dtype,
        "standardised": standardised,
        "mean": mean,
    }
    of = hash_of(**identity)
    kind = f"{'standardised-' * standardised}{'mean-' * mean}{dtype}"
    own = None if texts is None else identity["fingerprints"]["data"]
    place = folder_of_series(series_folder(config, kind, own) if folder is None else folder)

    def wait() -> None:
        logger.info("another process is reading the same series; waiting for it")

    with one_process(config.output, f"series-{of[:16]}", wait), report_full_disk(place):
        if config.overwrite and folder is None and place not in _seen:
            (place / INDEX).unlink(missing_ok=True)
            remove_others(place, ())
        _seen.add(place)
        if (place / INDEX).is_file():
            store = _reuse(place, identity, own=folder is None)
            if store is not None:
                return store
        elif folder is not None:
            _refuse_others(place, of)
        place.mkdir(parents=True, exist_ok=True)
        _read(place, of, request, {name: identity[name] for name in FORM})
        write_index(place, of, request, examples, documents, identity)
    return open_series(place)


def _refuse_others(place: Path, of: str) -> None:
    """Keep out of a folder in which there is more than what an interrupted writing has left."""
    if place.exists() and not place.is_dir():
        raise UserError(f"series are kept in a folder, and {place} is a file; give another place")
    shards = find_shards(place, of)
    others = sorted(file.name for file in place.glob("[!.]*") if file not in shards)
    if others:
        raise UserError(
            f"{place} has files that are not of these series, such as {others[0]}; give a folder "
            "of its own"
        )


def _reuse(place: Path, identity: dict[str, Any], own: bool) -> SeriesStore | None:
    """Return the store in a folder; None if one under `output` was outdated or damaged."""
    try:
        store = open_series(place)
    except UserError as error:
        if not own:
            raise
        logger.warning("%s", error)
        (place / INDEX).unlink()
        return None
    before = {
        "computed": store.computed, "fingerprints": store.fingerprints,
        "store": {name: getattr(store, name) for name in FORM},
    }  # fmt: skip
    now = identity | {"store": {name: identity[name] for name in before["store"]}}
    changed = [
        name
        for part, values in before.items()
        for name in now[part].keys() | values.keys()
        if values.get(name) != now[part].get(name)
    ]
    if not changed:
        logger.info("the series of %s are read from %s", plural(len(store), "example"), place)
        return store
    differ = ", ".join(sorted(changed))
    if not own:
        raise UserError(
            f"{place} has other series ({differ} differ); give another folder, or remove it"
        )
    logger.info("%s has outdated series (%s differ), which are replaced", place, differ)
    (place / INDEX).unlink()
    return None


def _read(place: Path, of: str, request: Request, form: dict[str, Any]) -> None:
    """Read the examples that no earlier session has read."""
    shards = find_shards(place, of)
    remove_others(place, shards)
    kept = {row[0] for rows in shards.values() for row in rows}
    left = [batch for batch in request.batches if not kept.issuperset(batch.members)]
    if not left:
        return
    if kept:
        logger.info(
            "%d of %s were read before and are not read again",
            len(kept), plural(request.n_examples, "example"),
        )  # fmt: skip
    order = {"folder": str(place), "of": of, **form}
    payload = json.dumps(order).encode() + b"\0" + replace(request, batches=left).to_bytes()
    device = request.config.runtime.device
    run_ranks("probe.series.write:write", payload, request.processes, device)
