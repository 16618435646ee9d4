"""Treatments: what is done to the activations of chosen neurons, at all tokens."""

from dataclasses import dataclass

import torch
from torch import Tensor

from probe.errors import UserError

# What each does, as a figure's title says it.
TREATMENTS = {
    "mean": "set to their mean",
    "zero": "set to zero",
    "noise": "noise of their SD added",
    "add": "a constant added",
    "scale": "scaled",
}
# Those with an amount, and the amount that changes nothing.
_IDLE = {"add": 0.0, "scale": 1.0}


@dataclass(frozen=True)
class Treatment:
    """A treatment of neurons.

    Attributes
    ----------
    name : str
        `zero`; `mean`: the neuron's mean over other texts; `noise`: Gaussian noise of the neuron's
        own standard deviation is added; `add`: a constant is; `scale`: a factor is applied.
    amount : float, optional
        For `add`, in the activations' unit; for `scale`, dimensionless. With 0 and 1 they return
        the very same activations.

    Raises
    ------
    UserError
        If there is no such treatment, or it lacks an amount or has one too many.

    Examples
    --------
    >>> x, chosen = torch.tensor([[[1.0, 2.0]]]), torch.tensor([[True, False]])
    >>> Treatment("scale", 3.0)(x, chosen)
    tensor([[[3., 2.]]])
    """

    name: str
    amount: float | None = None

    def __post_init__(self) -> None:
        """Check name and amount."""
        if self.name not in TREATMENTS:
            raise UserError(
                f"the treatment {self.name} is unknown; choose of {', '.join(TREATMENTS)}"
            )
        if (self.amount is not None) != (self.name in _IDLE):
            raise UserError(
                f"the treatment {self.name} needs an amount, e.g. 2"
                if self.name in _IDLE
                else f"the treatment {self.name} has no amount; leave it out"
            )

    def __str__(self) -> str:
        return self.name if self.amount is None else f"{self.name} {self.amount:g}"

    @property
    def idle(self) -> bool:
        """Whether it changes nothing."""
        return self.amount is not None and self.amount == _IDLE[self.name]

    def __call__(
        self,
        activations: Tensor,
        chosen: Tensor,
        mean: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        """Treat the chosen neurons; the others keep every bit.

        Parameters
        ----------
        activations : Tensor, shape (n_examples, n_tokens, n_neurons)
            Activations of a layer.
        chosen : Tensor of bool, shape (n_examples, n_neurons), or (1, n_neurons) for all examples
            The neurons to treat.
        mean : Tensor, shape (n_neurons,), optional
            For `mean`.
        noise : Tensor, shape (n_examples, n_tokens, n_neurons), optional
            For `noise`, in the activations' unit.
        """
        if self.idle:
            return activations
        here = chosen.unsqueeze(1)
        if self.name == "zero":
            return activations.masked_fill(here, 0)
        if self.name == "mean":
            assert mean is not None, "means must be taken before"
            return torch.where(here, mean.to(activations), activations)
        if self.name == "noise":
            assert noise is not None, "noise must be drawn before"
            return torch.where(here, activations + noise.to(activations), activations)
        assert self.amount is not None
        new = activations + self.amount if self.name == "add" else activations * self.amount
        return torch.where(here, new, activations)


def norm_shares(
    before: Tensor, after: Tensor, chosen: Tensor, attended: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the shares of the squared norm in the chosen neurons, and moved by the treatment.

    Parameters
    ----------
    before, after : Tensor, shape (n_examples, n_tokens, n_neurons)
        Activations without and with the treatment.
    chosen : Tensor of bool, shape (n_examples, n_neurons), or (1, n_neurons) for all examples
        The treated neurons.
    attended : Tensor of bool, shape (n_examples, n_tokens)
        False at padding.

    Returns
    -------
    held, moved : Tensor of float32, shape (n_examples,)
        `Σ_chosen x² / Σ x²` and `Σ (x' - x)² / Σ x²` over all tokens; equal for the treatment
        zero.
    """
    tokens = attended.unsqueeze(-1)
    squares = before.float().square() * tokens
    by_neuron = squares.sum(dim=1)
    moved = ((after.float() - before.float()).square() * tokens).sum(dim=(1, 2))
    total = by_neuron.sum(dim=1)
    return (by_neuron * chosen).sum(dim=1) / total, moved / total
