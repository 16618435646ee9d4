"""Perplexity of every example under the model."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from probe.config import Config, DataConfig
from probe.distributed import Ranks
from probe.errors import UserError
from probe.examples.batches import Batch, Tensors, form_batches
from probe.examples.example import Example
from probe.examples.request import Request
from probe.extraction.activations import model_inputs
from probe.extraction.checks import refuse_two_sided
from probe.extraction.with_head import Rows, fill, kept, on_all_ranks, token_budget
from probe.models import fetch_language_model, length_limit, load_config, load_language_model

logger = logging.getLogger(__name__)
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

    def find(checkpoints: Path, model: str) -> NDArray[np.float64]:
        logger.info("scoring the perplexity of %d examples", len(examples))
        limit = length_limit(load_config(config.model).get_text_config())
        batches = form_batches(examples, token_budget(config), limit=limit)
        data = DataConfig("text")
        work = "probe.extraction.perplexity:score"
        loss = on_all_ranks(work, config, data, examples, batches, checkpoints, model).numpy()
        wrong = np.flatnonzero(~np.isfinite(loss))
        if wrong.size:
            raise UserError(
                f"example {wrong[0]} ({examples[wrong[0]].document}) has no finite perplexity; "
                "leave it out or use model.dtype=float32"
            )
        perplexity: NDArray[np.float64] = np.exp(loss)
        return perplexity

    return kept("perplexity", "scoring", examples, config, {}, find)


def fetch(payload: bytes) -> None:
    """Download the model that `score` will load; called once per machine."""
    fetch_language_model(Request.config_of(payload).model)


def score(payload: bytes, ranks: Ranks) -> dict[str, Tensor]:
    """Return on rank 0 every example's mean negative log likelihood, in nats per token."""
    request = Request.from_bytes(payload)
    model = load_language_model(request.config.model, ranks.device)
    losses = Rows(request.n_examples)
    resumes = request.checkpoints is not None and bool(request.checkpoints.files)
    if ranks.main and request.config.model.checks and not resumes:
        first = list(request.batches[0].ids[0][:_CHECKED])
        refuse_two_sided(model, request.config.model, first)

    def read(batch: Batch, tensors: Tensors) -> None:
        with torch.inference_mode():
            logits = model(**model_inputs(model, request.config.model, tensors)).logits
        for row, member in enumerate(batch.members):
            attended = tensors.attended[row]
            ids = tensors.tokens[row][attended]
            losses.values[member] = functional.cross_entropy(
                logits[row][attended][:-1].float(), ids[1:]
            ).cpu()

    return fill(losses, request, ranks, model, read)
