"""The measurement: the second half of the texts, of which every condition selects neurons."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial

import torch
from torch import Tensor

from experiments.intervene.plan import Plan, Selected
from experiments.intervene.selection import choose, draw, draw_alike, score
from experiments.intervene.settings import DRAWN
from experiments.intervene.survey import weights_of
from probe.api.interventions import Chosen, Measurement, stream
from probe.api.parts import Ranks, Tensors, fetch_language_model, load_language_model

# Looks up the scores of one text in one layer, by name.
Scores = Callable[[str], Tensor]
# Selections are drawn from a random stream of their own.
_CHOICE = 0


def fetch(payload: bytes) -> None:
    """Fetch the model that `measure` will load; called once on every machine."""
    fetch_language_model(Plan.from_bytes(payload).work.request.config.model)


def measure(payload: bytes, ranks: Ranks) -> dict[str, Tensor]:
    """Return on rank 0 the outcomes of every text under every condition, see `Measurement`."""
    plan = Plan.from_bytes(payload)
    model = load_language_model(plan.work.request.config.model, ranks.device)
    by_text = plan.settings.scope == "input"
    measurement = Measurement(plan.work, plan.conditions, model, record=by_text)
    weighted = by_text and "weighted" in plan.settings.select
    weights = {
        layer: weights_of(measurement.sites.blocks, layer, plan)
        for layer in measurement.sites.layers
        if weighted
    }

    def choose_neurons(
        texts: Sequence[int], tensors: Tensors, activations: Mapping[int, Tensor]
    ) -> Chosen:
        selections = _Selections(plan, texts, tensors, activations, weights)
        return lambda number, layer: selections.of(plan.conditions[number], layer)

    return measurement.run(ranks, choose_neurons)


class _Selections:
    """The neurons that every condition selects in the texts of one batch."""

    def __init__(
        self,
        plan: Plan,
        texts: Sequence[int],
        tensors: Tensors,
        activations: Mapping[int, Tensor],
        weights: Mapping[int, Tensor],
    ) -> None:
        self.plan = plan
        # With scope=average, neurons are selected and drawn once for all texts.
        self.once = plan.settings.scope == "average"
        self.texts = [0] if self.once else texts
        self.scores = {
            layer: [self._average(layer)]
            if self.once
            else list(self._by_text(activations[layer], tensors.keep, weights.get(layer)))
            for layer in plan.work.request.layers
        }
        self._cache: dict[tuple[str, str, int, int, int], Tensor] = {}

    def _average(self, layer: int) -> Scores:
        return lambda name: self.plan.work.statistics[f"{layer}/{name}"]

    def _by_text(
        self, activations: Tensor, kept: Tensor, weights: Tensor | None
    ) -> Iterator[Scores]:
        for row, keep in zip(activations, kept, strict=True):
            counted = row[keep.to(row.device)].float()
            yield cache(partial(_score, activations=counted, weights=weights))

    def of(self, condition: Selected, layer: int) -> Tensor:
        """Return the selected neurons, shape (n_examples or 1, n_neurons)."""
        one = condition
        draw = one.draw if one.select in DRAWN else 0
        place = (one.select, one.order, one.count, draw, layer)
        if place not in self._cache:
            rows = [
                self._choose(one, layer, draw, row, text) for row, text in enumerate(self.texts)
            ]
            self._cache[place] = torch.stack(rows)
        return self._cache[place]

    def _choose(self, one: Selected, layer: int, number: int, row: int, text: int) -> Tensor:
        scores = self.scores[layer][row]
        generator = stream(self.plan.work.seed, _CHOICE, number, layer, text)
        if one.select == "random":
            return draw(self.plan.n_neurons, one.count, generator)
        if one.select == "random_norm":
            like = choose(scores("degree"), one.count, one.order)
            return draw_alike(like, scores("rms"), generator)
        return choose(scores(one.select), one.count, one.order).cpu()


def _score(name: str, activations: Tensor, weights: Tensor | None) -> Tensor:
    return score(name, activations, weights)
