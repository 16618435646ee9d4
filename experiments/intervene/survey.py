"""The survey of the first half of the texts: means, deviations and average scores of neurons."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from experiments.intervene.plan import Plan
from experiments.intervene.selection import degrees, score
from experiments.intervene.settings import DRAWN
from experiments.intervene.value_projection import value_weights
from probe.api.interventions import Moments, read_sums
from probe.api.parts import MeanSums, Ranks, fetch_model

# Scores averaged over texts; the others come from pooled sums.
_BY_TEXT = ("activation", "weighted")
_TOPOLOGIES = {"degree": 0, "degree_no_first": 1}


class LayerSums(Moments):
    """Sums over the texts for one layer's statistics and scores.

    Parameters
    ----------
    n_neurons : int
        Number of neurons.
    names : sequence of str
        Requested scores, see `score`.
    value_weights : Tensor or None
        See `value_weights`.
    device : torch.device
        Device of the sums; it must support float64.
    """

    def __init__(
        self, n_neurons: int, names: list[str], weights: Tensor | None, device: torch.device
    ) -> None:
        super().__init__(n_neurons, device)
        self.weights = weights
        self.scores = {
            name: torch.zeros(n_neurons, dtype=torch.float64, device=device)
            for name in _BY_TEXT
            if name in names
        }
        self.topologies = {
            name: MeanSums(n_neurons, device) for name in _TOPOLOGIES if name in names
        }

    def add(self, activations: Tensor, keep: Tensor) -> None:
        """Add a batch, `activations` (n_examples, n_tokens, n_neurons).

        Raises
        ------
        UserError
            If an activation is not finite.
        """
        activations, keep = activations.to(self.device), keep.to(self.device)
        super().add(activations, keep)
        for x, counted in zip(activations, keep, strict=True):
            for name, total in self.scores.items():
                total += score(name, x[counted].float(), self.weights)
        weight = torch.ones(len(keep), dtype=torch.float64)
        for name, topology in self.topologies.items():
            topology.update(activations, _without_first(keep, _TOPOLOGIES[name]), weight)

    def state(self) -> dict[str, Tensor]:
        """Return the sums by name."""
        topologies = {
            f"{n}/{k}": v for n, one in self.topologies.items() for k, v in one.state().items()
        }
        return {**super().state(), **self.scores, **topologies}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the `state()` of sums over other texts."""
        super().merge(state)
        for name, total in self.scores.items():
            total += state[name].to(total.device)
        for name, topology in self.topologies.items():
            own = {k.partition("/")[2]: v for k, v in state.items() if k.startswith(f"{name}/")}
            topology.merge(own)

    def finish(self) -> dict[str, Tensor]:
        """Return mean, sd, rms and the requested scores, float64, shape (n_neurons,) each."""
        texts = int(self.counts[0])
        statistics = super().finish()
        statistics |= {name: total / texts for name, total in self.scores.items()}
        statistics |= {name: degrees(one.finish().matrix) for name, one in self.topologies.items()}
        return statistics


def fetch(payload: bytes) -> None:
    """Fetch the model that `survey` will load; called once on every machine."""
    config = Plan.from_bytes(payload).work.request.config
    fetch_model(config.model, config.init)


def survey(payload: bytes, ranks: Ranks) -> dict[str, Tensor]:
    """Return on rank 0 every layer's statistics, `<layer>/<name>` of shape (n_neurons,)."""
    plan = Plan.from_bytes(payload)
    names = _requested(plan)

    def make(blocks: nn.ModuleList, layer: int, n_neurons: int, device: torch.device) -> LayerSums:
        weights = weights_of(blocks, layer, plan) if "weighted" in names else None
        return LayerSums(n_neurons, names, weights, device)

    return read_sums(plan.work.request, ranks, make)


def weights_of(blocks: nn.ModuleList, layer: int, plan: Plan) -> Tensor:
    """Return the next block's value weights, see `value_weights`."""
    return value_weights(blocks[layer + 1], plan.n_heads).float()


def _requested(plan: Plan) -> list[str]:
    """Return the scores to average; with scope=input, they come from each text instead."""
    settings = plan.settings
    if settings.scope == "input":
        return []
    names = [name for name in settings.select if name not in DRAWN]
    return names if "random_norm" not in settings.select else [*names, "degree"]


def _without_first(keep: Tensor, n_tokens: int) -> Tensor:
    """Leave out the first counted tokens, whichever side the padding is on."""
    return keep & (keep.cumsum(dim=1) > n_tokens)
