"""What earlier sessions of an extraction have left: which files to add, and what they are of."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from probe.config.run_name import computed
from probe.errors import UserError
from probe.examples.request import Checkpoints, Request
from probe.extraction.checkpoints.file import SUFFIX, DamagedError, Header, check

logger = logging.getLogger(__name__)


def find(folder: Path, request: Request, model: str) -> Checkpoints:
    """Look at all checkpoints in a folder, and choose those that are to be added.

    Parameters
    ----------
    folder : Path
        Where they are, and others will be.
    request : Request
        The extraction that is to go on.
    model : str
        Fingerprint of its model.

    Returns
    -------
    Checkpoints
        Files no two of which have a batch in common, and what they contain together.

    Raises
    ------
    UserError
        If there are sums of another configuration, model, text or matrix, or the folder cannot be
        made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror}); give another folder with output="
        ) from None
    now = identity(request, model)
    files = sorted(folder.glob(f"*{SUFFIX}"))
    checked: dict[str, tuple[Header, str]] = {}
    lost = []
    # By their names, which even those have that cannot be read: none may come a second time.
    named = [re.match(r"session(\d+)-", file.name) for file in files]
    sessions = [int(name[1]) for name in named if name is not None]
    for file in files:
        try:
            checked[file.name] = check(file)
        except DamagedError as error:
            lost.append(f"{file} is left out: {error}")
    for header, _ in checked.values():
        _refuse_others(folder, header.of, now)
    chosen, overlapping = _choose({name: header for name, (header, _) in checked.items()})
    lost += [f"{folder / name} is left out: others have batches of it" for name in overlapping]
    kept = Checkpoints(
        folder=str(folder.resolve()),
        of=now,
        files={name: checked[name][1] for name in chosen},
        old=[file.name for file in files],
        batches=sorted(number for name in chosen for number in checked[name][0].batches),
        sessions=max(sessions, default=0),
        seconds=max((header.seconds for header, _ in checked.values()), default=0.0),
    )
    _tell(kept, request, lost)
    return kept


def identity(request: Request, model: str) -> dict[str, Any]:
    """Say what the sums of an extraction depend on."""
    digest = hashlib.sha256()
    for batch in request.batches:
        digest.update(np.array([batch.cell, *batch.members], dtype=np.int64).tobytes())
        for ids in batch.ids:
            digest.update(np.array([len(ids), *ids], dtype=np.int64).tobytes())
    specs = [vars(matrix) for matrix in request.matrices]
    matrices = hashlib.sha256(json.dumps(specs, sort_keys=True).encode())
    leaves = dict(_leaves(computed(request.config)))
    plain: dict[str, Any] = json.loads(json.dumps(leaves))
    return {**plain, "the model": model, "the batches' texts": digest.hexdigest(),
            "the matrices": matrices.hexdigest()}  # fmt: skip


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _refuse_others(folder: Path, then: dict[str, Any], now: dict[str, Any]) -> None:
    for name in {**now, **then}:
        if then.get(name) != now.get(name):
            raise UserError(
                f"{folder} holds sums of another run: {name} was {then.get(name)} then and is "
                f"{now.get(name)} now; start afresh with overwrite=true, or move the folder to "
                "keep it"
            )


def _choose(headers: Mapping[str, Header]) -> tuple[list[str], list[str]]:
    """Return files without a batch in common, the fullest first, and those that are in their way.

    Files all of whose batches are in the chosen ones are neither: rank 0's has taken them up.
    """
    chosen, others, taken = [], [], set[int]()
    for name in sorted(headers, key=lambda name: (-len(headers[name].batches), name)):
        batches = headers[name].batches
        if taken.isdisjoint(batches):
            chosen.append(name)
            taken.update(batches)
        elif not taken.issuperset(batches):
            others.append(name)
    return chosen, others


def _tell(kept: Checkpoints, request: Request, lost: list[str]) -> None:
    there = sum(len(request.batches[number].members) for number in kept.batches)
    for file in lost:
        logger.warning(
            "%s; %d of %d examples are still to be done",
            file, request.n_examples - there, request.n_examples,
        )  # fmt: skip
    if kept.files:
        logger.info(
            "%d of %d examples are there from before; the run goes on", there, request.n_examples
        )
