"""Training, evaluation and storage of the tiny model."""

import logging
import math
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from tqdm import tqdm
from transformers import Qwen2ForCausalLM, Qwen2Tokenizer

from experiments.train_tiny.card import write_card
from experiments.train_tiny.corpus import Corpus, count_bytes, load_corpus
from experiments.train_tiny.evaluation import bits_per_byte
from experiments.train_tiny.model import build_model, count_parameters, store_model
from experiments.train_tiny.settings import TrainTiny, TrainTinyConfig, check
from experiments.train_tiny.tokenizer import encode_stream, learn_tokenizer
from probe.api import Results, UserError

logger = logging.getLogger(__name__)


def train(config: TrainTinyConfig, folder: Path) -> dict[str, Any]:
    """
    Train the tiny model and write it, with its model card, to `folder / "model"`.

    Parameters
    ----------
    config
        Sizes, schedule and seed in `config.study`.
    folder
        Where to write; created if it does not exist.

    Returns
    -------
    dict of str to Any
        Sizes of corpus and model, tokens seen, seconds, and held-out bits per byte before training,
        after it, and of the stored float16 model loaded in float32.

    Raises
    ------
    UserError
        If a setting cannot work.
    """
    settings = config.study
    check(settings)
    torch.set_num_threads(settings.threads)
    corpus = load_corpus(settings.held_out)
    if not corpus.train or not corpus.held_out:
        raise UserError(f"study.held_out={settings.held_out} leaves one of the two sets empty")
    tokenizer = learn_tokenizer(corpus.train, settings.vocabulary, settings.window)
    tokens = encode_stream(tokenizer, corpus.train)
    # The first window starts at a random place.
    if len(tokens) < 2 * settings.window:
        raise UserError(
            f"study.window={settings.window} is too large for the {len(tokens)} training tokens"
        )
    held_out = encode_stream(tokenizer, corpus.held_out)
    held_out_bytes = count_bytes(corpus.held_out)
    model = build_model(settings, tokenizer.eos_token_id)
    report = _sizes(corpus, len(tokens), len(held_out), count_parameters(model))
    logger.info("corpus and model: %s", report)

    def measure(candidate: Qwen2ForCausalLM) -> float:
        return bits_per_byte(candidate, held_out, held_out_bytes, settings.window)

    report["untrained_bits_per_byte"] = measure(model)
    started = time.perf_counter()
    _fit(model, tokenizer, tokens, settings, folder, measure)
    report["seconds"] = time.perf_counter() - started
    report["tokens_seen"] = settings.steps * settings.batch_size * settings.window
    report["trained_bits_per_byte"] = measure(model)
    store_model(model, tokenizer, folder / "model")
    stored = Qwen2ForCausalLM.from_pretrained(folder / "model", dtype=torch.float32)
    report["stored_bits_per_byte"] = measure(stored)
    write_card(settings, report, folder / "model" / "README.md")
    logger.info("done: %s", report)
    names = ("untrained_bits_per_byte", "trained_bits_per_byte", "stored_bits_per_byte")
    return report | {"headline": {name: report[name] for name in names}}


def _sizes(corpus: Corpus, tokens: int, held_out: int, parameters: int) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "train_documents": len(corpus.train),
        "train_bytes": count_bytes(corpus.train),
        "train_tokens": tokens,
        "held_out_documents": len(corpus.held_out),
        "held_out_bytes": count_bytes(corpus.held_out),
        "held_out_tokens": held_out,
        "parameters": parameters,
    }


def _fit(
    model: Qwen2ForCausalLM,
    tokenizer: Qwen2Tokenizer,
    tokens: torch.Tensor,
    settings: TrainTiny,
    folder: Path,
    measure: Callable[[Qwen2ForCausalLM], float],
) -> None:
    optimizer = _optimizer(model, settings)
    windows = _windows(tokens, settings)
    scores: list[dict[str, Any]] = []

    def keep(step: int) -> None:
        """Store a checkpoint, and its score with those of the earlier ones."""
        store_model(model, tokenizer, folder / "checkpoints" / f"step-{step}")
        scores.append({"step": step, "task": "bits_per_byte", "value": measure(model)})
        Results(folder).table("scores", scores)

    model.train()
    if settings.checkpoints:
        keep(0)
    for step in tqdm(range(1, settings.steps + 1), desc="train", disable=None):
        rate = settings.learning_rate * learning_rate_factor(step, settings)
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = torch.stack([next(windows) for _ in range(settings.batch_size)])
        logits = model(input_ids=batch[:, :-1], use_cache=False).logits
        loss = cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_clip)
        optimizer.step()
        optimizer.zero_grad()
        if step % settings.log_every == 0 or step == settings.steps:
            logger.info("step %d: loss %.3f, learning rate %.2e", step, loss.item(), rate)
        # A power of two has no bit in common with its predecessor.
        if settings.checkpoints and (step & (step - 1) == 0 or step == settings.steps):
            keep(step)


def learning_rate_factor(step: int, settings: TrainTiny) -> float:
    """Return the fraction of the peak learning rate at a step, counted from 1."""
    if step <= settings.warmup_steps:
        return step / settings.warmup_steps
    decay_steps = max(1, settings.steps - settings.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * (step - settings.warmup_steps) / decay_steps))


def _optimizer(model: Qwen2ForCausalLM, settings: TrainTiny) -> torch.optim.AdamW:
    matrices = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.95))


def _windows(tokens: torch.Tensor, settings: TrainTiny) -> Iterator[torch.Tensor]:
    generator = torch.Generator().manual_seed(settings.seed)
    # One token more than the window: targets are the inputs shifted by one.
    span = settings.window + 1
    while True:
        # Each pass cuts at other places, so that tokens are seen at different positions.
        phase = int(torch.randint(settings.window, (1,), generator=generator))
        starts = torch.arange(phase, len(tokens) - span + 1, settings.window)
        for index in torch.randperm(len(starts), generator=generator).tolist():
            start = int(starts[index])
            yield tokens[start : start + span]
