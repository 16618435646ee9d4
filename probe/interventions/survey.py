"""The survey of other texts: every neuron's mean, standard deviation and RMS, on every rank."""

import time
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from probe.config import Config
from probe.distributed import Ranks, run_ranks
from probe.errors import UserError
from probe.examples.batches import Batch, Tensors, form_batches
from probe.examples.choose import Example
from probe.examples.counting import Dropped
from probe.examples.request import Request
from probe.extraction.loop import Loop
from probe.models import fetch_model, length_limit, load_config, load_tokenizer

# `<layer>/mean`, `<layer>/sd` and `<layer>/rms`, in the activations' unit, (n_neurons,) each.
Statistics = Mapping[str, Tensor]


class Moments:
    """Sums over the texts for one layer's statistics.

    Parameters
    ----------
    n_neurons : int
        Number of neurons.
    device : torch.device
        Device of the sums; it must support float64.
    """

    def __init__(self, n_neurons: int, device: torch.device) -> None:
        self.device = device
        self.sums = {
            name: torch.zeros(n_neurons, dtype=torch.float64, device=device)
            for name in ("total", "squares")
        }
        self.counts = torch.zeros(2, dtype=torch.int64)  # texts, tokens

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
        if not self.sums["squares"].isfinite().all():
            raise UserError("an activation is not finite; use model.dtype=float32")
        self.counts += torch.tensor([len(keep), int(keep.sum())])

    def state(self) -> dict[str, Tensor]:
        """Return the sums by name."""
        return {**self.sums, "counts": self.counts}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the `state()` of sums over other texts."""
        self.counts += state["counts"]
        for name, total in self.sums.items():
            total += state[name].to(total.device)

    def finish(self) -> dict[str, Tensor]:
        """Return mean, sd and rms, float64, shape (n_neurons,) each."""
        tokens = int(self.counts[1])
        mean, square = self.sums["total"] / tokens, self.sums["squares"] / tokens
        statistics = {"mean": mean, "sd": (square - mean.square()).clamp(min=0).sqrt()}
        return {**statistics, "rms": square.sqrt()}


# Makes a layer's sums from the model's blocks, the layer, its number of neurons and a device.
MakeSums = Callable[[nn.ModuleList, int, int, torch.device], Moments]


def survey(config: Config, examples: Sequence[Example], layers: Sequence[int]) -> Statistics:
    """Return the statistics of some layers' neurons at `config.site`, over all tokens of the texts.

    Parameters
    ----------
    config : Config
        Model, site, ranks and device; of each text the tokens that count are read (`data.part`,
        `data.skip_first`).
    examples : sequence of Example
        The texts.
    layers : sequence of int
        Layers, from 0.
    """
    request = survey_request(config, examples, layers, config.runtime.token_budget)
    name, device = "probe.interventions.survey:read_moments", config.runtime.device
    return run_ranks(name, request.to_bytes(), request.processes, device)


def survey_request(
    config: Config, examples: Sequence[Example], layers: Sequence[int], budget: int
) -> Request:
    """Return the request to read texts, in batches of at most `budget` tokens."""
    return Request(
        config=config,
        layers=sorted(layers),
        batches=form_batches(
            examples,
            budget,
            part=config.data.part,
            limit=length_limit(load_config(config.model).get_text_config()),
            dropped=Dropped.of(load_tokenizer(config.model), config.data.dropped),
        ),
        names=[example.document for example in examples],
        run=f"intervene-{time.monotonic_ns()}",
        matrices=[],
    )


def fetch(payload: bytes) -> None:
    """Fetch the model that `read_moments` will load; called once on every machine."""
    config = Request.config_of(payload)
    fetch_model(config.model, config.init)


def read_moments(payload: bytes, ranks: Ranks) -> dict[str, Tensor]:
    """Return on rank 0 the `Statistics` of a packed request."""
    return read_sums(
        Request.from_bytes(payload), ranks, lambda _, __, width, device: Moments(width, device)
    )


def read_sums(request: Request, ranks: Ranks, make: MakeSums) -> dict[str, Tensor]:
    """Sum up this rank's share; return on rank 0 what all sums give, `<layer>/<name>`."""
    loop = Loop(request, ranks)
    device = ranks.device if ranks.device.type != "mps" else torch.device("cpu")  # no float64 there
    sums = {
        layer: make(loop.reader.blocks, layer, one.shape[-1], device)
        for layer, one in loop.reader.one_token().items()
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
