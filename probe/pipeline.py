"""One run from beginning to end. Read this first: it is the program's table of contents."""

import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from probe.config import Config, Sinks, check, to_plain
from probe.data import Document, fingerprint, load_documents
from probe.distributed import machine, n_ranks, run_ranks
from probe.errors import UserError
from probe.examples.batches import Together, padding_share, regrouped
from probe.examples.choose import Examples
from probe.examples.cut import cut_identity
from probe.examples.layers import layers_of
from probe.examples.plan import Views, plan_extraction
from probe.examples.request import Request
from probe.examples.sinks import with_sinks
from probe.extraction.build_topologies import build_topologies
from probe.extraction.checkpoints import find
from probe.extraction.extracted import Extracted
from probe.extraction.generation import continue_examples
from probe.extraction.hub_texts import describe_hubs
from probe.extraction.norm_report import tell_first, tell_outliers, with_words
from probe.extraction.perplexity import perplexities
from probe.measures import DEFINITION
from probe.models import model_fingerprint, template_fingerprint
from probe.runs.facts import Facts
from probe.runs.folder import CHECKPOINTS, RunFolder
from probe.runs.hubs_file import described_before
from probe.runs.load import load_topologies
from probe.runs.manifest import read_manifest
from probe.runs.measures_files import measures_definition
from probe.runs.results import show, write
from probe.sweep.one_pass import from_one_pass
from probe.topology import Topology

logger = logging.getLogger(__name__)


def run(config: Config, overrides: Sequence[str] = (), group: str | None = None) -> Path:
    """Extract the topologies of a configuration and write them, with all results, to a folder.

    Parameters
    ----------
    config : Config
        The run.
    overrides : sequence of str
        Its command line, stored with the results.
    group : str, optional
        The sweep it belongs to.

    Returns
    -------
    Path
        The run's folder.

    Raises
    ------
    UserError
        If the configuration cannot be run; finished results are left untouched.
    """
    check(config)
    folder = RunFolder(config)
    with folder.locked():
        documents, fingerprints = load(config)
        if folder.finished(fingerprints):
            _reuse(folder, overrides, group)
            return folder.path
        with folder.claimed(overrides) as work:
            read = partial(_read, texts=[documents], model=fingerprints["model"])
            del documents  # memory is for what is made of their tokens
            found = from_one_pass(config, fingerprints, layers_of, read) or read(config, work)
            topologies, facts = found
            _tell_norms(config, facts)
            known = {**fingerprints, **(facts.fingerprints or {})}
            facts = replace(facts, fingerprints=known)
            _tell_other_tokens(folder, known["tokens"])
            write(folder, topologies, facts, group)
    return folder.path


def _read(
    config: Config, run: Path, texts: list[Iterable[Document]], model: str
) -> tuple[list[Topology], Facts]:
    """Read the texts, which are taken out of the list, or loaded anew if they were before."""
    started = time.monotonic()
    documents = texts.pop() if texts else load_documents(config)
    planned = plan_extraction(config, documents, score=perplexities, generate=continue_examples)
    del documents
    topologies, facts = _extract(*planned, run, model, describe=True)
    return topologies, replace(facts, seconds=round(facts.seconds + time.monotonic() - started, 3))


def _tell_other_tokens(folder: RunFolder, tokens: str) -> None:
    """Warn if the run that is replaced read other tokens, e.g. of a template with the date."""
    before = tokens
    with suppress(UserError):  # there is none, or it is damaged and replaced for that
        before = read_manifest(folder.path).get("fingerprints", {}).get("tokens", tokens)
    if before != tokens:
        logger.warning(
            "the tokens are not those of the run that is replaced (%s then, %s now): the tokenizer "
            "or its chat template gives others for the same texts", before, tokens,
        )  # fmt: skip


