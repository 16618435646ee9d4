"""The benchmark of norms, share and both topologies measures what it says."""

from itertools import product

import torch

from benchmarks.sinks import BARE, BOTH, FLOOR, NORMS, Bare, report
from benchmarks.timing import Timing
from probe.config import Side
from probe.examples.batches import form_batches
from probe.examples.partition import MatrixSpec
from probe.extraction.accumulator import Accumulator
from tests.extraction.test_accumulator import CPU, LAYERS, NEURONS, Texts


def test_the_report_says_what_is_added() -> None:
    seconds = {FLOOR: 8.0, BARE: 10.0, NORMS: 10.2, BOTH: 12.0}
    timings = {name: Timing([one, 2 * one], [one, one]) for name, one in seconds.items()}
    told = report(timings, {}, "sinks")
    assert [row[2] for row in told.rows] == ["0.800", "1.000", "1.020", "1.200"]
    assert told.notes == [
        "Norms and share add 2.0% to the pass without them.",
        "With both topologies, what is not the forward pass takes 2.00 times as long.",
    ]


def test_the_pass_without_norms_sums_the_same_matrices_and_counts_nothing_else() -> None:
    texts = Texts([12, 14, 9])
    batches = form_batches(texts.examples, 60)
    request = texts.request([MatrixSpec("one", [1], [0])], batches)
    sums = [Accumulator(request, NEURONS, CPU), Bare(request, NEURONS, CPU)]
    for batch in batches:
        tensors = batch.tensors(0, Side.right, 0)
        for layer, one in product(LAYERS, sums):
            one.consume(batch, tensors, layer, torch.ones(*tensors.keep.shape, NEURONS).cumsum(1))
    whole, bare = (one.state() for one in sums)
    assert bare.keys() == whole.keys() - {name for name in whole if name.endswith("strongest")}
    differ = {name for name in bare if not torch.equal(bare[name], whole[name])}
    assert differ == {"norms/ratios"}
