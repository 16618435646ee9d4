"""The sums of every matrix that a run makes, fed layer by layer, and the counts beside them."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from probe.batches import Batch, Tensors
from probe.config import Site, Weight
from probe.correlation import Sums, make_sums
from probe.errors import UserError
from probe.request import Request
from probe.sinks import FirstTokenNorm

logger = logging.getLogger(__name__)


class Totals:
    """Sums for each group of layers and each part of the examples.

    Parameters
    ----------
    request : Request
        What to sum.
    n_neurons : int
        Neurons of a layer.
    device : torch.device
        Where the sums live; it must have float64.
    """

    def __init__(self, request: Request, n_neurons: int, device: torch.device) -> None:
        self.request, self.device = request, device
        average = request.config.average
        scheme = average.scheme.value
        self.sums: dict[tuple[str, int], Sums] = {
            (name, part): make_sums(scheme, average.std, n_neurons, len(layers), device)
            for name, layers in request.groups.items()
            for part in range(average.parts)
        }
        self.place = {
            layer: (name, position)
            for name, layers in request.groups.items()
            for position, layer in enumerate(layers)
        }
        self.first_token = FirstTokenNorm(request.layers, device)
        self._finite: list[Tensor] = []
        self.counts = torch.zeros(2, dtype=torch.long)

    def consume(self, batch: Batch, tensors: Tensors, layer: int, activations: Tensor) -> None:
        """Add one layer's activations of a batch.

        Raises
        ------
        UserError
            If an activation is not finite, naming the example and the layer.
        """
        config = self.request.config
        keep = tensors.keep
        if self.device.type != activations.device.type:
            # The formula needs float64, which the model's device (MPS) does not have.
            activations, keep = activations.to(self.device), keep.to(self.device)
        # Not from `keep`, which may be on a GPU that would have to be waited for.
        tokens = torch.tensor([len(ids) - config.data.skip_first for ids in batch.ids])
        by_token = config.average.weight is Weight.token
        weight = tokens.double() if by_token else torch.ones(len(tokens), dtype=torch.float64)
        name, position = self.place[layer]
        finite = self.sums[name, batch.part].update(activations, keep, weight, position)
        self._finite.append(finite)
        if config.site is Site.residual:
            self.first_token.update(layer, activations, keep)
        if layer == self.request.layers[-1]:
            self._refuse_non_finite(batch)
            self.counts += torch.tensor([len(tokens), int(tokens.sum())])

    def _refuse_non_finite(self, batch: Batch) -> None:
        """Look at all layers at once: a GPU stands still while the CPU waits for its answer."""
        finite = torch.stack([row.to(self.device) for row in self._finite]).cpu()
        self._finite.clear()
        if not finite.all():
            place, row = (~finite).nonzero()[0].tolist()
            example = batch.members[row]
            raise UserError(
                f"example {example} ({self.request.names[example]}) has an activation that is "
                f"not finite in layer {self.request.layers[place]}; leave it out, or take "
                "model.dtype=float32"
            )

    def state(self) -> dict[str, Tensor]:
        """Return all sums and counts by name."""
        state = {"counts": self.counts, "first_token": self.first_token.total}
        for (name, part), sums in self.sums.items():
            state |= {f"{name}/{part}/{key}": value for key, value in sums.state().items()}
        return state

    def merge(self, state: dict[str, Tensor]) -> None:
        """Add the `state()` of another rank."""
        self.counts += state["counts"]
        self.first_token.total += state["first_token"]
        for (name, part), sums in self.sums.items():
            prefix = f"{name}/{part}/"
            own = {key.removeprefix(prefix): state[key] for key in state if key.startswith(prefix)}
            sums.merge(own)

    def finish(self) -> dict[str, Tensor]:
        """Turn the sums into averages, once every example has been counted."""
        examples, tokens = self.counts
        assert examples == self.request.n_examples, (
            f"{examples} examples were summed, not {self.request.n_examples}"
        )
        result = {"examples": examples.clone(), "tokens": tokens.clone()}
        if self.request.config.site is Site.residual:
            result["first_token"] = self.first_token.total / examples
        for (name, part), sums in self.sums.items():
            average = sums.finish()
            result[f"{name}/{part}/matrix"] = average.matrix
            result[f"{name}/{part}/undefined"] = average.undefined
            if average.standard_error is not None:
                result[f"{name}/{part}/standard_error"] = average.standard_error
        return result
