"""The topology of activations that are given, wherever they come from."""

from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from probe.config import Coefficient, Scheme, Weight
from probe.correlation import Sums, make_sums, rank
from probe.errors import UserError, nearest
from probe.examples.partition import MatrixSpec
from probe.extraction.build_topologies import reliability_of, to_array, to_numbers
from probe.extraction.extracted import ExtractedMatrix
from probe.extraction.token_set import in_single
from probe.system.logs import plural
from probe.topology import Topology


def correlate(
    examples: Iterable[Any],
    scheme: str = "mean",
    weight: str | None = None,
    mask: Any = None,
    std: bool = False,
    correlation: str = "pearson",
) -> Topology:
    """Average the correlations between neurons over examples of activations.

    Parameters
    ----------
    examples : iterable of arrays, each of shape (n_tokens, n_neurons)
        The activations of each example: NumPy arrays or tensors of any floating type of 16 to 64
        bits, on any device, with or without a gradient. Or one array (n_examples, n_tokens,
        n_neurons).
    scheme : {"mean", "fisher", "pooled"}
        Mean of r, mean of arctanh r mapped back, or one r over the tokens of all examples.
    weight : {"example", "token"}, optional
        What counts equally: by default the token for `pooled`, the example for the others.
    mask : array of shape (n_examples, n_tokens), optional
        For one array of examples 1, or True, at the tokens that count, and 0 at others, e.g. a
        tokenizer's `attention_mask`.
    std : bool
        Whether to compute a standard error for every edge, too (`mean` and `fisher`).
    correlation : {"pearson", "spearman"}
        Pearson's r of the activations, or of their ranks over each example's tokens, ties averaged
        (`mean` and `fisher`).

    Returns
    -------
    Topology
        Model, data, weights and site are `given`, the layer is 0. Split halves are the even and
        the odd examples.

    Raises
    ------
    UserError
        If the examples are not such arrays, have different neurons, fewer than two tokens (four
        with `fisher`, whose variance is that of T - 3 tokens) or a value that is not finite.

    Examples
    --------
    >>> first, second = np.random.default_rng(0).normal(size=(2, 50, 3))
    >>> topology = correlate([first, second[:30]])
    >>> expected = (np.corrcoef(first.T) + np.corrcoef(second[:30].T)) / 2
    >>> bool(np.abs(topology.matrix - expected).max() < 1e-6)
    True
    """
    weight = weight or ("token" if scheme == "pooled" else "example")
    _check_choices(scheme, weight, std, correlation)
    sums: list[Sums] = []
    finite, tokens = [], []
    for number, (activations, keep, n_tokens) in enumerate(
        _read(examples, mask, least=4 if scheme == "fisher" else 2)
    ):
        if not sums:
            # MPS has no float64.
            device = torch.device("cpu") if activations.device.type == "mps" else activations.device
            sums = [make_sums(scheme, std, activations.shape[1], 1, device) for _ in range(3)]
        tokens.append(n_tokens)
        amount = torch.tensor([n_tokens if weight == "token" else 1], dtype=torch.float64)
        series, keep = activations[None], keep[None]
        series = rank(series, keep) if correlation == Coefficient.spearman else series
        finite.append(sums[number % 2].update(series, keep, amount))
    if not sums:
        raise UserError("there are no examples to correlate; give one or more")
    if std and len(tokens) < 2:
        raise UserError("std=True needs two examples or more, and there is one; leave it out")
    spoiled = (~torch.cat([one.cpu() for one in finite])).nonzero().flatten().tolist()
    if spoiled:
        raise UserError(f"example {spoiled[0]} has an activation that is not finite; leave it out")
    *halves, whole = sums
    for half in halves:
        whole.merge(half.state())
    average = whole.finish()
    error = None if average.standard_error is None else average.standard_error.float()
    extracted = ExtractedMatrix(
        in_single(average),
        standard_error=error,
        halves=[in_single(half.finish()) for half in halves] if len(tokens) > 1 else [],
    )
    spec = MatrixSpec("given", [0], [0, 1], scheme)
    return Topology(
        matrix=to_array(average.matrix.float()),
        name=spec.name, layers=(0,), scheme=scheme, weight=weight, part=1, parts=1,
        examples=len(tokens), undefined=tuple(to_numbers(average.undefined)),
        site="given", model="given", data="given", subject=None, init="given",
        standard_error=None if error is None else to_array(error),
        reliability=reliability_of(Weight(weight), spec, extracted, np.array(tokens)),
        correlation=correlation,
    )  # fmt: skip


