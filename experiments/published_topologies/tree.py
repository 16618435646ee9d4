"""Build the tree pass by pass; passes completed earlier are kept."""

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
    """Build every file of the tree, and return the facts of each pass.

    Raises
    ------
    UserError
        If a setting cannot work, or model or texts cannot be loaded.
    """
    check(config)
    todo = passes(config)
    facts = {}
    for number, one in enumerate(todo, start=1):
        label = f"pass {number} of {len(todo)}, {one.name}"
        record = folder / "passes" / f"{one.name}.json"
        # The pretrained weights also select the texts of the random ones.
        sources = fingerprints(replace(one.config, init=config.init))
        before = _read_record(record, one, sources, folder)
        logger.info("%s: done before" if before else "%s", label)
        facts[one.name] = before or _extract(one, sources, folder, record)
    return {"passes": facts}


def _extract(one: Pass, sources: dict[str, str], folder: Path, record: Path) -> dict[str, Any]:
    """Write the files of a pass and then its record, which says that they are complete."""
    record.unlink(missing_ok=True)  # of other texts, if any
    unfinished = record.with_suffix(".unfinished")
    topologies, facts = extract_views(one.config, views=one.views, folder=unfinished)
    files = {}
    for topology in topologies:
        with atomic_write(folder / topology.name) as part, part.open("wb") as stream:
            np.save(stream, topology.matrix, allow_pickle=False)
        files[topology.name] = {
            name: getattr(topology, name) for name in ("layers", "scheme", "examples", "undefined")
        }
    content = {key: getattr(facts, key) for key in ("examples", "tokens", "skipped", "ranks")}
    content |= {"fingerprints": sources, "files": files}
    with atomic_write(record) as part:
        part.write_text(json.dumps(content, indent=1) + "\n")
    shutil.rmtree(unfinished, ignore_errors=True)
    return content


def _read_record(
    record: Path, one: Pass, sources: dict[str, str], folder: Path
) -> dict[str, Any] | None:
    """Return the record of a completed pass, if it had the same model, texts and files."""
    if not record.is_file():
        return None
    before: dict[str, Any] = json.loads(record.read_text())
    complete = one.paths == before["files"].keys() and all(
        (folder / path).is_file() for path in one.paths
    )
    return before if complete and before["fingerprints"] == sources else None
