"""One run from beginning to end. Read this first: it is the table of contents of the program."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from probe.assemble import assemble
from probe.batches import padding_share
from probe.checkpoints import find
from probe.config import Config, check, to_plain
from probe.data import Document, fingerprint, load_documents
from probe.distributed import machine, n_ranks, run_ranks
from probe.models import model_fingerprint
from probe.prepare import Views, prepare
from probe.request import Request
from probe.results import show, write
from probe.run_folder import CHECKPOINTS, RunFolder
from probe.sinks import LARGE
from probe.topology import Topology, load_topologies

logger = logging.getLogger(__name__)
# What a manifest says of an extraction, and not of its measures.
_FACTS = (
    "ranks", "examples", "tokens", "layers", "first_token_norm", "seconds", "sessions", "skipped",
    "out_of_memory", "fingerprints", "padding", "device", "threads",
)  # fmt: skip


def run(config: Config, overrides: Sequence[str] = (), group: str | None = None) -> Path:
    """Extract the topologies of a configuration and leave them, with all about them, in a folder.

    Parameters
    ----------
    config : Config
        What to do.
    overrides : sequence of str
        The command line it came from, kept with the results.
    group : str, optional
        The sweep it belongs to.

    Returns
    -------
    Path
        The run's folder.

    Raises
    ------
    UserError
        If the configuration cannot be done; no finished result is touched.
    """
    check(config)
    folder = RunFolder(config)
    with folder.locked():
        documents, fingerprints = load(config)
        if folder.finished(fingerprints):
            _find_again(folder, overrides, group)
            return folder.path
        with folder.claimed(overrides) as work:
            started = time.monotonic()
            model = fingerprints["model"]
            topologies, facts = extract_topologies(config, documents, run=work, model=model)
            facts["seconds"] = round(facts["seconds"] + time.monotonic() - started, 3)
            facts["fingerprints"] = fingerprints
            write(folder, topologies, facts, group)
    return folder.path


def _find_again(folder: RunFolder, overrides: Sequence[str], group: str | None) -> None:
    """Show a finished run; measures and figures are redone where their options have changed."""
    before = folder.manifest()
    if before["config"].get("measures") == to_plain(folder.config)["measures"]:
        logger.info("%s is finished already; overwrite=true does it again", folder.path)
        show(folder.path)
        return
    logger.info("%s is finished already; its measures and figures are done again", folder.path)
    facts = {key: before[key] for key in _FACTS if key in before}
    with folder.claimed(overrides):
        write(folder, load_topologies(folder.path), facts, group)


def load(config: Config) -> tuple[Iterable[Document], dict[str, str]]:
    """Load the texts, and say which weights and which texts a run is made of."""
    documents = load_documents(config)
    return documents, {
        "model": model_fingerprint(config.model, config.init),
        "data": fingerprint(documents),
    }


def extract_topologies(
    config: Config,
    documents: Iterable[Document],
    views: Views | None = None,
    run: Path | None = None,
    model: str | None = None,
) -> tuple[list[Topology], dict[str, Any]]:
    """Run the extraction on every rank; return the topologies and what is known of them.

    Among that are the number of sessions, and the seconds that those before this one took.

    Parameters
    ----------
    config : Config
        The run.
    documents : iterable of Document
        Its raw texts.
    views : callable, optional
        Says which matrices to make, see `prepare`.
    run : Path, optional
        Folder for checkpoints, and for what would be too large to be held in memory. The caller
        removes the checkpoints when the topologies are written.
    model : str, optional
        Fingerprint of the model, where it is known.
    """
    request, examples = prepare(config, documents, views)
    if run is not None:
        model = model or model_fingerprint(config.model, config.init)
        request = replace(request, kept=find(run / CHECKPOINTS, request, model))
    launch, device = request.processes, config.runtime.device
    result = run_ranks("probe.extract:extract", request.to_bytes(), launch, device)
    facts: dict[str, Any] = {
        "ranks": n_ranks(launch, device),
        **machine(device),
        "examples": int(result["examples"]),
        "tokens": int(result["tokens"]),
        "layers": request.layers,
        "skipped": examples.skipped,
        "padding": round(padding_share(request.batches), 4),
        "out_of_memory": int(result["out_of_memory"]),
        "sessions": 1 if request.kept is None else request.kept.sessions + 1,
        "seconds": 0.0 if request.kept is None else request.kept.seconds,
    }
    if "first_token" in result:
        facts["first_token_norm"] = [round(float(ratio), 4) for ratio in result["first_token"]]
        _tell_of_sinks(request, facts["first_token_norm"])
    return assemble(request, result, run), facts


def _tell_of_sinks(request: Request, ratios: list[float]) -> None:
    large = [layer for layer, ratio in zip(request.layers, ratios, strict=True) if ratio > LARGE]
    skip = request.config.data.skip_first
    span = " to ".join(f"{ratio:.2f}" for ratio in sorted({min(ratios), max(ratios)}))
    logger.info("the first token counted has %s times the median norm", span)
    if large:
        logger.warning(
            "the first token counted is up to %.0f times as long as the median one (layers %s): it "
            "rules those correlations; data.skip_first=%d leaves it out",
            max(ratios), ", ".join(map(str, large)), skip + 1,
        )  # fmt: skip
