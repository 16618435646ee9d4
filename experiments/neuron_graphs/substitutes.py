"""Substitutes that need no other model: its own predictions, or neighbouring embeddings."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from experiments.neuron_graphs.asks import Ids, Substitutes
from experiments.neuron_graphs.packing import batches
from experiments.neuron_graphs.reading import pad_right
from probe.api import Config
from probe.api.parts import Reader, length_limit, model_inputs

# Less likely substitutes are not tried, as in the paper's code.
LEAST = 1e-5
# Logits of a batch, in numbers.
LOGITS = 1 << 26
# Called with the numbers of the asks that a pass of a model served.
Count = Callable[[Sequence[int]], None]


class SubstituteProvider(Protocol):
    """Proposes tokens of the model that could stand at positions of rows."""

    def __call__(self, asks: Sequence[Substitutes], count: Count) -> list[list[list[int]]]:
        """Return for every ask and position the proposed tokens, the likeliest first."""
        ...


def ranked(
    scores: Tensor, own: Sequence[int], allowed: Tensor, number: int, least: float
) -> list[list[int]]:
    """Return the best allowed tokens of every row but its own; none if its own is not allowed.

    Parameters
    ----------
    scores : Tensor, shape (n_rows, n_vocabulary)
        The higher, the better.
    own : sequence of int
        The token that is to be replaced.
    allowed : Tensor of bool, shape (n_vocabulary,)
        Tokens that can be replaced, and that can replace.
    number : int
        Most tokens of a row.
    least : float
        Least score.
    """
    scores = scores.masked_fill(~allowed, -torch.inf)
    own_at = torch.tensor(own, device=scores.device)
    scores.scatter_(1, own_at[:, None], -torch.inf)
    best = scores.topk(min(number, scores.shape[1]), dim=1)
    can = allowed[own_at].tolist()
    return [
        [token for token, score in zip(tokens, values, strict=True) if score >= least and one]
        for tokens, values, one in zip(
            best.indices.tolist(), best.values.tolist(), can, strict=True
        )
    ]


class OwnPredictions:
    """What the model itself expects at a position, given what is before it.

    Parameters
    ----------
    model : nn.Module
        A language model, with its head.
    config : Config
        Its configuration.
    device : torch.device
        Where its inputs go.
    allowed : ndarray of bool, shape (n_vocabulary,)
        Tokens that can be replaced, and that can replace.
    rows, tokens : int
        Most rows and tokens of a batch.
    """

    def __init__(
        self,
        model: nn.Module,
        config: Config,
        device: torch.device,
        allowed: NDArray[np.bool_],
        rows: int,
        tokens: int,
    ) -> None:
        self._model, self._config, self._device = model, config, device
        self._rows, self._tokens = rows, tokens
        self._allowed = torch.from_numpy(allowed).to(device)
        trunk: Any = model.base_model
        self._limit = length_limit(trunk.config.get_text_config())
        self._rest = Reader(trunk, config.model, [0], config.site).rest

    @torch.inference_mode()
    def __call__(self, asks: Sequence[Substitutes], count: Count) -> list[list[list[int]]]:
        """Return for every ask and position the likeliest tokens."""
        found: list[list[list[int]]] = [[[] for _ in ask.positions] for ask in asks]
        of: dict[Ids, list[int]] = {}
        for number, ask in enumerate(asks):
            of.setdefault(ask.ids[: max(ask.positions)], []).append(number)
        for rows in batches([ids for ids in of if ids], self._rows, self._tokens, self._limit):
            tensors = pad_right(rows, 0, self._device)
            trunk: Any = self._model.base_model
            inputs = model_inputs(trunk, self._config.model, tensors)
            self._rest()
            hidden = trunk(**inputs).last_hidden_state
            places = [
                (row, number, place, position)
                for row, ids in enumerate(rows)
                for number in of[ids]
                for place, position in enumerate(asks[number].positions)
                if position
            ]
            some = max(1, LOGITS // len(self._allowed))
            for first in range(0, len(places), some):
                part = places[first : first + some]
                row, at = zip(*((row, position - 1) for row, _, _, position in part), strict=True)
                chance = self._predict(hidden[list(row), list(at)])
                own = [asks[number].ids[position] for _, number, _, position in part]
                most = max(asks[number].number for _, number, _, _ in part)
                best = ranked(chance, own, self._allowed, most, LEAST)
                for (_, number, place, _), tokens in zip(part, best, strict=True):
                    found[number][place] = tokens[: asks[number].number]
            count([number for ids in rows for number in of[ids]])
        return found

    def _predict(self, hidden: Tensor) -> Tensor:
        head: nn.Module = self._model.get_output_embeddings()  # type: ignore[operator]
        chance: Tensor = head(hidden).float().softmax(dim=1)
        return chance[:, : len(self._allowed)]


class Neighbours:
    """Tokens whose input embeddings are most alike, by cosine.

    Parameters
    ----------
    embeddings : Tensor, shape (n_vocabulary, width)
        The model's input embeddings.
    allowed : ndarray of bool, shape (n_vocabulary,)
        Tokens that can be replaced, and that can replace.
    """

    def __init__(self, embeddings: Tensor, allowed: NDArray[np.bool_]) -> None:
        self._allowed = torch.from_numpy(allowed).to(embeddings.device)
        own = embeddings[: len(allowed)].detach().float()
        self._unit = own / own.norm(dim=1, keepdim=True).clamp(min=1e-12)

    @torch.inference_mode()
    def __call__(self, asks: Sequence[Substitutes], count: Count) -> list[list[list[int]]]:
        """Return for every ask and position the nearest tokens; no pass of a model is counted."""
        tokens = sorted({ask.ids[position] for ask in asks for position in ask.positions})
        most, nearest = max((ask.number for ask in asks), default=0), dict[int, list[int]]()
        some = max(1, LOGITS // len(self._allowed))
        for first in range(0, len(tokens), some):
            part = tokens[first : first + some]
            alike = self._unit[part] @ self._unit.T
            best = ranked(alike, part, self._allowed, most, -1.0)
            nearest.update(zip(part, best, strict=True))
        return [
            [nearest[ask.ids[position]][: ask.number] for position in ask.positions] for ask in asks
        ]
