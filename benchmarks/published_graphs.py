"""The published procedure for a neuron's graph, from its description: one prompt at a time.

Foote et al. 2023 (arXiv:2305.19911) and `apartresearch/Neuron2Graph`: every prompt is run whole and
with its head, contexts are tried in batches of four, each prompt and each of its variants has a
saliency pass of its own, and test texts are run again. Substitutes are the model's own, as ours
are, and not those of a second model.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.neuron_graphs.asks import Ids
from experiments.neuron_graphs.fit import Rules
from experiments.neuron_graphs.graph import Line, NeuronGraph, flatten
from experiments.neuron_graphs.paths import line
from experiments.neuron_graphs.presets import FIRE
from experiments.neuron_graphs.reading import pad_right
from experiments.neuron_graphs.saliency import importance
from experiments.neuron_graphs.texts import rest_of_sentence
from experiments.neuron_graphs.unit import Unit
from probe.api import Config
from probe.api.parts import find_blocks
from probe.models import find_hook_point

GRID, AT_ONCE = (5, 10, 15, 20, 25, 30), 4
Matrix = NDArray[np.float64]


@dataclass
class Published:
    """Makes graphs as published, and counts what that takes.

    Attributes
    ----------
    model : nn.Module
        A language model with its head.
    config : Config
        Model and site.
    rules : Rules
        Thresholds, mask, number of substitutes, and where sentences end.
    begins : tuple of int
        What is put before every prompt.
    allowed : Tensor of bool, shape (n_vocabulary,)
        Tokens that can be substituted.
    calls, rows, tokens : int
        Passes of the model, their rows and tokens.
    """

    model: Any
    config: Config
    rules: Rules
    begins: Ids
    allowed: Tensor
    calls: int = 0
    rows: int = 0
    tokens: int = 0

    def __post_init__(self) -> None:
        """Let the neuron be named before it is read."""
        self._unit = Unit(0, 0)

    def graph(
        self, unit: Unit, largest: float, train: Sequence[Ids], test: Sequence[Ids]
    ) -> NeuronGraph:
        """Return a neuron's graph, after a pass over every test text, too."""
        self._unit = unit
        lines = [one for ids in train for one in self._lines(ids, largest)]
        for ids in test:
            self._run([ids])
        return flatten(lines)

    def _lines(self, ids: Ids, largest: float) -> Iterator[Line]:
        full = self._run([ids])[0]
        pivot = int(full.argmax())
        start, short = self._pruned(ids, pivot, float(full[pivot]))
        if short <= 0:
            return
        behind = rest_of_sentence(ids, pivot, self.rules.preset.behind, self.rules.ends)
        prompt, at = ids[start : pivot + 1 + behind], pivot - start
        to_share = float(full[pivot]) / short / largest
        own, weight = self._saliency(prompt)
        self._run([prompt])
        yield from self._paths(prompt, own * to_share, weight, None)
        places = [k for k in range(at + 1) if weight[k, at] >= self.rules.preset.substituted]
        for k, others in zip(places, self._proposed(prompt, places), strict=True):
            for other in others:
                variant = (*prompt[:k], other, *prompt[k + 1 :])
                values, again = self._saliency(variant)
                yield from self._paths(variant, values * to_share, again, weight)

    def _pruned(self, ids: Ids, pivot: int, full: float) -> tuple[int, float]:
        """Return where the first context begins that keeps half of the activation, and that."""
        most, n, found = pivot + 1, 0, np.zeros(1)
        lengths = [n for n in GRID if n <= most]
        lengths += [most] if most <= GRID[-1] and most not in lengths else []
        for first in range(0, len(lengths), AT_ONCE):
            some = lengths[first : first + AT_ONCE]
            for n, found in zip(some, self._run([ids[most - n : most] for n in some]), strict=True):
                if found.argmax() == n - 1 and found[-1] > FIRE * full:
                    return most - n, float(found[-1])
        return most - n, float(found[-1])

    def _saliency(self, prompt: Ids) -> tuple[Matrix, Matrix]:
        """Return activations, and the importance of every token for every other."""
        mask = self.rules.mask
        rows = [(*prompt[:k], mask, *prompt[k + 1 :]) for k in range(len(prompt))]
        own, *masked = self._run([prompt, *rows])
        return own, np.triu(importance(own, np.stack(masked)))

    def _proposed(self, prompt: Ids, places: Sequence[int]) -> list[list[int]]:
        """Return likely tokens at each place, from a pass over the prompt."""
        if not places:
            return []
        logits = self._logits([prompt])[0]
        found = []
        for k in places:
            # The first token of a row is what begins it.
            scores = logits[len(self.begins) + k - 1].masked_fill(~self.allowed, -torch.inf)
            scores[prompt[k]] = -torch.inf
            found.append(scores.topk(self.rules.substitutes).indices.tolist())
        return found

    def _paths(
        self, prompt: Ids, shares: Matrix, weight: Matrix, inherited: Matrix | None
    ) -> Iterator[Line]:
        threshold = self.rules.preset.importance
        classes = tuple(self.rules.classes[list(prompt)].tolist())
        for at in np.flatnonzero(shares > FIRE).tolist():
            old = np.zeros(len(prompt)) if inherited is None else inherited[:, at]
            forced = np.flatnonzero(old > threshold)
            yield line(classes, at, shares, weight[:, at], threshold, forced=forced)

    def _run(self, prompts: Sequence[Ids]) -> list[Matrix]:
        """Return the activations of every token of some prompts."""
        unit, trunk = self._unit, self.model.base_model
        block = find_blocks(trunk, self.config.model)[unit.layer]
        place = find_hook_point(block, self.config.model, self.config.site)
        kept: list[Tensor] = []
        handle = place.module.register_forward_pre_hook(lambda _, x: kept.append(x[0]))
        logits = self._logits(prompts)
        handle.remove()
        values = kept[0].reshape(*logits.shape[:2], -1)[..., unit.neuron].double() * unit.sign
        n = len(self.begins)
        return [
            row[n : n + len(ids)].cpu().numpy() for row, ids in zip(values, prompts, strict=True)
        ]

    @torch.inference_mode()
    def _logits(self, prompts: Sequence[Ids]) -> Tensor:
        rows = [self.begins + tuple(ids) for ids in prompts]
        device = next(self.model.parameters()).device
        tensors = pad_right(rows, 0, device)
        self.calls += 1
        self.rows += len(rows)
        self.tokens += sum(map(len, rows))
        logits: Tensor = self.model(
            input_ids=tensors.tokens, attention_mask=tensors.attended.long(), use_cache=False
        ).logits
        return logits
