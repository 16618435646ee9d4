"""What the model writes behind every example: by transformers' own `generate`, on all ranks."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessorList

from probe.config import Config, DataConfig, Side, model_name
from probe.distributed import Ranks
from probe.errors import UserError
from probe.examples.batches import Batch, Tensors, Together, form_batches, regrouped
from probe.examples.example import Example
from probe.examples.request import Request
from probe.extraction.checks.texts import first_texts
from probe.extraction.with_head import Rows, fill, kept, on_all_ranks, token_budget
from probe.models import (
    LengthLimit,
    fetch_language_model,
    length_limit,
    load_config,
    load_language_model,
    load_tokenizer,
)

logger = logging.getLogger(__name__)
# Tokens behind two prompts that are compared with those behind each alone.
_STEPS = 3


def continue_examples(examples: Sequence[Example], config: Config) -> list[list[int]]:
    """Return the token ids that the pretrained model writes behind every example.

    At most `data.generate` tokens, fewer where the model ends the text; the token that ends it is
    left out, as the model never reads it. They are the likeliest ones, or drawn at
    `data.temperature`; what is drawn depends on the example and `data.seed` alone, not on other
    examples or the number of ranks. A run with random weights reads what the pretrained model
    wrote, so that both read the same texts. Continuations are cached in the output folder.

    Parameters
    ----------
    examples : sequence of Example
        Prompts, in the order of the result.
    config : Config
        Model, device, ranks and how to write.

    Raises
    ------
    UserError
        If the model cannot be loaded or has no language-model head.
    """
    data = config.data
    how: dict[str, Any] = {"generate": data.generate, "temperature": data.temperature}
    how |= {"seed": data.seed} if data.temperature else {}

    def find(checkpoints: Path, model: str) -> NDArray[np.int64]:
        logger.info("generating %d tokens behind %d examples", data.generate, len(examples))
        left = replace(config, model=replace(config.model, padding_side=Side.left))
        limit = length_limit(load_config(config.model).get_text_config())
        batches = _with_room(examples, token_budget(config), data.generate, limit)
        work = "probe.extraction.generation:write"
        how_to = DataConfig("text", **how)
        written = on_all_ranks(work, left, how_to, examples, batches, checkpoints, model)
        numbers: NDArray[np.int64] = written.numpy()
        return numbers

    rows = kept("generated", "continuing", examples, config, how, find)
    return [[number - 1 for number in row if number] for row in rows.tolist()]


def _with_room(
    examples: Sequence[Example], budget: int, more: int, limit: LengthLimit | None
) -> list[Batch]:
    """Form batches that stay within the budget when every example has become longer.

    Where one reaches the model's `limit` meanwhile, only prompts of equal length reach it together.
    """
    long = [replace(example, ids=range(len(example.ids) + more)) for example in examples]
    batches = form_batches(long, budget)
    if limit is not None and any(len(one.ids) > limit.tokens for one in long):
        batches = regrouped(batches, budget, Together.equal)
    return [
        replace(batch, ids=[examples[member].ids for member in batch.members]) for batch in batches
    ]


def fetch(payload: bytes) -> None:
    """Download the model that `write` will load; called once per machine."""
    fetch_language_model(Request.config_of(payload).model)


def write(payload: bytes, ranks: Ranks) -> dict[str, Tensor]:
    """Return on rank 0 the tokens behind every example, each plus 1, and 0 behind the last."""
    request = Request.from_bytes(payload)
    data = request.config.data
    model: Any = load_language_model(request.config.model, ranks.device)
    _refuse_readers_of_what_follows(model, request, ranks.device)
    ends = _ends(model, load_tokenizer(request.config.model))
    # Of the model's own settings only the end of a text counts, no penalty, no sampling. Given to
    # `generate`, ours would be mixed with them.
    model.generation_config = GenerationConfig(
        max_new_tokens=data.generate, do_sample=False, eos_token_id=ends or None, pad_token_id=0
    )
    written = Rows(request.n_examples, data.generate, dtype=torch.int64)

    def read(batch: Batch, tensors: Tensors) -> None:
        choose = Choose(data.temperature, data.seed, batch, request.names)
        whole = model.generate(
            input_ids=tensors.tokens,
            attention_mask=tensors.attended.long(),
            logits_processor=LogitsProcessorList([choose]),
        )
        for member, row in zip(batch.members, whole[:, tensors.tokens.shape[1] :], strict=True):
            ids = row.tolist()
            length = next((place for place, token in enumerate(ids) if token in ends), len(ids))
            written.values[member, :length] = row[:length].cpu() + 1

    return fill(written, request, ranks, model, read, partial(_together, model))


def _together(model: Any, request: Request, rest: Callable[[], None]) -> Together:
    """Return in which batches prompts are continued as each is alone, from two prompts' beginnings.

    Models prepare the steps behind a prompt in their own ways: RWKV takes a batch of prompts and
    continues only the first of them.
    """
    pair = first_texts(request)
    if pair is None or all(len(batch.ids) == 1 for batch in request.batches):
        return Together.like
    device = model.get_input_embeddings().weight.device
    long, short = pair.ids

    def logits(*ids: Sequence[int]) -> tuple[list[int], Tensor]:
        """Return the last text's next tokens, and the logits of which each is the largest."""
        rest()
        tensors = Batch([*range(len(ids))], [*ids]).tensors(0, Side.left, 0).to(device)
        found = model.generate(
            input_ids=tensors.tokens, attention_mask=tensors.attended.long(),
            max_new_tokens=_STEPS, output_logits=True, return_dict_in_generate=True,
        )  # fmt: skip
        steps = torch.stack([step[-1].float() for step in found.logits])
        return steps.argmax(dim=1).tolist(), steps

    words, alone = logits(short)

    def alike(*ids: Sequence[int]) -> bool:
        found, steps = logits(*ids)
        # Behind a token that is another one nothing can be compared.
        same = next((n + 1 for n, word in enumerate(words) if found[n : n + 1] != [word]), _STEPS)
        one, other = steps[:same], alone[:same]
        n = min(len(one), len(other))
        change = (one[:n] - other[:n]).norm(dim=1) / other[:n].norm(dim=1)
        return bool((change <= torch.finfo(model.dtype).eps ** 0.5).all())

    if alike(long, short):
        return Together.like
    return Together.equal if alike(long[: len(short)], short) else Together.single


