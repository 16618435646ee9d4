"""One run from beginning to end. Read this first: it is the table of contents of the program."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from probe.batches import Examples, choose_examples, form_batches
from probe.config import Config, Selection, check, data_name, layer_numbers, model_name
from probe.data import fingerprint, load_documents
from probe.distributed import n_ranks, run_ranks
from probe.errors import UserError
from probe.models import load_config, load_tokenizer, model_fingerprint
from probe.request import Request
from probe.results import show, write
from probe.run_folder import RunFolder
from probe.sinks import LARGE
from probe.topology import Topology, load_topologies

logger = logging.getLogger(__name__)
# Correlations over fewer tokens than this are mostly noise.
_FEW_TOKENS = 64
_MOST = 1 << 62  # tokens of a model without a limit


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
        documents = load_documents(config)
        fingerprints = {
            "model": model_fingerprint(config.model, config.init),
            "data": fingerprint(documents),
        }
        if folder.finished(fingerprints):
            logger.info("%s is finished already; overwrite=true does it again", folder.path)
            show(load_topologies(folder.path))
            return folder.path
        with folder.claimed(overrides):
            started = time.monotonic()
            request, examples = prepare(config, documents)
            topologies, facts = extract_topologies(request)
            facts |= {
                "seconds": round(time.monotonic() - started, 3),
                "skipped": examples.skipped,
                "fingerprints": fingerprints,
            }
            write(folder, topologies, facts, group)
    return folder.path


def prepare(config: Config, documents: Sequence[Any]) -> tuple[Request, Examples]:
    """Choose examples and layers, and form the batches."""
    text = load_config(config.model).get_text_config()
    layers = resolve_layers(config, text.num_hidden_layers)
    tokenizer = load_tokenizer(config.model)
    # RoBERTa has two positions more than tokens that it can read; its tokenizer knows.
    positions = getattr(text, "max_position_embeddings", None) or _MOST
    context = min(positions, tokenizer.model_max_length)
    examples = choose_examples(documents, tokenizer, config, context)
    tokens = [len(example.ids) for example in examples.chosen]
    logger.info(
        "%s on %s: %d examples of %d to %d tokens (%d in all)%s",
        model_name(config.model), data_name(config.data), len(tokens), min(tokens), max(tokens),
        sum(tokens), "".join(f", {n} left out: {why}" for why, n in examples.skipped.items()),
    )  # fmt: skip
    if np.median(tokens) < _FEW_TOKENS:
        logger.warning(
            "half of the examples have fewer than %d tokens: over 60 tokens unrelated neurons "
            "have a mean |r| of 0.10", _FEW_TOKENS,
        )  # fmt: skip
    batches = form_batches(examples.chosen, config.runtime.token_budget, config.average.parts)
    names = [example.document for example in examples.chosen]
    return Request(config, layers, batches, names, run=str(time.monotonic_ns())), examples


def resolve_layers(config: Config, n_layers: int) -> list[int]:
    """Turn the selection into layer numbers, from 0.

    Raises
    ------
    UserError
        If a layer is not in the model.
    """
    selection = config.layers.selection
    if selection is Selection.middle:
        return [n_layers // 2]
    if selection is not Selection.single:
        return list(range(n_layers))
    for layer in layer_numbers(config):
        if layer >= n_layers:
            raise UserError(
                f"layer {layer} is not in {model_name(config.model)}, whose layers are 0 to "
                f"{n_layers - 1}; the nearest is {n_layers - 1}"
            )
    return sorted(layer_numbers(config))


def extract_topologies(request: Request) -> tuple[list[Topology], dict[str, Any]]:
    """Run the extraction on every rank; return the topologies and what is known of them."""
    config = request.config
    launch, device = config.launch.num_processes, config.runtime.device
    result = run_ranks("probe.extract:extract", request.to_bytes(), launch, device)
    facts: dict[str, Any] = {
        "ranks": n_ranks(launch, device),
        "examples": int(result["examples"]),
        "tokens": int(result["tokens"]),
        "layers": request.layers,
    }
    if "first_token" in result:
        facts["first_token_norm"] = [round(float(ratio), 4) for ratio in result["first_token"]]
        _tell_of_sinks(request, facts["first_token_norm"])
    members = [0] * config.average.parts
    for batch in request.batches:
        members[batch.part] += len(batch.members)
    topologies = [
        _topology(request, result, name, part, members[part])
        for name in request.groups
        for part in range(config.average.parts)
    ]
    return topologies, facts


def _topology(
    request: Request, result: dict[str, Tensor], group: str, part: int, examples: int
) -> Topology:
    config, parts = request.config, request.config.average.parts
    error = result.get(f"{group}/{part}/standard_error")
    return Topology(
        matrix=result[f"{group}/{part}/matrix"].cpu().numpy().astype(np.float32),
        name=f"{group}_part{part + 1}" if parts > 1 else group,
        layers=tuple(request.groups[group]),
        scheme=config.average.scheme.value,
        weight=config.average.weight.value,
        part=part + 1,
        parts=parts,
        examples=examples,
        undefined=tuple(result[f"{group}/{part}/undefined"].nonzero().flatten().tolist()),
        site=config.site.value,
        model=model_name(config.model),
        data=data_name(config.data),
        subject=config.subject.name if config.subject else None,
        init=config.init.kind.value,
        standard_error=None if error is None else error.cpu().numpy().astype(np.float32),
    )


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