def _check_choices(scheme: str, weight: str, std: bool, correlation: str) -> None:
    for name, value, choices in (
        ("scheme", scheme, [*Scheme]),
        ("weight", weight, [*Weight]),
        ("correlation", correlation, [*Coefficient]),
    ):
        if value not in choices:
            hint = nearest(str(value), choices)
            raise UserError(f"{name}={value!r} is not one of {', '.join(choices)}{hint}")
    if std and scheme == "pooled":
        raise UserError("std=True needs a mean over examples: scheme='mean' or 'fisher'")
    if correlation == Coefficient.spearman and scheme == "pooled":
        raise UserError(
            "correlation='spearman' ranks the tokens of each example: scheme='mean' or 'fisher'"
        )


def _read(examples: Any, mask: Any, least: int) -> Iterator[tuple[Tensor, Tensor, int]]:
    """Yield each example's activations (n_tokens, n_neurons), which tokens count, how many."""
    masks: Iterable[Any] = repeat(None)
    if not isinstance(examples, Iterable):
        raise UserError(
            f"the examples are {_said(examples)}; give a list of arrays (n_tokens, n_neurons), or "
            "one array (n_examples, n_tokens, n_neurons)"
        )
    if mask is not None:
        masks = _mask(mask)
        shapes = tuple(masks.shape), tuple(getattr(examples, "shape", ()))
        if len(shapes[1]) != 3 or shapes[0] != shapes[1][:2]:
            raise UserError(
                "a mask (n_examples, n_tokens) belongs to one array (n_examples, n_tokens, "
                f"n_neurons), but their shapes are {shapes[0]} and {shapes[1]}"
            )
    n_neurons = None
    for number, (example, counts) in enumerate(zip(examples, masks, strict=False)):
        if (
            not isinstance(example, np.ndarray | Tensor)
            or example.ndim != 2
            or not example.shape[1]
        ):
            raise UserError(
                f"example {number} is {_said(example)}, not an array (n_tokens, n_neurons); give "
                "a list of such arrays, or one array (n_examples, n_tokens, n_neurons)"
            )
        activations = _tensor(example)
        if activations is None:
            raise UserError(
                f"example {number} has values of type {example.dtype}, not of a floating type of "
                "16 to 64 bits; give activations, not token ids"
            )
        n_neurons = n_neurons or activations.shape[1]
        if activations.shape[1] != n_neurons:
            raise UserError(
                f"example {number} has {activations.shape[1]} neurons, but the first has "
                f"{n_neurons}; give the activations of one layer"
            )
        keep = torch.ones(len(activations), dtype=torch.bool) if counts is None else counts
        if (n_tokens := int(keep.sum())) < least:
            raise UserError(
                f"example {number} has {plural(n_tokens, 'token')}, and its correlations need "
                f"{least}; leave it out"
            )
        yield activations, keep.to(activations.device), n_tokens


def _mask(given: Any) -> Tensor:
    """Return which tokens count; other numbers than 0 and 1 may mean anything, as -inf does."""
    try:
        mask = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError):
        raise UserError(
            f"the mask is {_said(given)}, not an array (n_examples, n_tokens) of 0 and 1"
        ) from None
    if not ((mask == 0) | (mask == 1)).all():
        raise UserError("the mask has other values than 0 and 1; give 1 for tokens that count")
    return mask.bool()


def _tensor(example: NDArray[Any] | Tensor) -> Tensor | None:
    """Return the values without their gradient; None if they are not of a floating type."""
    if isinstance(example, Tensor):
        # Those of one byte are packed weights, never activations.
        floating = example.is_floating_point() and example.itemsize > 1
        return example.detach().to_dense() if floating else None
    if example.dtype.kind != "f" or example.itemsize > np.float64().itemsize:
        return None
    # A copy, as torch takes no array that is read-only, reversed or of another byte order.
    return torch.from_numpy(np.array(example, example.dtype.newbyteorder("="), order="C"))


def _said(example: Any) -> str:
    shape = getattr(example, "shape", None)
    if example is None:
        return "None"
    return f"of shape {tuple(shape)}" if shape is not None else f"of type {type(example).__name__}"
