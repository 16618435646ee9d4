"""Substitutes from a masked language model, which sees the text on both sides."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoModelForMaskedLM, AutoTokenizer

from experiments.neuron_graphs.asks import Ids, Substitutes
from experiments.neuron_graphs.packing import batches
from experiments.neuron_graphs.reading import pad_right
from experiments.neuron_graphs.substitutes import LEAST, LOGITS, Count
from probe.api import UserError

# Candidates for each substitute, as many are no single token of the model that is studied.
_MORE = 4


def load(name: str) -> tuple[Any, Any]:
    """Return the tokenizer and the masked language model of a folder or repository.

    Raises
    ------
    UserError
        If it cannot be loaded.
    """
    try:
        return (
            AutoTokenizer.from_pretrained(name),
            AutoModelForMaskedLM.from_pretrained(name, use_safetensors=True),
        )
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"study.masked_model={name} cannot be loaded as a masked language model "
            f"({str(error).splitlines()[0]}); give another, or study.substitutes=model"
        ) from None


class MaskedModel:
    """Words that a masked language model expects, as far as each is one token of the model.

    A word is in title case if the one that it replaces is, and behind a space likewise, as in the
    paper, whose model is `distilbert-base-uncased`.

    Parameters
    ----------
    name : str
        Folder or repository of the masked language model.
    tokenizer : transformers tokenizer
        That of the model that is studied.
    allowed : ndarray of bool, shape (n_vocabulary,)
        Tokens that can be replaced, and that can replace.
    device : torch.device
        Where the masked model runs.
    rows, tokens : int
        Most rows and tokens of a batch.

    Raises
    ------
    UserError
        If it cannot be loaded, or its vocabulary has no mask token.
    """

    def __init__(
        self,
        name: str,
        tokenizer: Any,
        allowed: NDArray[np.bool_],
        device: torch.device,
        rows: int,
        tokens: int,
    ) -> None:
        self._tokenizer, self._allowed, self._device = tokenizer, allowed, device
        self._rows = rows
        self._own, model = load(name)
        if self._own.mask_token_id is None:
            raise UserError(
                f"study.masked_model={name} has no mask token in its vocabulary; give a masked "
                "language model such as distilbert-base-uncased, or study.substitutes=model"
            )
        self._model = model.to(device).eval()
        # Every token of a row has logits.
        self._budget = min(tokens, LOGITS // model.config.vocab_size)

    @torch.inference_mode()
    def __call__(self, asks: Sequence[Substitutes], count: Count) -> list[list[list[int]]]:
        """Return for every ask and position the likeliest tokens."""
        found: list[list[list[int]]] = [[[] for _ in ask.positions] for ask in asks]
        of: dict[Ids, list[tuple[int, int]]] = {}
        for number, ask in enumerate(asks):
            for place, position in enumerate(ask.positions):
                if self._allowed[ask.ids[position]]:
                    row = self._masked(ask.ids, position)
                    of.setdefault(row, []).append((number, place))
        for rows in batches(list(of), self._rows, self._budget):
            chance = self._predict(rows)
            most = min(_MORE * max(ask.number for ask in asks), chance.shape[1])
            best = chance.topk(most, dim=1)
            for ids, tokens, values in zip(
                rows, best.indices.tolist(), best.values.tolist(), strict=True
            ):
                words = [
                    token for token, value in zip(tokens, values, strict=True) if value >= LEAST
                ]
                for number, place in of[ids]:
                    ask = asks[number]
                    fitting = self._fitting(words, ask.ids[ask.positions[place]])
                    found[number][place] = fitting[: ask.number]
            count([number for ids in rows for number, _ in of[ids]])
        return found

    def _masked(self, ids: Ids, position: int) -> Ids:
        """Return the text in the masked model's tokens, one word masked."""
        left, own, right = (
            self._tokenizer.decode(list(part), skip_special_tokens=True)
            for part in (ids[:position], [ids[position]], ids[position + 1 :])
        )
        space = " " if own[:1].isspace() else ""
        encoded = self._own(f"{left}{space}{self._own.mask_token}{right}", truncation=True)
        return tuple(encoded["input_ids"])

    def _predict(self, rows: Sequence[Ids]) -> Tensor:
        tensors = pad_right(rows, self._own.pad_token_id or 0, self._device)
        logits = self._model(tensors.tokens, attention_mask=tensors.attended.long()).logits
        # A text can have the mask's own text in it: the first mask is taken.
        at = (tensors.tokens == self._own.mask_token_id).int().argmax(dim=1)
        chance: Tensor = logits[torch.arange(len(rows)), at].float().softmax(dim=1)
        return chance

    def _fitting(self, words: Sequence[int], replaced: int) -> list[int]:
        """Return the tokens of the studied model that words are, in the style of another."""
        text = self._tokenizer.decode([replaced])
        special, fitting = set(self._own.all_special_ids), list[int]()
        for word in words:
            piece = self._own.convert_ids_to_tokens(word)
            plain = self._own.decode([word]).strip()
            if word in special or piece.startswith("##") or not plain:
                continue
            styled = plain.title() if text.strip().istitle() else plain
            styled = f" {styled}" if text[:1].isspace() else styled
            ids = self._tokenizer(styled, add_special_tokens=False)["input_ids"]
            if len(ids) == 1 and ids[0] != replaced and self._allowed[ids[0]]:
                fitting.append(ids[0])
        return list(dict.fromkeys(fitting))
