"""Perplexity of every example under the model: the only pass that runs the language-model head."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForCausalLM

from probe.activations import model_inputs
from probe.batches import Batch, Tensors, form_batches
from probe.config import Config, InitConfig, NullConfig
from probe.distributed import Ranks, run_ranks
from probe.errors import UserError
from probe.examples import Example
from probe.extract import share
from probe.halving import in_halves
from probe.models import fetch_model, load_config, load_language_model, model_fingerprint
from probe.request import Request
from probe.topology import replacing

logger = logging.getLogger(__name__)
# Logits of a batch, in numbers: some 1 GB.
_LOGITS = 1 << 28


def perplexities(examples: Sequence[Example], config: Config) -> NDArray[np.float64]:
    """Return the pretrained model's perplexity of every example, dimensionless.

    The first token is not scored. A run with random weights chooses its examples by the pretrained
    model, too, so that both are made of the same texts. Perplexities are kept in the output folder
    and found again.

    Parameters
    ----------
    examples : sequence of Example
        Token ids, in the order of the result.
    config : Config
        Model, device and ranks.

    Raises
    ------
    UserError
        If the model cannot be had or has no language-model head.
    """
    file = Path(config.output) / ".perplexity" / f"{_key(examples, config)}.npy"
    if file.is_file():
        found: NDArray[np.float64] = np.load(file, allow_pickle=False)
        return found
    logger.info("scoring the perplexity of %d examples", len(examples))
    vocabulary = load_config(config.model).get_text_config().vocab_size
    budget = min(config.runtime.token_budget, max(1, _LOGITS // vocabulary))
    request = Request(
        replace(config, init=InitConfig(), null=NullConfig()),
        layers=[],
        batches=form_batches(examples, budget),
        names=[example.document for example in examples],
        run=f"perplexity-{time.monotonic_ns()}",
        wanted=[],
    )
    payload, device = request.to_bytes(), config.runtime.device
    result = run_ranks("probe.perplexity:score", payload, request.processes, device)
    loss = result["loss"].numpy()
    wrong = np.flatnonzero(~np.isfinite(loss))
    if wrong.size:
        raise UserError(
            f"example {wrong[0]} ({examples[wrong[0]].document}) has no finite perplexity; "
            "leave it out, or take model.dtype=float32"
        )
    with replacing(file) as unfinished, unfinished.open("wb") as stream:
        np.save(stream, np.exp(loss), allow_pickle=False)
    scored: NDArray[np.float64] = np.exp(loss)
    return scored


def fetch(payload: bytes) -> None:
    """Fetch the model that `score` is going to load; called once on every machine."""
    fetch_model(Request.config_of(payload).model, InitConfig(), AutoModelForCausalLM)


def score(payload: bytes, ranks: Ranks) -> dict[str, Tensor]:
    """Return on rank 0 every example's mean negative log likelihood, in nats a token."""
    request = Request.from_bytes(payload)
    model = load_language_model(request.config.model, ranks.device)
    loss = torch.zeros(request.n_examples, dtype=torch.float64)

    def read(batch: Batch, tensors: Tensors) -> None:
        with torch.inference_mode():
            logits = model(**model_inputs(model, request.config.model, tensors)).logits
        for row, member in enumerate(batch.members):
            attended = tensors.attended[row]
            ids = tensors.tokens[row][attended]
            loss[member] = functional.cross_entropy(
                logits[row][attended][:-1].float(), ids[1:]
            ).cpu()

    for batch, tensors in share(request, ranks, model):
        for _ in in_halves(batch, tensors, read):
            continue
    for state in ranks.collect({"loss": loss}):
        loss += state["loss"]
    return {"loss": loss} if ranks.main else {}


def _key(examples: Sequence[Example], config: Config) -> str:
    """Hash all that the perplexities depend on."""
    model = asdict(config.model) | {"at": model_fingerprint(config.model, InitConfig())}
    del model["device_map"]  # where a model is changes nothing
    digest = hashlib.sha256(json.dumps(model, sort_keys=True).encode())
    for example in examples:
        digest.update(np.array([len(example.ids), *example.ids], dtype=np.int64).tobytes())
    return digest.hexdigest()[:16]
