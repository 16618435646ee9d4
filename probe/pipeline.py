"""One run from beginning to end. Read this first: it is the table of contents of the program."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from probe.config import Config, check, to_plain
from probe.data import Document, fingerprint, load_documents
from probe.distributed import machine, n_ranks, run_ranks
from probe.examples.batches import padding_share
from probe.examples.plan import Views, plan_extraction
from probe.examples.request import Request
from probe.extraction.checkpoints import find
from probe.extraction.extracted import Extracted
from probe.extraction.first_token import LARGE
from probe.extraction.perplexity import perplexities
from probe.extraction.topologies import build_topologies
from probe.models import model_fingerprint
from probe.runs.facts import Facts
from probe.runs.folder import CHECKPOINTS, RunFolder
from probe.runs.load import load_topologies
from probe.runs.results import show, write
from probe.topology import Topology

logger = logging.getLogger(__name__)


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
            seconds = round(facts.seconds + time.monotonic() - started, 3)
            facts = replace(facts, seconds=seconds, fingerprints=fingerprints)
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
    with folder.claimed(overrides):
        write(folder, load_topologies(folder.path), Facts.from_manifest(before), group)


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
) -> tuple[list[Topology], Facts]:
    """Run the extraction on every rank; return the topologies and what is known of them.

    Among that are the number of sessions, and the seconds that those before this one took.

    Parameters
    ----------
    config : Config
        The run.
    documents : iterable of Document
        Its raw texts.
    views : callable, optional
        Says which matrices to make, see `plan`.
    run : Path, optional
        Folder for checkpoints, and for what would be too large to be held in memory. The caller
        removes the checkpoints when the topologies are written.
    model : str, optional
        Fingerprint of the model, where it is known.
    """
    request, examples = plan_extraction(config, documents, views, score=perplexities)
    if run is not None:
        model = model or model_fingerprint(config.model, config.init)
        request = replace(request, checkpoints=find(run / CHECKPOINTS, request, model))
    launch, device = request.processes, config.runtime.device
    tensors = run_ranks("probe.extraction.loop:extract", request.to_bytes(), launch, device)
    device_name, threads = machine(device)
    extracted, before = Extracted.from_tensors(tensors), request.checkpoints
    norms = extracted.first_token_norm
    facts = Facts(
        ranks=n_ranks(launch, device),
        device=device_name,
        threads=threads,
        examples=extracted.examples,
        tokens=extracted.tokens,
        layers=request.layers,
        skipped=examples.skipped,
        padding=round(padding_share(request.batches), 4),
        out_of_memory=extracted.out_of_memory,
        sessions=1 if before is None else before.sessions + 1,
        seconds=0.0 if before is None else before.seconds,
        first_token_norm=None if norms is None else [round(norm, 4) for norm in norms.tolist()],
    )
    if facts.first_token_norm is not None:
        _tell_of_sinks(request, facts.first_token_norm)
    return build_topologies(request, extracted, run), facts


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
