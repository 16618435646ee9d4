"""The measurement: the second half of the texts with and without treatment, on every rank."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from experiments.intervene.outcome import OUTCOMES, outcome
from experiments.intervene.plan import Condition, Plan
from experiments.intervene.selection import choose, draw, draw_alike, score
from experiments.intervene.settings import DRAWN
from experiments.intervene.survey import weights_by_layer
from experiments.intervene.treatment import Edit, Layers, norm_shares, treat
from probe.api import InitConfig
from probe.api.parts import (
    Batch,
    Ranks,
    Request,
    Tensors,
    fetch_model,
    in_halves,
    load_language_model,
    model_inputs,
    share,
)

# Looks up the scores of one text in one layer, by name.
Scores = Callable[[str], Tensor]
SHARES = ("held", "moved")
# Selections and noise are drawn from separate random streams.
_CHOICE, _NOISE = 0, 1


def fetch(payload: bytes) -> None:
    """Fetch the model that `measure` will load; called once on every machine."""
    config = Request.config_of(Plan.request_of(payload))
    fetch_model(config.model, InitConfig(), AutoModelForCausalLM)


def measure(payload: bytes, ranks: Ranks) -> dict[str, Tensor]:
    """Return on rank 0 the outcomes of every text, untouched and under every condition.

    Returns
    -------
    dict of str to Tensor of float64
        `untouched`, shape (n_examples, n_outcomes), and `treated`, shape (n_conditions,
        n_examples, n_outcomes + 2): outcomes in the order of `OUTCOMES`, then `SHARES` of the
        squared norm, means over the layers.
    """
    plan = Plan.from_bytes(payload)
    model = load_language_model(plan.request.config.model, ranks.device)
    measurement = Measurement(plan, model)
    for batch, tensors in share(plan.request, ranks, model):
        for _ in in_halves(batch, tensors, measurement.read):
            continue
    outcomes = {"untouched": measurement.untouched, "treated": measurement.treated}
    for state in ranks.collect(outcomes):
        for name, values in outcomes.items():
            values += state[name]
    return outcomes if ranks.main else {}


class Measurement:
    """Outcomes of texts under a model whose neurons are treated.

    Parameters
    ----------
    plan : Plan
        Texts, layers, conditions.
    model : nn.Module
        A language model.
    """

    def __init__(self, plan: Plan, model: nn.Module) -> None:
        self.plan, self.model = plan, model
        self.layers = Layers(model, plan.request.config.model, plan.request.layers)
        self.conditions = plan.conditions
        weighted = "weighted" in plan.settings.select and plan.settings.scope == "input"
        self.weights = weights_by_layer(self.layers.blocks, plan) if weighted else {}
        n_examples = plan.request.n_examples
        self.untouched = torch.zeros(n_examples, len(OUTCOMES), dtype=torch.float64)
        self.treated = torch.zeros(
            len(self.conditions), n_examples, len(OUTCOMES) + len(SHARES), dtype=torch.float64
        )

    @torch.inference_mode()
    def read(self, batch: Batch, tensors: Tensors) -> None:
        """Fill in the outcomes of a batch under all conditions."""
        untouched: dict[int, Tensor] = {}

        def keep(layer: int, activations: Tensor) -> Tensor:
            untouched[layer] = activations
            return activations

        edits: dict[int, Edit] = {layer: partial(keep, layer) for layer in self.layers.layers}
        reference = self._predict(tensors, edits)
        self.untouched[batch.members] = self._outcomes(batch, tensors, reference, reference)
        selections = _Selections(self.plan, batch, tensors, untouched, self.weights)
        for number, condition in enumerate(self.conditions):
            shares: list[Tensor] = []
            edits = {
                layer: partial(self._treat, condition, layer, selections, tensors, shares)
                for layer in self.layers.layers
            }
            treated = self._predict(tensors, edits)
            outcomes = self._outcomes(batch, tensors, reference, treated)
            mean = torch.stack(shares).double().mean(dim=0)
            self.treated[number, batch.members] = torch.cat([outcomes, mean], dim=1)

    def _treat(
        self,
        condition: Condition,
        layer: int,
        selections: "_Selections",
        tensors: Tensors,
        shares: list[Tensor],
        activations: Tensor,
    ) -> Tensor:
        chosen = selections.of(condition, layer).to(activations.device)
        noise = selections.noise(condition.draw, layer) if condition.treatment == "noise" else None
        mean = self.plan.statistics[f"{layer}/mean"]
        after = treat(activations, chosen, condition.treatment, mean, noise)
        attended = tensors.attended.to(activations.device)
        shares.append(torch.stack(norm_shares(activations, after, chosen, attended), dim=1).cpu())
        return after

    def _predict(self, tensors: Tensors, edits: Mapping[int, Edit]) -> list[Tensor]:
        """Return each text's log probabilities of the next token, (n_tokens, n_vocabulary)."""
        inputs = model_inputs(self.model, self.plan.request.config.model, tensors)
        with self.layers.edited(edits):
            logits = self.model(**inputs).logits
        return [
            row[attended].float().log_softmax(-1)
            for row, attended in zip(logits, tensors.attended, strict=True)
        ]

    def _outcomes(
        self, batch: Batch, tensors: Tensors, reference: list[Tensor], treated: list[Tensor]
    ) -> Tensor:
        plan = self.plan
        rows = []
        for row, member in enumerate(batch.members):
            ids = tensors.tokens[row][tensors.attended[row]]
            letters = plan.letters[: plan.choices[member]] if plan.letters else []
            answer = plan.answers[member] if plan.letters else 0
            rows.append(outcome(treated[row], reference[row], ids, letters, answer))
        return torch.stack(rows)


