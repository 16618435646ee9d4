"""The survey of the first half of the texts: means, deviations and average scores of neurons."""

from collections.abc import Mapping

import torch
from torch import Tensor

from experiments.intervene.plan import Plan
from experiments.intervene.selection import degrees, score
from experiments.intervene.settings import DRAWN
from experiments.intervene.value_projection import value_weights
from probe.api import UserError
from probe.api.parts import Batch, Loop, MeanSums, Ranks, Request, Tensors, fetch_model

# Scores averaged over texts; the others come from pooled sums.
_BY_TEXT = ("activation", "weighted")
_TOPOLOGIES = {"degree": 0, "degree_no_first": 1}


class LayerSums:
    """Sums over the texts for one layer's statistics.

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
        self.weights, self.device = weights, device
        self.sums = {
            name: torch.zeros(n_neurons, dtype=torch.float64, device=device)
            for name in ["total", "squares", *(name for name in _BY_TEXT if name in names)]
        }
        self.counts = torch.zeros(2, dtype=torch.int64)  # texts, tokens
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
        for x, counted in zip(activations, keep, strict=True):
            series = x[counted].double()
            self.sums["total"] += series.sum(dim=0)
            self.sums["squares"] += series.square().sum(dim=0)
            for name in self.sums.keys() & {*_BY_TEXT}:
                self.sums[name] += score(name, x[counted].float(), self.weights)
        if not self.sums["squares"].isfinite().all():
            raise UserError("an activation is not finite; use model.dtype=float32")
        self.counts += torch.tensor([len(keep), int(keep.sum())])
        weight = torch.ones(len(keep), dtype=torch.float64)
        for name, topology in self.topologies.items():
            topology.update(activations, _without_first(keep, _TOPOLOGIES[name]), weight)

    def state(self) -> dict[str, Tensor]:
        """Return the sums by name."""
        return {
            **self.sums,
            "counts": self.counts,
            **{f"{n}/{k}": v for n, one in self.topologies.items() for k, v in one.state().items()},
        }

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the `state()` of sums over other texts."""
        self.counts += state["counts"]
        for name, total in self.sums.items():
            total += state[name].to(total.device)
        for name, topology in self.topologies.items():
            own = {k.partition("/")[2]: v for k, v in state.items() if k.startswith(f"{name}/")}
            topology.merge(own)

    def finish(self) -> dict[str, Tensor]:
        """Return mean, sd, rms and the requested scores, float64, shape (n_neurons,) each."""
        texts, tokens = self.counts.tolist()
        mean, square = self.sums["total"] / tokens, self.sums["squares"] / tokens
        statistics = {"mean": mean, "sd": (square - mean.square()).clamp(min=0).sqrt()}
        statistics["rms"] = square.sqrt()
        statistics |= {name: self.sums[name] / texts for name in _BY_TEXT if name in self.sums}
        statistics |= {name: degrees(one.finish().matrix) for name, one in self.topologies.items()}
        return statistics


def fetch(payload: bytes) -> None:
    """Fetch the model that `survey` will load; called once on every machine."""
    config = Request.config_of(Plan.request_of(payload))
    fetch_model(config.model, config.init)


def survey(payload: bytes, ranks: Ranks) -> dict[str, Tensor]:
    """Return on rank 0 every layer's statistics, `<layer>/<name>` of shape (n_neurons,)."""
    plan = Plan.from_bytes(payload)
    loop = Loop(plan.request, ranks)
    device = ranks.device if ranks.device.type != "mps" else torch.device("cpu")  # no float64 there
    names = _requested(plan)
    weights = weights_by_layer(loop.reader.blocks, plan) if "weighted" in names else {}
    sums = {
        layer: LayerSums(plan.n_neurons, names, weights.get(layer), device)
        for layer in plan.request.layers
    }
    current: dict[int, Tensor] = {}

    def hold(_: Batch, __: Tensors, layer: int, activations: Tensor) -> None:
        current[layer] = activations.clone()

    for _, tensors in loop.batches(hold):
        for layer, activations in current.items():
            sums[layer].add(activations, tensors.keep)
        current.clear()
    state = {f"{layer}/{k}": v for layer, one in sums.items() for k, v in one.state().items()}
    for other in ranks.collect(state):
        for layer, one in sums.items():
            head = f"{layer}/"
            one.merge({k.removeprefix(head): v for k, v in other.items() if k.startswith(head)})
    if not ranks.main:
        return {}
    return {f"{layer}/{k}": v.cpu() for layer, one in sums.items() for k, v in one.finish().items()}


def weights_by_layer(blocks: torch.nn.ModuleList, plan: Plan) -> dict[int, Tensor]:
    """Return the next block's value weights of each layer, see `value_weights`."""
    return {
        layer: value_weights(blocks[layer + 1], plan.n_heads).float()
        for layer in plan.request.layers
    }


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
