"""The cost of a run, computed from the model's shape alone; docs/scale.md has its figures.

Time: a token takes `2 P` floating-point operations in a trunk of `P` weights (without embeddings),
`2 L d t` in the attention of `L` layers to the `t / 2` tokens before it, and `1.1 L n²` in the
correlations of `n` neurons per layer, a symmetric product computed in strips.
Memory, in addition to the model's weights and a batch: `8 n²` bytes for the sums of each matrix,
twice that for split-half r. Disk: `4 n²` bytes per matrix.
"""

from benchmarks.shapes import Shape

# Share of the full square: eight strips skip most entries above the diagonal.
_STRIPS = 9 / 16


def trunk_weights(shape: Shape) -> int:
    """Return the number of weights in a trunk, without embeddings."""
    hidden, inner = shape["hidden_size"], shape["intermediate_size"]
    shared = shape["num_key_value_heads"] / shape["num_attention_heads"]
    attention = 2 * hidden**2 * (1 + shared)
    return round(shape["num_hidden_layers"] * (attention + 3 * hidden * inner))


def operations(shape: Shape, tokens: int, length: int) -> float:
    """Return the floating-point operations of the model and of all layers' correlations."""
    layers, hidden = shape["num_hidden_layers"], shape["hidden_size"]
    model = 2 * trunk_weights(shape) + 2 * layers * hidden * length
    return tokens * (model + 2 * _STRIPS * layers * hidden**2)


def sums_bytes(shape: Shape, matrices: int, halves: bool = True) -> int:
    """Return the memory of the sums on each rank, in bytes."""
    return 8 * shape["hidden_size"] ** 2 * matrices * (2 if halves else 1)


def matrix_bytes(shape: Shape, matrices: int) -> int:
    """Return the size of the matrices on disk, in bytes."""
    return 4 * shape["hidden_size"] ** 2 * matrices
