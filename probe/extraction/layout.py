"""What a module hands over, as (n_examples, n_tokens, n_neurons): checked, never forced."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from probe.errors import UserError


def series(value: Any, shape: Sequence[int], stream: int | None, where: str) -> Tensor:
    """Return a module's activations with an axis of examples, of tokens and of neurons.

    Parameters
    ----------
    value : Tensor, tuple, list or mapping
        A module's input or output; of several, the first is taken.
    shape : (int, int)
        Examples and tokens of the batch.
    stream : int, optional
        Which of several residual streams.
    where : str
        The layer and its module, for the error.

    Returns
    -------
    Tensor, shape (n_examples, n_tokens, n_neurons)
        The activations. Of a model that pads a batch inside, up to multiples of its attention's
        window, the tokens of the batch; where rows and tokens are one axis, as in OPT's MLP, two.

    Raises
    ------
    UserError
        If the shape is another, or there are several streams and none is chosen.
    """
    if isinstance(value, Mapping):
        value = next(iter(value.values()), None)
    elif isinstance(value, tuple | list):
        value = value[0] if value else None
    if not isinstance(value, Tensor):
        raise UserError(
            f"{where} hands over a value of type {type(value).__name__}, not activations; "
            "choose other layers or another site"
        )
    rows, tokens = shape
    own = tuple(value.shape)
    if value.dim() == 4:
        return _stream(value, (rows, tokens), stream, where)
    if stream is not None and value.dim() == 3:
        raise UserError(
            f"model.stream={stream} was given, but {where} holds one residual stream; leave "
            "model.stream out"
        )
    if value.dim() == 2 and own[0] == rows * tokens:
        return value.reshape(rows, tokens, own[1])
    if value.dim() == 3 and own[0] == rows and own[1] >= tokens:
        return value[:, :tokens]
    raise _odd(where, own, (rows, tokens))


def _stream(value: Tensor, shape: tuple[int, int], stream: int | None, where: str) -> Tensor:
    """Choose one of several residual streams, which are the first axis or the third."""
    own = tuple(value.shape)
    if own[1:3] == shape:
        axis = 0
    elif own[:2] == shape:
        axis = 2
    else:
        raise _odd(where, own, shape)
    most = own[axis] - 1
    if stream is None or stream > most:
        given = "" if stream is None else f", of which {stream} is none"
        raise UserError(
            f"{where} holds {most + 1} residual streams{given}; say which with model.stream=0 "
            f"to {most}"
        )
    return value.select(axis, stream)


def _odd(where: str, own: tuple[int, ...], shape: tuple[int, int]) -> UserError:
    return UserError(
        f"{where} has activations of shape {own}, not ({shape[0]}, {shape[1]}, neurons) for a "
        f"batch of {shape[0]} × {shape[1]} tokens; choose other layers, another site, or name "
        "the blocks with model.blocks="
    )