class Choose:
    """Adds noise to logits, of which `generate` then takes the largest.

    With Gumbel noise the largest of `logits + temperature × noise` is an exact draw from the
    softmax at that temperature (Gumbel-max; Maddison et al. 2014, arXiv:1411.0030). The noise is
    that of the seed, the prompt and the number of the step.

    Parameters
    ----------
    temperature : float
        Temperature, dimensionless; 0 adds no noise.
    seed : int
        Seed of the noise.
    batch : Batch
        The prompts.
    names : sequence of str
        Name of every example, for error messages.

    Examples
    --------
    >>> choose = Choose(1.0, 0, Batch([0, 1], [[5, 6], [5, 6]]), ["a", "b"])
    >>> first, second = choose(torch.zeros(2, 2), torch.zeros(2, 300))
    >>> bool((first == second).all()), len(first.unique()) > 1
    (True, True)
    """

    def __init__(self, temperature: float, seed: int, batch: Batch, names: Sequence[str]) -> None:
        self._temperature, self._batch, self._names = temperature, batch, names
        self._keys = [_key(seed, ids) for ids in batch.ids]
        self._step = 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return the scores (n_examples, n_vocabulary) of which the largest is taken."""
        for row in (~scores.isfinite().all(dim=1)).nonzero()[:1].flatten().tolist():
            member = self._batch.members[row]
            raise UserError(
                f"example {member} ({self._names[member]}) has no finite predictions to continue "
                "it by; leave it out or use model.dtype=float32"
            )
        if not self._temperature:
            return scores
        noise = np.array([_gumbel(key, self._step, scores.shape[1]) for key in self._keys])
        self._step += 1
        return scores + torch.from_numpy(self._temperature * noise).to(scores)


def _key(seed: int, ids: Sequence[int]) -> int:
    return int.from_bytes(hashlib.sha256(repr((seed, list(ids))).encode()).digest())


def _gumbel(key: int, step: int, n: int) -> NDArray[np.float64]:
    noise: NDArray[np.float64] = -np.log(np.random.default_rng([key, step]).standard_exponential(n))
    return noise


def _ends(model: Any, tokenizer: Any) -> list[int]:
    """Return the tokens that end a text."""
    own = (model.generation_config, model.config.get_text_config(), tokenizer)
    ids = (getattr(one, "eos_token_id", None) for one in own)
    ends = {end for one in ids for end in (one if isinstance(one, list) else [one])}
    return sorted(end for end in ends if end is not None)


def _refuse_readers_of_what_follows(model: Any, request: Request, device: torch.device) -> None:
    """Refuse models whose tokens depend on those behind them, as BERT's: they continue nothing."""
    pairs = torch.tensor([[0, 1], [0, 2]], device=device)
    with torch.inference_mode():
        first, second = model(input_ids=pairs).logits[:, 0]
    if not torch.allclose(first, second, atol=1e-3, equal_nan=True):
        raise UserError(
            f"model={model_name(request.config.model)} reads what follows a token before the token "
            "itself, so it continues no text; use a causal language model, or leave out "
            "data.generate"
        )
