"""What an extraction returns: averaged matrices and counts, as tensors between processes."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from probe.correlation import Correlation

# Passed as JSON.
_WORDS = ("norms", "checks", "sinks")


@dataclass(frozen=True)
class ExtractedMatrix:
    """One of the requested matrices, and what its noise is estimated from.

    Attributes
    ----------
    average : Correlation or None
        The matrix; None if it is to be joined from blocks.
    blocks : dict of (int, int) to Correlation
        The blocks of a matrix of several layers' neurons, by the two layers.
    standard_error : Tensor of float32, shape (n_neurons, n_neurons), or None
        Standard error of every entry.
    halves : list of Correlation
        The same over each of two halves of the examples, or empty.
    nulls : list of Tensor of float32, shape (n_neurons, n_neurons)
        The same of circularly shifted series, one for each repetition.
    agreement : Tensor of float32, shape (n_layers,), or None
        Correlation of each layer with the mean over layers, over a sample of neurons.
    kept : Tensor of float64, shape (4, n_layers), or None
        A `kept_tokens.Kept`, if norm outliers are dropped.
    strongest_share : Tensor of float64, shape (), or None
        Share of the texts' strongest tokens, see `StrongestTokens`.
    """

    average: Correlation | None
    blocks: dict[tuple[int, int], Correlation] = field(default_factory=dict)
    standard_error: Tensor | None = None
    halves: list[Correlation] = field(default_factory=list)
    nulls: list[Tensor] = field(default_factory=list)
    agreement: Tensor | None = None
    kept: Tensor | None = None
    strongest_share: Tensor | None = None

    def to_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield every tensor with a name."""
        averages = {"": self.average} if self.average is not None else {}
        averages |= {f"block:{i}:{j}:": block for (i, j), block in self.blocks.items()}
        averages |= {f"half:{number}:": half for number, half in enumerate(self.halves)}
        for prefix, average in averages.items():
            yield f"{prefix}matrix", average.matrix
            yield f"{prefix}undefined", average.undefined
        for name in ("standard_error", "agreement", "kept", "strongest_share"):
            if getattr(self, name) is not None:
                yield name, getattr(self, name)
        for repetition, null in enumerate(self.nulls):
            yield f"null:{repetition:09}", null  # in order by name

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "ExtractedMatrix":
        """Rebuild from the tensors of `to_tensors`."""

        def average(prefix: str) -> Correlation:
            return Correlation(tensors[f"{prefix}matrix"], tensors[f"{prefix}undefined"])

        pairs = [name.split(":")[1:3] for name in tensors if re.match("block:.*:matrix", name)]
        return cls(
            average=average("") if "matrix" in tensors else None,
            blocks={(int(i), int(j)): average(f"block:{i}:{j}:") for i, j in pairs},
            standard_error=tensors.get("standard_error"),
            halves=[average(f"half:{n}:") for n in (0, 1) if f"half:{n}:matrix" in tensors],
            nulls=[tensors[name] for name in sorted(tensors) if name.startswith("null:")],
            agreement=tensors.get("agreement"),
            kept=tensors.get("kept"),
            strongest_share=tensors.get("strongest_share"),
        )


@dataclass(frozen=True)
class Extracted:
    """What all ranks extracted together.

    Attributes
    ----------
    examples, tokens : int
        What was summed.
    out_of_memory : int
        Batches that ran out of memory and were read again in parts.
    matrices : dict of str to ExtractedMatrix
        By name.
    first_token_norm : Tensor of float64, shape (n_layers,), or None
        For each layer the first token's norm over the median norm, dimensionless.
    norms : dict, optional
        Norms of all tokens, see `TokenNorms.record`.
    checks : dict, optional
        What the run has found of itself before it counted, see `probe.extraction.checks`.
    sinks : dict, optional
        What was decided of tokens that rule a topology, see `checks.sinks.settle_sinks`.
    peaks : dict of str to dict of int to Tensor
        By matrix and layer the tokens on which every neuron is largest, see `Peaks.kept`.
    """

    examples: int
    tokens: int
    out_of_memory: int
    matrices: dict[str, ExtractedMatrix]
    first_token_norm: Tensor | None = None
    norms: dict[str, Any] | None = None
    checks: dict[str, Any] | None = None
    sinks: dict[str, Any] | None = None
    peaks: dict[str, dict[int, Tensor]] = field(default_factory=dict)

    def to_tensors(self) -> dict[str, Tensor]:
        """Return all tensors and counts by name, to pass them to another process."""
        tensors = {"counts": torch.tensor([self.examples, self.tokens, self.out_of_memory])}
        if self.first_token_norm is not None:
            tensors["first_token_norm"] = self.first_token_norm
        for name in _WORDS:
            if (content := getattr(self, name)) is not None:
                words = json.dumps(content).encode()
                tensors[name] = torch.frombuffer(bytearray(words), dtype=torch.uint8)
        for name, layers in self.peaks.items():
            tensors |= {f"peaks:{layer}/{name}": kept for layer, kept in layers.items()}
        for name, matrix in self.matrices.items():
            # The matrix's name last: it may hold any character.
            tensors |= {f"{part}/{name}": tensor for part, tensor in matrix.to_tensors()}
        return tensors

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "Extracted":
        """Rebuild from the tensors of `to_tensors`."""
        parts: defaultdict[str, dict[str, Tensor]] = defaultdict(dict)
        for key, tensor in tensors.items():
            part, slash, name = key.partition("/")
            if slash:
                parts[name][part] = tensor
        examples, tokens, out_of_memory = tensors["counts"].tolist()
        return cls(
            examples=examples,
            tokens=tokens,
            out_of_memory=out_of_memory,
            matrices={name: ExtractedMatrix.from_tensors(part) for name, part in parts.items()},
            first_token_norm=tensors.get("first_token_norm"),
            peaks={name: _peaks(part) for name, part in parts.items()},
            **{
                name: json.loads(bytes(tensors[name].tolist()))
                for name in _WORDS
                if name in tensors
            },
        )


def _peaks(part: Mapping[str, Tensor]) -> dict[int, Tensor]:
    layers = (name.removeprefix("peaks:") for name in part if name.startswith("peaks:"))
    return {int(layer): part[f"peaks:{layer}"] for layer in layers}
