"""Build the tree, pass by pass; what is whole from an earlier try is kept."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments.published_topologies.passes import Pass, passes
from experiments.published_topologies.settings import PublishedTopologiesConfig, check
from probe.api import atomic_write, extract_views, fingerprints

logger = logging.getLogger(__name__)


def build(config: PublishedTopologiesConfig, folder: Path) -> dict[str, Any]:
    """Make every file of the tree, and return what is known of each pass.

    Raises
    ------
    UserError
        If a setting cannot work, or model or texts cannot be had.
    """
    check(config)
    todo = passes(config)
    facts = {}
    for number, one in enumerate(todo, start=1):
        where = f"pass {number} of {len(todo)}, {one.name}"
        record = folder / "passes" / f"{one.name}.json"
        # The pretrained weights choose the texts of the random ones, too.
        made_of = fingerprints(replace(one.config, init=config.init))
        before = _earlier(record, one, made_of, folder)
        logger.info("%s: done before" if before else "%s", where)
        facts[one.name] = before or _extract(one, made_of, folder, record)
    return {"passes": facts}


def _extract(one: Pass, made_of: dict[str, str], folder: Path, record: Path) -> dict[str, Any]:
    """Write the files of a pass, then its record: where that is, the files are its own."""
    record.unlink(missing_ok=True)  # of other texts, if there is one
    unfinished = record.with_suffix(".unfinished")
    topologies, facts = extract_views(one.config, one.views, unfinished)
    files = {}
    for topology in topologies:
        with atomic_write(folder / topology.name) as part, part.open("wb") as stream:
            np.save(stream, topology.matrix, allow_pickle=False)
        files[topology.name] = {
            name: getattr(topology, name) for name in ("layers", "scheme", "examples", "undefined")
        }
    known = {key: getattr(facts, key) for key in ("examples", "tokens", "skipped", "ranks")}
    known |= {"fingerprints": made_of, "files": files}
    with atomic_write(record) as part:
        part.write_text(json.dumps(known, indent=1) + "\n")
    shutil.rmtree(unfinished, ignore_errors=True)
    return known


def _earlier(
    record: Path, one: Pass, made_of: dict[str, str], folder: Path
) -> dict[str, Any] | None:
    """Return what an earlier try noted of a pass, if it was of the same model, texts and files."""
    if not record.is_file():
        return None
    before: dict[str, Any] = json.loads(record.read_text())
    whole = one.paths == before["files"].keys() and all((folder / p).is_file() for p in one.paths)
    return before if whole and before["fingerprints"] == made_of else None
