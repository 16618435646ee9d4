"""However texts are cut, dealt, halved, interrupted and scaled, sums are the float64 definition.

`python -m pytest tests -k fuzz -n 0 -m "" --hypothesis-profile=long` looks for longer.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import event, given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

from probe.config import (
    AverageConfig,
    Coefficient,
    Config,
    DataConfig,
    ModelConfig,
    Scheme,
    Side,
    Weight,
)
from probe.examples.batches import Batch, Tensors, form_batches
from probe.examples.choose import Example
from probe.examples.counting import Dropped
from probe.examples.partition import partition
from probe.examples.request import Request
from probe.extraction.accumulator import Accumulator
from probe.extraction.build_topologies import build_topologies
from probe.extraction.out_of_memory import in_halves
from tests import reference

# The default profile tries a hundred.
TIMES = settings.default.max_examples / 100 if settings.default is not None else 1
CPU = torch.device("cpu")
PADDING = float("nan")


@dataclass(frozen=True)
class Case:
    """Random activations, and how they reach the sums."""

    seed: int
    lengths: list[int]
    n_neurons: int
    layers: list[int]
    scale: float
    mean: float
    constant: float
    scheme: Scheme
    correlation: Coefficient
    weight: Weight
    kind: str
    parts: int
    skip_first: int
    gaps: float
    side: Side
    budget: int
    interruptions: int
    failures: float

    def ids(self, text: int) -> list[int]:
        """Return the tokens of a text, some of which are dropped (7) among those that count."""
        gaps = np.random.default_rng([self.seed, text]).geometric(1 - self.gaps, self.lengths[text])
        counted = [token for gap in gaps for token in [7] * (gap - 1) + [1]]
        return [1] * self.skip_first + counted

    def series(self) -> dict[int, list[np.ndarray]]:
        """Draw what the layers say; they have something in common, and some neurons are stuck."""
        rng = np.random.default_rng(self.seed)
        offset = self.mean * rng.standard_normal(self.n_neurons)
        dead = rng.random(self.n_neurons) < self.constant / 2
        drawn: dict[int, list[np.ndarray]] = {layer: [] for layer in self.layers}
        for length in self.lengths:
            common = rng.standard_normal((length, 1)) + rng.standard_normal((length, 1)) ** 3
            for found in drawn.values():
                x = self.scale * (common + rng.standard_normal((length, self.n_neurons)) + offset)
                stuck = rng.random(self.n_neurons) < self.constant
                x[:, stuck | dead] = x[0, stuck | dead]
                found.append(x.astype(np.float32))
        return drawn


cases = st.builds(
    Case,
    seed=st.integers(0, 10**6),
    lengths=st.lists(st.integers(4, 60), min_size=4, max_size=12),
    n_neurons=st.integers(1, 12),
    layers=st.sampled_from([[0], [0, 1], [1, 4], [0, 2, 3]]),
    scale=st.sampled_from([1e-6, 1e-3, 1.0, 1e3, 1e6]),
    mean=st.sampled_from([0.0, 1.0, 1000.0]),
    constant=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    scheme=st.sampled_from(list(Scheme)),
    correlation=st.sampled_from(list(Coefficient)),
    weight=st.sampled_from(list(Weight)),
    kind=st.sampled_from(["layer", "all", "cross", "full"]),
    parts=st.integers(1, 2),
    skip_first=st.integers(0, 2),
    gaps=st.sampled_from([0.0, 0.3]),
    side=st.sampled_from(list(Side)),
    budget=st.integers(1, 400),
    interruptions=st.integers(0, 4),
    failures=st.sampled_from([0.0, 0.2, 0.6]),
)


class Extraction:
    """The loop over batches, with memory that runs out now and then."""

    def __init__(self, case: Case, request: Request) -> None:
        self.case, self.request, self.series = case, request, case.series()
        self.rng = np.random.default_rng(case.seed)

    def sum_up(self, batches: list[Batch]) -> Accumulator:
        """Do some of the batches, as a process that then ends would."""
        totals = Accumulator(self.request, self.case.n_neurons, CPU)
        for batch in batches:
            tensors = batch.tensors(0, self.case.side, self.case.skip_first)

            def read(part: Batch, tensors: Tensors) -> None:
                for layer in self.case.layers:
                    self._perhaps_fail(part)
                    totals.consume(part, tensors, layer, self._activations(layer, part, tensors))

            for _ in in_halves(batch, tensors, read, totals.halve):
                continue
        return totals

    def _perhaps_fail(self, part: Batch) -> None:
        if len(part.members) > 1 and self.rng.random() < self.case.failures:
            event("a batch was halved")
            raise torch.OutOfMemoryError

    def _activations(self, layer: int, part: Batch, tensors: Tensors) -> torch.Tensor:
        x = torch.full((*tensors.keep.shape, self.case.n_neurons), PADDING)
        for row, member in enumerate(part.members):
            x[row][tensors.attended[row]] = 1e3  # also of the first tokens, which are left out
            x[row][tensors.keep[row]] = torch.from_numpy(self.series[layer][member])
        return x


def tries(examples: int) -> settings:
    """Try so many examples, always the same and first ones unless a longer profile is given."""
    return settings(
        derandomize=TIMES == 1, database=None, deadline=None, max_examples=int(examples * TIMES)
    )


@pytest.mark.parametrize("examples", [80, pytest.param(300, marks=pytest.mark.campaign)])
def test_the_sums_are_the_definition_whatever_happens_on_the_way(examples: int) -> None:
    tries(examples)(given(cases)(check_sums))()


def check_sums(case: Case) -> None:
    joint = case.kind in ("cross", "full")
    if joint and (len(case.layers) < 2 or case.scheme is Scheme.pooled):
        case = Case(**{**vars(case), "layers": [0, 2, 3], "scheme": Scheme.mean})
    spearman = case.correlation is Coefficient.spearman and case.scheme is not Scheme.pooled
    correlation = Coefficient.spearman if spearman else Coefficient.pearson
    groups = {
        "layer": {f"layer_{layer}": [layer] for layer in case.layers},
        "all": {"all_layers": case.layers},
        "cross": {f"cross_{i}_{j}": [i, j] for i, j in combinations(case.layers, 2)},
        "full": {"full": case.layers},
    }[case.kind]
    examples = [Example(f"d{i}", case.ids(i)) for i in range(len(case.lengths))]
    kind = case.kind if joint else "layer"
    cells, wanted = partition(groups, examples, case.scheme.value, case.parts, not joint, kind)
    batches = form_batches(examples, case.budget, cells, dropped=Dropped((7,)))
    config = Config(
        model=ModelConfig(id="a/b"),
        data=DataConfig(source="text", name="t", skip_first=case.skip_first),
        average=AverageConfig(case.scheme, case.weight, correlation=correlation),
    )
    names = [example.document for example in examples]
    request = Request(config, case.layers, batches, names, "test", wanted)
    extraction = Extraction(case, request)

    # Every piece of work is another process's, whose sums come back from a file.
    pieces = case.interruptions + 1
    order = np.random.default_rng(case.seed).permutation(len(batches))
    totals = Accumulator(request, case.n_neurons, CPU)
    for piece in range(pieces):
        done = extraction.sum_up([batches[i] for i in order[piece::pieces]])
        state = {name: tensor.contiguous() for name, tensor in done.state().items()}
        totals.merge(load(save(state)))
    for matrix, topology in zip(wanted, build_topologies(request, totals.finish()), strict=True):
        members = sorted(m for cell in matrix.cells for m in cells[cell])
        series = [[extraction.series[layer][m] for m in members] for layer in matrix.layers]
        if joint:
            series = [[np.concatenate(layers, axis=1) for layers in zip(*series, strict=True)]]
        series = reference.ranked(series) if spearman else series
        expected = reference.topology(series, case.scheme.value, case.weight.value)
        undefined = np.flatnonzero(np.diagonal(expected) == 0)
        if case.kind == "cross":
            expected = expected[: case.n_neurons, case.n_neurons :]
        assert topology.undefined == tuple(undefined.tolist())
        np.testing.assert_allclose(topology.matrix, expected, atol=1e-6, rtol=0)
