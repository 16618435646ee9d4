"""Perplexity of every example under the model: the only pass that runs the language-model head."""

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from probe.config import Config, DataConfig, InitConfig, ModelConfig, RuntimeConfig, Site
from probe.distributed import Ranks, run_ranks
from probe.errors import UserError
from probe.examples.batches import Batch, Tensors, form_batches
from probe.examples.choose import Example
from probe.examples.request import Request
from probe.examples.share import share
from probe.extraction.activations import Reader, model_inputs
from probe.extraction.checkpoints import Keeper, find
from probe.extraction.checks import refuse_two_sided, settle
from probe.extraction.out_of_memory import in_halves
from probe.models import (
    count_layers,
    fetch_language_model,
    find_blocks,
    length_limit,
    load_config,
    load_language_model,
    model_fingerprint,
)
from probe.system.files import atomic_write
from probe.system.locks import one_process

logger = logging.getLogger(__name__)
# Logits of a batch, in numbers: some 1 GB.
_LOGITS = 1 << 28
# Tokens of the text on which the model is checked.
_CHECKED = 64


def perplexities(examples: Sequence[Example], config: Config) -> NDArray[np.float64]:
    """Return the pretrained model's perplexity of every example, dimensionless.

    The first token is not scored. A run with random weights chooses its examples by the pretrained
    model, too, so that both use the same texts. Perplexities are cached in the output folder.

    Parameters
    ----------
    examples : sequence of Example
        Token ids, in the order of the result.
    config : Config
        Model, device and ranks.

    Raises
    ------
    UserError
        If the model cannot be loaded or has no language-model head.
    """
    model = model_fingerprint(config.model, InitConfig())
    key = _key(examples, config.model, model)
    file = Path(config.output) / ".perplexity" / f"{key}.npy"

    def wait() -> None:
        logger.info("another process is scoring the same examples; waiting for it")

    with one_process(config.output, key, wait):
        if not file.is_file():
            checkpoints = file.with_suffix("")
            loss = _losses(examples, config, model, checkpoints)
            with atomic_write(file) as unfinished, unfinished.open("wb") as stream:
                np.save(stream, np.exp(loss), allow_pickle=False)
            shutil.rmtree(checkpoints)
        perplexity: NDArray[np.float64] = np.load(file, allow_pickle=False)
    return perplexity


def _losses(
    examples: Sequence[Example], config: Config, model: str, checkpoints: Path
) -> NDArray[np.float64]:
    """Score the examples that no earlier session has scored, and return all losses."""
    logger.info("scoring the perplexity of %d examples", len(examples))
    text = load_config(config.model).get_text_config()
    budget = min(config.runtime.token_budget, max(1, _LOGITS // text.vocab_size))
    runtime = replace(config.runtime, token_budget=budget, matmul=RuntimeConfig().matmul)
    request = Request(
        # Scores depend on nothing else: runs that differ otherwise share checkpoints.
        Config(config.model, DataConfig("text"), runtime=runtime, launch=config.launch),
        layers=[],
        batches=form_batches(examples, budget, limit=length_limit(text)),
        names=[example.document for example in examples],
        run=f"perplexity-{time.monotonic_ns()}",
        matrices=[],
    )
    # Another budget makes other batches.
    request = replace(request, checkpoints=find(checkpoints / str(budget), request, model))
    payload, device = request.to_bytes(), config.runtime.device
    result = run_ranks("probe.extraction.perplexity:score", payload, request.processes, device)
    loss: NDArray[np.float64] = result["loss"].numpy()
    wrong = np.flatnonzero(~np.isfinite(loss))
    if wrong.size:
        raise UserError(
            f"example {wrong[0]} ({examples[wrong[0]].document}) has no finite perplexity; "
            "leave it out or use model.dtype=float32"
        )
    return loss


def fetch(payload: bytes) -> None:
    """Download the model that `score` will load; called once per machine."""
    fetch_language_model(Request.config_of(payload).model)


def score(payload: bytes, ranks: Ranks) -> dict[str, Tensor]:
    """Return on rank 0 every example's mean negative log likelihood, in nats per token."""
    request = Request.from_bytes(payload)
    model = load_language_model(request.config.model, ranks.device)
    losses = Losses(request.n_examples)
    reader = _trunk_reader(model, request.config.model)
    if ranks.main and request.config.model.checks and not _resumes(request):
        text = request.batches[0].ids[0][:_CHECKED]
        refuse_two_sided(model, request.config.model, text)
    request, _ = settle(request, ranks, reader)

    def read(batch: Batch, tensors: Tensors) -> None:
        if reader.restless:
            reader.state.restore()
        with torch.inference_mode():
            logits = model(**model_inputs(model, request.config.model, tensors)).logits
        for row, member in enumerate(batch.members):
            attended = tensors.attended[row]
            ids = tensors.tokens[row][attended]
            losses.loss[member] = functional.cross_entropy(
                logits[row][attended][:-1].float(), ids[1:]
            ).cpu()

    with Keeper(request, ranks, losses) as keeper:
        for batch, tensors in share(request, ranks, model):
            parts = sum(1 for _ in in_halves(batch, tensors, read))
            if not keeper.note(batch, parts):
                break
        keeper.wait()
    for state in ranks.collect(losses.state()):
        losses.merge(state)
    return {"loss": losses.loss} if ranks.main else {}


def _trunk_reader(model: nn.Module, config: ModelConfig) -> Reader:
    """Return a reader of the last layer, which the head reads."""
    trunk: nn.Module = model.base_model  # type: ignore[assignment]
    last = count_layers(trunk, find_blocks(trunk, config)) - 1
    return Reader(trunk, config, [last], Site.residual)


def _resumes(request: Request) -> bool:
    return request.checkpoints is not None and bool(request.checkpoints.files)


class Losses:
    """Mean negative log likelihoods in nats per token; 0 for examples of other ranks.

    Attributes
    ----------
    loss : Tensor of float64, shape (n_examples,)
        The losses.
    counts : Tensor of int64, shape (1,)
        Batches that were read in parts.
    """

    def __init__(self, n_examples: int) -> None:
        self.loss = torch.zeros(n_examples, dtype=torch.float64)
        self.counts = torch.zeros(1, dtype=torch.long)

    def state(self) -> dict[str, Tensor]:
        """Return losses and counts by name."""
        return {"loss": self.loss, "counts": self.counts}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the `state()` of another rank."""
        self.loss += state["loss"]
        self.counts += state["counts"]


def _key(examples: Sequence[Example], model: ModelConfig, fingerprint: str) -> str:
    """Hash everything that the perplexities depend on."""
    plain = asdict(model) | {"at": fingerprint}
    for name in ("device_map", "stream", "checks"):  # they change nothing
        del plain[name]
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode())
    for example in examples:
        digest.update(np.array([len(example.ids), *example.ids], dtype=np.int64).tobytes())
    return digest.hexdigest()[:16]
