"""What a run costs, worked out from the model's shape alone; docs/scale.md has its figures.

Time: a token takes `2 P` floating-point operations in a trunk of `P` weights (without its
embeddings), `2 L d t` in the attention of `L` layers to the `t / 2` tokens before it and `1.1 L n²`
in the correlations of `n` neurons a layer, a symmetric product made in strips.
Memory, beside the model's weights and a batch: `8 n²` bytes for the sums of every matrix, twice
that where its halves are compared. Disk: `4 n²` bytes a matrix.
"""

from __future__ import annotations

from benchmarks.shapes import Shape

# Of the square that a symmetric product would fill: what eight strips leave out is not computed.
_STRIPS = 9 / 16


def trunk_weights(shape: Shape) -> int:
    """Count a trunk's weights without its embeddings."""
    hidden, inner = shape["hidden_size"], shape["intermediate_size"]
    shared = shape["num_key_value_heads"] / shape["num_attention_heads"]
    attention = 2 * hidden**2 * (1 + shared)
    return round(shape["num_hidden_layers"] * (attention + 3 * hidden * inner))


def operations(shape: Shape, tokens: int, length: int) -> float:
    """Return the floating-point operations of all layers' correlations, the model's included."""
    layers, hidden = shape["num_hidden_layers"], shape["hidden_size"]
    model = 2 * trunk_weights(shape) + 2 * layers * hidden * length
    return tokens * (model + 2 * _STRIPS * layers * hidden**2)


def sums_bytes(shape: Shape, matrices: int, halves: bool = True) -> int:
    """Return the bytes of memory that the sums take on every rank."""
    return 8 * shape["hidden_size"] ** 2 * matrices * (2 if halves else 1)


def matrix_bytes(shape: Shape, matrices: int) -> int:
    """Return the bytes of disk that the matrices take."""
    return 4 * shape["hidden_size"] ** 2 * matrices