class _Selections:
    """The neurons that every condition selects in the texts of one batch."""

    def __init__(
        self,
        plan: Plan,
        batch: Batch,
        tensors: Tensors,
        activations: Mapping[int, Tensor],
        weights: Mapping[int, Tensor],
    ) -> None:
        self.plan, self.batch, self.tensors = plan, batch, tensors
        self.scores = {
            layer: list(self._by_text(layer, activations[layer], weights.get(layer)))
            for layer in plan.request.layers
        }
        self._cache: dict[tuple[str, str, int, int, int], Tensor] = {}
        self._noise: dict[tuple[int, int], Tensor] = {}

    def _by_text(self, layer: int, activations: Tensor, weights: Tensor | None) -> Iterator[Scores]:
        for row, keep in zip(activations, self.tensors.keep, strict=True):
            if self.plan.settings.scope == "average":
                yield lambda name: self.plan.statistics[f"{layer}/{name}"]
            else:
                counted = row[keep.to(row.device)].float()
                yield cache(partial(_score, activations=counted, weights=weights))

    def of(self, condition: Condition, layer: int) -> Tensor:
        """Return the selected neurons, shape (n_examples, n_neurons)."""
        one = condition
        draw = one.draw if one.select in DRAWN else 0
        place = (one.select, one.order, one.count, draw, layer)
        if place not in self._cache:
            # With scope=average, neurons are selected and drawn once for all texts.
            once = self.plan.settings.scope == "average"
            texts = list(enumerate([0] if once else self.batch.members))
            rows = [self._choose(one, layer, draw, row, text) for row, text in texts]
            chosen = torch.stack(rows)
            self._cache[place] = chosen.expand(len(self.batch.members), -1) if once else chosen
        return self._cache[place]

    def _choose(self, one: Condition, layer: int, number: int, row: int, text: int) -> Tensor:
        scores = self.scores[layer][row]
        stream = self._stream(_CHOICE, number, layer, text)
        if one.select == "random":
            return draw(self.plan.n_neurons, one.count, stream)
        if one.select == "random_norm":
            like = choose(scores("degree"), one.count, one.order)
            return draw_alike(like, scores("rms"), stream)
        return choose(scores(one.select), one.count, one.order).cpu()

    def noise(self, draw: int, layer: int) -> Tensor:
        """Return noise of every neuron's standard deviation, (n_examples, n_tokens, n_neurons)."""
        if (draw, layer) not in self._noise:
            sd = self.plan.statistics[f"{layer}/sd"].float()
            attended = self.tensors.attended.cpu()
            noise = torch.zeros(*attended.shape, len(sd))
            for row, text in enumerate(self.batch.members):
                # Drawn for attended tokens only, so that it does not depend on the padding.
                shape = (int(attended[row].sum()), len(sd))
                stream = self._stream(_NOISE, draw, layer, text)
                normal = stream.standard_normal(shape, dtype=np.float32)
                noise[row, attended[row]] = torch.from_numpy(normal) * sd
            self._noise[draw, layer] = noise
        return self._noise[draw, layer]

    def _stream(self, kind: int, draw: int, layer: int, text: int) -> np.random.Generator:
        return np.random.default_rng([self.plan.settings.seed, kind, draw, layer, text])


def _score(name: str, activations: Tensor, weights: Tensor | None) -> Tensor:
    return score(name, activations, weights)
