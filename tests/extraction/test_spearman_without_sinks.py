"""Where norm outliers are dropped, the tokens that are left are ranked, and hubs have no others."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from probe.config import Coefficient, NullConfig, Scheme, Side, Sinks, Weight
from probe.extraction.accumulator import Accumulator
from probe.extraction.circular_shift import draw_shifts
from probe.extraction.extracted import Extracted
from probe.extraction.peaks import read_peaks
from tests import reference
from tests.extraction.test_accumulator import CPU, LAYERS, NEURONS, close
from tests.extraction.test_without_sinks import Sunken

LENGTHS = [25, 12, 30, 18]


def sum_up(texts: Sunken, sinks: Sinks, scheme: Scheme, shifts: int = 0) -> Extracted:
    request = texts.wanted(sinks, scheme, Weight.example, 70, null=NullConfig(shifts, seed=5))
    request.config.average.correlation = Coefficient.spearman
    totals = Accumulator(request, NEURONS, CPU)
    for batch in request.batches:
        tensors = batch.tensors(0, Side.left, 0)
        for layer in LAYERS:
            x = torch.full((*tensors.keep.shape, NEURONS), 1e3)
            for row, member in enumerate(batch.members):
                x[row][tensors.keep[row]] = torch.from_numpy(texts.series[layer][member])
            totals.consume(batch, tensors, layer, x)
    return Extracted.from_tensors(totals.finish().to_tensors())


@pytest.mark.parametrize("scheme", [Scheme.mean, Scheme.fisher])
def test_both_topologies_rank_the_tokens_that_they_count(scheme: Scheme) -> None:
    texts = Sunken(LENGTHS)
    result = sum_up(texts, Sinks.both, scheme, shifts=1)
    for end, series in (("", texts.series), ("_without_sinks", texts.left())):
        for name, layers in (("all", LAYERS), ("one", [1])):
            expected = reference.topology(
                reference.ranked([series[layer] for layer in layers]), scheme.value
            )
            close(result.matrices[name + end].average, expected)
        of = series[1]
        shifts = draw_shifts(5, 0, range(4), torch.tensor([len(x) for x in of]), NEURONS)
        rolled = [
            np.stack([np.roll(x[:, n], int(shifts[b, n])) for n in range(NEURONS)], axis=1)
            for b, x in enumerate(of)
        ]
        expected = reference.topology(reference.ranked([rolled]), scheme.value)
        close(result.matrices[f"one{end}"].nulls[0], expected)


def test_what_nobody_describes_is_not_kept() -> None:
    texts = Sunken(LENGTHS)
    asked = texts.wanted(Sinks.both, Scheme.mean, Weight.example, 70)
    with_peaks, without = (
        texts.sum_up(replace(asked, describe=describe), asked.batches) for describe in (True, False)
    )
    kept = {name for name in with_peaks.state() if "peaks" in name}
    assert without.state().keys() == with_peaks.state().keys() - kept
    assert len(kept) == 2 * len(LAYERS) * len({batch.cell for batch in asked.batches})
    assert without.finish().peaks == {}


def test_neurons_are_largest_on_tokens_that_count() -> None:
    texts = Sunken(LENGTHS)
    peaks = sum_up(texts, Sinks.both, Scheme.mean).peaks
    assert peaks.keys() == {"all", "one", "all_without_sinks", "one_without_sinks"}
    for end, left in (("", texts.series), ("_without_sinks", texts.left())):
        for layer in LAYERS:
            for neuron in range(NEURONS):
                found = list(read_peaks(peaks[f"all{end}"][layer], layer, neuron))
                assert len(found) == 4
                for peak in found:
                    series = left[layer][peak.example][:, neuron]
                    assert abs(peak.value) == np.abs(series).max()
                    assert texts.series[layer][peak.example][peak.position, neuron] == peak.value