def _reuse(folder: RunFolder, overrides: Sequence[str], group: str | None) -> None:
    """Show a finished run and draw what figures it lacks; redo its measures if theirs changed."""
    manifest = read_manifest(folder.path, "config")
    older = measures_definition(manifest) < DEFINITION
    if not older and manifest["config"].get("measures") == to_plain(folder.config)["measures"]:
        logger.info("%s is already finished; overwrite=true runs it again", folder.path)
        show(folder)
        return
    why = ", as communities and rewired graphs are defined otherwise now" if older else ""
    logger.info("%s is already finished; its measures and figures are redone%s", folder.path, why)
    hubs = described_before(folder.path)
    with folder.claimed(overrides):
        facts = replace(Facts.from_manifest(manifest), hubs=hubs)
        write(folder, load_topologies(folder.path), facts, group)


def load(config: Config) -> tuple[Iterable[Document], dict[str, str]]:
    """Load the texts; return them with the fingerprints of weights, texts and how these are cut."""
    documents = load_documents(config)
    template = template_fingerprint(config.model)
    return documents, {
        "model": model_fingerprint(config.model, config.init),
        "data": fingerprint(documents),
        **({} if template is None else {"chat template": template}),
        **cut_identity(config, documents),
    }


def extract_topologies(
    config: Config,
    documents: Iterable[Document],
    views: Views | None = None,
    run: Path | None = None,
    model: str | None = None,
) -> tuple[list[Topology], Facts]:
    """Run the extraction on every rank; return the topologies and the facts about them.

    The facts count the sessions, and the seconds that earlier sessions took.

    Parameters
    ----------
    config : Config
        The run.
    documents : iterable of Document
        The raw texts.
    views : callable, optional
        Chooses the matrices; see `probe.examples.plan`.
    run : Path, optional
        Folder for checkpoints, and for matrices that do not fit in memory. The caller removes the
        checkpoints when the topologies are written.
    model : str, optional
        Fingerprint of the model, if it is known.
    """
    planned = plan_extraction(
        config, documents, views, score=perplexities, generate=continue_examples
    )
    topologies, facts = _extract(*planned, run, model)
    _tell_norms(config, facts)
    return topologies, facts


def _extract(
    request: Request,
    examples: Examples,
    run: Path | None,
    model: str | None,
    describe: bool = False,
) -> tuple[list[Topology], Facts]:
    config, request = request.config, replace(request, describe=describe)
    if run is not None:
        model = model or model_fingerprint(config.model, config.init)
        request = replace(request, checkpoints=find(run / CHECKPOINTS, request, model))
    launch, device = request.processes, config.runtime.device
    tensors = run_ranks("probe.extraction.loop:extract", request.to_bytes(), launch, device)
    device_name, threads = machine(device)
    extracted, earlier = Extracted.from_tensors(tensors), request.checkpoints
    assert extracted.sinks is not None
    decided = Sinks(extracted.sinks["decided"])
    norms = extracted.first_token_norm
    together = Together(extracted.checks["batches"]) if extracted.checks else Together.like
    batches = regrouped(request.batches, config.runtime.token_budget, together)
    facts = Facts(
        ranks=n_ranks(launch, device),
        device=device_name,
        threads=threads,
        examples=extracted.examples,
        tokens=extracted.tokens,
        layers=request.layers,
        skipped=examples.skipped,
        padding=round(padding_share(batches), 4),
        out_of_memory=extracted.out_of_memory,
        sessions=1 if earlier is None else earlier.sessions + 1,
        seconds=0.0 if earlier is None else earlier.seconds,
        first_token_norm=None if norms is None else [round(norm, 4) for norm in norms.tolist()],
        token_norms=with_words(extracted.norms, config.model) if extracted.norms else None,
        checks=extracted.checks,
        sinks=extracted.sinks,
        fingerprints={"tokens": examples.fingerprint()},
    )
    request = replace(request, matrices=with_sinks(request.matrices, decided))
    topologies = build_topologies(request, extracted, run)
    if describe:
        facts = replace(facts, hubs=describe_hubs(request, extracted, topologies))
    return topologies, facts


def _tell_norms(config: Config, facts: Facts) -> None:
    """Say what the tokens' norms are in these layers, of all that a pass may have read."""
    if facts.first_token_norm is not None:
        assert facts.sinks is not None
        tell_first(config, facts.layers, facts.first_token_norm, Sinks(facts.sinks["decided"]))
    if facts.token_norms is not None:
        tell_outliers(facts.token_norms)
