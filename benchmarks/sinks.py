"""What norms, the strongest token's share and a second topology without sinks cost in a pass.

Random weights, random tokens, one batch, one matrix for each layer. The pass without norms and
share, with them, and with both topologies, side by side with a bare forward pass.
"""

import argparse
import statistics
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import baselines
from benchmarks.ours import Ours
from benchmarks.report import Report, save
from benchmarks.shapes import SHAPES, make_model
from benchmarks.timing import Timing, describe, interleave, rows_over
from probe.config import Sinks
from probe.examples.batches import Batch, Tensors
from probe.examples.sinks import with_sinks
from probe.extraction.accumulator import Accumulator
from probe.extraction.batch_norms import BatchNorms

FLOOR, BARE, NORMS, BOTH = (
    "floor: bare trunk forward", "without norms and share", "with norms and share",
    "with both topologies",
)  # fmt: skip


class Bare(Accumulator):
    """The sums of matrices alone: no norm is taken, and no token's share."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        for sums in self.sets.values():
            for one in sums.matrices.sums.values():
                vars(one)["strongest"] = None

        self.norms = _NoNorms(self.request, self._journal)


class _NoNorms(BatchNorms):
    def ratios(self, layer: int, activations: Tensor, keep: Tensor) -> Tensor:
        return torch.zeros(keep.shape, device=keep.device)

    def count(self, batch: Batch, tensors: Tensors, tokens: Tensor, weight: Tensor) -> None:
        pass


def run(options: argparse.Namespace) -> None:
    """Time the passes in turn and write the results."""
    torch.set_float32_matmul_precision("highest")
    device = torch.device(options.device)
    timings = interleave(make_methods(options, device), options.rounds, device)
    names = ("shape", "dtype", "examples", "tokens", "rounds", "matmul")
    facts = describe(device) | {name: getattr(options, name) for name in names}
    save(report(timings, facts, f"sinks-{device.type}-{options.shape}-{options.dtype}"))


def make_methods(
    options: argparse.Namespace, device: torch.device
) -> dict[str, Callable[[], float]]:
    """Return the passes by name, the floor first."""
    model = make_model(options.shape, getattr(torch, options.dtype), device)
    trunk = model.get_submodule("model")
    size = (options.examples, options.tokens)
    tokens = torch.randint(SHAPES[options.shape]["vocab_size"], size)
    batch = Batch(list(range(options.examples)), tokens.tolist())
    tokens = tokens.to(device)

    def floor() -> float:
        baselines.forward(trunk, tokens)
        return 0.0

    def one(kind: type[Accumulator], sinks: Sinks) -> Callable[[], float]:
        return _ours(trunk, batch, options, kind, sinks).run

    return {
        FLOOR: floor,
        BARE: one(Bare, Sinks.keep),
        NORMS: one(Accumulator, Sinks.keep),
        BOTH: one(Accumulator, Sinks.both),
    }


def _ours(
    trunk: nn.Module, batch: Batch, options: argparse.Namespace, kind: type[Accumulator],
    sinks: Sinks,
) -> Ours:  # fmt: skip
    layers = list(range(SHAPES[options.shape]["num_hidden_layers"]))
    ours = Ours(trunk, batch, layers, "each", "mean", options.matmul)
    ours.request = replace(ours.request, matrices=with_sinks(ours.request.matrices, sinks))
    ours.sums = kind(ours.request, ours.reader.n_neurons(), ours.device)
    if kind is not Bare:
        ours.reader.before_norm = ours.sums.before_norm
    return ours


def report(timings: Mapping[str, Timing], facts: dict[str, object], name: str) -> Report:
    """Return the report: medians, ratios to the pass without, and what `both` adds."""
    floor, bare, norms, both = (timings[one].wall for one in (FLOOR, BARE, NORMS, BOTH))
    more = statistics.median(n / b - 1 for n, b in zip(norms, bare, strict=True))
    product = [b - f for b, f in zip(bare, floor, strict=True)]
    second = [(b - f) / p for b, f, p in zip(both, floor, product, strict=True) if p > 0]
    notes = [f"Norms and share add {more:.1%} to the pass without them."]
    if second:
        times = statistics.median(second)
        notes.append(
            f"With both topologies, what is not the forward pass takes {times:.2f} times as long."
        )
    return Report(
        name=name,
        title="Norms of all tokens, the strongest one's share, and topologies without sinks",
        facts=facts,
        columns=["", "wall s", "over the pass without", "CPU s", "over the pass without"],
        rows=rows_over(timings, timings[BARE]),
        notes=notes,
        raw={method: vars(timing) for method, timing in timings.items()},
    )
