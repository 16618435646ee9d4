"""Which checkpoints of earlier sessions to add, and whether they are of the same extraction."""

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from probe.config import leaves
from probe.config.run_name import computed
from probe.errors import UserError
from probe.examples.request import Checkpoints, Request
from probe.extraction.checked import CHECKS, SINKS, as_checked
from probe.extraction.checkpoints.file import SUFFIX, DamagedError, Header, check

logger = logging.getLogger(__name__)
# What the first session has found of itself, and later ones take over.
_FOUND = {CHECKS, SINKS}


def find(folder: Path, request: Request, model: str) -> Checkpoints:
    """Check all checkpoints in a folder, and choose those to add.

    Parameters
    ----------
    folder : Path
        Folder of the checkpoints.
    request : Request
        The extraction to resume.
    model : str
        Fingerprint of its model.

    Returns
    -------
    Checkpoints
        Files without a batch in common, and what they contain together.

    Raises
    ------
    UserError
        If there are sums of another configuration, model, text or matrix, or the folder cannot be
        created.
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
    ignored = []
    # By their names, as a file may be unreadable: no session number may be used twice.
    names = [re.match(r"session(\d+)-", file.name) for file in files]
    sessions = [int(name[1]) for name in names if name is not None]
    for file in files:
        try:
            checked[file.name] = check(file)
        except DamagedError as error:
            ignored.append(f"{file} is ignored: {error}")
    for header, _ in checked.values():
        _refuse_others(folder, header.of, now)
    of = [{name: h.of[name] for name in _FOUND if name in h.of} for h, _ in checked.values()]
    if any(one != of[0] for one in of):
        raise UserError(
            f"{folder} holds sums of sessions that checked the model with different results; start "
            "afresh with overwrite=true, or move the folder to keep it"
        )
    found: dict[str, Any] = of[0] if of else {}
    chosen, overlapping = _choose({name: header for name, (header, _) in checked.items()})
    ignored += [f"{folder / name} is ignored: others have batches of it" for name in overlapping]
    checkpoints = Checkpoints(
        folder=str(folder.resolve()),
        of=now | found,
        files={name: checked[name][1] for name in chosen},
        old=[file.name for file in files],
        batches=sorted(number for name in chosen for number in checked[name][0].batches),
        sessions=max(sessions, default=0),
        seconds=max((header.seconds for header, _ in checked.values()), default=0.0),
    )
    _log(checkpoints, as_checked(request, found.get(CHECKS)), ignored)
    return checkpoints


def identity(request: Request, model: str) -> dict[str, Any]:
    """Return what the sums of an extraction depend on."""
    digest = hashlib.sha256()
    for batch in request.batches:
        digest.update(np.array([batch.cell, *batch.members], dtype=np.int64).tobytes())
        for span in batch.spans or ():
            digest.update(np.array(span, dtype=np.int64).tobytes())
        for ids in batch.ids:
            digest.update(np.array([len(ids), *ids], dtype=np.int64).tobytes())
    specs = [vars(matrix) for matrix in request.matrices]
    matrices = hashlib.sha256(json.dumps(specs, sort_keys=True).encode())
    plain: dict[str, Any] = json.loads(json.dumps(dict(leaves(computed(request.config)))))
    return {**plain, "the model": model, "the batches' texts": digest.hexdigest(),
            "the matrices": matrices.hexdigest()}  # fmt: skip


def _refuse_others(folder: Path, then: dict[str, Any], now: dict[str, Any]) -> None:
    for name in {**now, **then}.keys() - _FOUND:
        if then.get(name) != now.get(name):
            raise UserError(
                f"{folder} holds sums of another run: {name} was {then.get(name)} then and is "
                f"{now.get(name)} now; start afresh with overwrite=true, or move the folder to "
                "keep it"
            )


def _choose(headers: Mapping[str, Header]) -> tuple[list[str], list[str]]:
    """Return files without a batch in common, the fullest first, and those that overlap with them.

    Files all of whose batches are in the chosen ones are neither: rank 0's file contains them.
    """
    chosen, overlapping, covered = [], [], set[int]()
    for name in sorted(headers, key=lambda name: (-len(headers[name].batches), name)):
        batches = headers[name].batches
        if covered.isdisjoint(batches):
            chosen.append(name)
            covered.update(batches)
        elif not covered.issuperset(batches):
            overlapping.append(name)
    return chosen, overlapping


def _log(checkpoints: Checkpoints, request: Request, ignored: list[str]) -> None:
    done = sum(len(request.batches[number].members) for number in checkpoints.batches)
    for file in ignored:
        logger.warning(
            "%s; %d of %d examples are still to be done",
            file, request.n_examples - done, request.n_examples,
        )  # fmt: skip
    if checkpoints.files:
        logger.info("resuming: %d of %d examples are already done", done, request.n_examples)
