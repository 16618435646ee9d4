"""The scan beside brute force, in any batches, on several ranks, and after an interruption."""

from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from experiments.neuron_graphs.scan import Columns, TopTexts
from experiments.neuron_graphs.scanning import Scan, scan
from experiments.neuron_graphs.settings import NeuronGraphs, NeuronGraphsConfig
from experiments.neuron_graphs.unit import Unit
from experiments.neuron_graphs.work import Work
from probe import api
from probe.api import Side, UserError
from probe.cli import compose_job
from tests.experiments.neuron_graphs.oracles import write_texts

UNITS = sorted([Unit(0, 3), Unit(0, 3, -1), Unit(1, 0), Unit(1, 7), Unit(1, 7, -1)])
composed = cache(lambda *words: compose_job(list(words), NeuronGraphsConfig))


@pytest.fixture(scope="module", autouse=True)
def texts(working_directory: None) -> None:
    write_texts(Path("texts.jsonl"))


def random_batches(
    seed: int, ties: bool
) -> tuple[list[tuple[list[int], torch.Tensor, torch.Tensor]], torch.Tensor]:
    """Return batches of members, activations by (example, token, neuron) and mask; documents."""
    rng = np.random.default_rng(seed)
    documents = torch.from_numpy(rng.integers(0, 9, 24))
    batches = []
    order = rng.permutation(24)
    while len(order):
        size, length = int(rng.integers(1, 6)), int(rng.integers(2, 7))
        members, order = order[:size].tolist(), order[size:]
        values = rng.normal(size=(len(members), length, 8))
        values = np.round(values) if ties else values
        keep = np.ones((len(members), length), bool)
        keep[:, 0] = rng.random(len(members)) < 0.5
        batches.append(
            (members, torch.from_numpy(values.astype(np.float32)), torch.from_numpy(keep))
        )
    return batches, documents


def found(top: TopTexts, unit: int) -> list[tuple[float, int, int]]:
    rows = zip(top.values[unit].tolist(), top.documents[unit].tolist(), top.examples[unit].tolist(),
               strict=True)  # fmt: skip
    return sorted((-value, document, example) for value, document, example in rows if example >= 0)


@pytest.mark.parametrize("seed", range(12))
def test_texts_are_those_of_brute_force_in_any_order(seed: int) -> None:
    batches, documents = random_batches(seed, ties=seed % 2 == 0)
    units = [Unit(0, n, sign) for n in range(8) for sign in (-1, 1)]
    halves = [TopTexts(Columns.of(units), 4, 6, {5: slice(0, 2)}) for _ in range(2)]
    for number, (members, values, keep) in enumerate(batches):
        for _ in range(1 + number % 2):  # a batch that is read again counts once
            halves[number % 2].add(0, values, keep, members, documents[members])
    top = halves[0]
    top.merge(halves[1].state())
    for number, unit in enumerate(units):
        best: dict[int, tuple[float, int, int]] = {}
        for members, values, keep in batches:
            for row, member in enumerate(members):
                own = values[row, :, unit.neuron] * unit.sign
                if keep[row].any() and (peak := float(own[keep[row]].max())) > 0:
                    entry = (-peak, int(documents[member]), member)
                    best[entry[1]] = min(entry, best.get(entry[1], entry))
        expected = sorted(best.values())[:4]
        assert found(top, number) == expected
        for value, document, example in expected:
            place = (top.examples[number] == example).nonzero()[0, 0]
            [(row, values)] = [
                (members.index(example), values) for members, values, _ in batches
                if example in members
            ]  # fmt: skip
            own = values[row, :, unit.neuron] * unit.sign
            assert torch.equal(top.rows[number, place, : len(own)], own)
            assert top.values[number, place] == -value
            assert top.documents[number, place] == document
    [(row, values)] = [(m.index(5), v) for m, v, _ in batches if 5 in m]
    signs = torch.tensor([-1, 1] * 8)
    expected_sample = values[row, :2].repeat_interleave(2, dim=1).T * signs[:, None]
    assert torch.equal(top.sample, expected_sample.half())


def configured(*words: str, **settings: Any) -> NeuronGraphsConfig:
    plain = composed(
        "data=text", "data.path=texts.jsonl", "data.cut=tokens", "data.window=40", "data.limit=30",
        "site=mlp", "tracking=none", "runtime.device=cpu", *words,
    )  # fmt: skip
    config = {field.name: getattr(plain, field.name) for field in fields(api.Config)}
    config["model"] = replace(config["model"], padding_side=Side.right)
    return NeuronGraphsConfig(**config, study=NeuronGraphs(**settings))


def scanned(config: NeuronGraphsConfig, file: Path, number: int = 3) -> Scan:
    work = Work.of(config, file.parent)
    return scan(work.request, UNITS, number, work.sampled, None, file)


@pytest.fixture(scope="module")
def expected() -> list[api.ExampleActivations]:
    """Return the activations of all texts, read by the public interface."""
    config = configured()
    return sorted(api.iterate(config, "layers=[0,1]"), key=lambda one: one.example)


@pytest.mark.parametrize("words", [(), ("runtime.token_budget=64",), ("launch.num_processes=2",)])
def test_a_scan_is_what_iterate_reads(
    words: tuple[str, ...],
    expected: list[api.ExampleActivations],
    tmp_path: Path,
    one_process: None,
) -> None:
    config = configured(*words, random=3)
    result = scanned(config, tmp_path / "given.safetensors")
    for unit in UNITS:
        peaks: dict[str, tuple[float, int]] = {}
        for one in expected:
            peak = float((one.layers[unit.layer][:, unit.neuron] * unit.sign).max())
            if peak > peaks.get(one.document, (0.0, 0))[0]:
                peaks[one.document] = (peak, one.example)
        best = sorted(peaks.values(), reverse=True)[:3]
        texts = result.texts(unit)
        assert [text.example for text in texts] == [example for _, example in best]
        assert len({text.document for text in texts}) == len(texts)
        for text in texts:
            own = expected[text.example]
            assert text.tokens.tolist() == own.tokens.tolist()
            values = own.layers[unit.layer][:, unit.neuron].numpy() * unit.sign
            np.testing.assert_allclose(text.activations, values, atol=1e-5)
        sample = result.sample(unit)
        for example, where in result.sampled.items():
            values = expected[example].layers[unit.layer][:, unit.neuron].numpy() * unit.sign
            np.testing.assert_allclose(sample[where], values, rtol=1e-3, atol=1e-4)
    assert len(result.sampled) == 3


def test_a_finished_scan_is_not_repeated_and_one_of_other_weights_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, file = configured(), tmp_path / "given.safetensors"
    first = [text.example for text in scanned(config, file).texts(UNITS[0])]
    calls: list[str] = []

    def refuse(name: str, *_: object) -> None:
        calls.append(name)
        raise UserError("read again")

    monkeypatch.setattr("experiments.neuron_graphs.scanning.run_ranks", refuse)
    assert [text.example for text in scanned(config, file).texts(UNITS[0])] == first
    assert not calls
    with pytest.raises(UserError, match="read again"):
        scanned(api.overlay(config, ["init=random"]), file)


def test_an_interrupted_scan_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured("runtime.token_budget=64", "runtime.checkpoint_minutes=0")
    whole = scanned(config, tmp_path / "whole.safetensors")
    file = tmp_path / "given.safetensors"
    read: list[int] = []
    add = TopTexts.add

    def dies(self: TopTexts, layer: int, x: Any, keep: Any, members: list[int], of: Any) -> None:
        read.extend(members if layer == 0 else [])
        if len(read) > 5:
            raise KeyboardInterrupt
        add(self, layer, x, keep, members, of)

    monkeypatch.setattr(TopTexts, "add", dies)
    with pytest.raises(KeyboardInterrupt):
        scanned(config, file)
    before, _ = read.copy(), read.clear()
    monkeypatch.setattr(TopTexts, "add", add)
    after: list[int] = []

    def counts(self: TopTexts, layer: int, x: Any, keep: Any, members: list[int], of: Any) -> None:
        after.extend(members if layer == 0 else [])
        add(self, layer, x, keep, members, of)

    monkeypatch.setattr(TopTexts, "add", counts)
    resumed = scanned(config, file)
    assert before
    assert len(after) < 30
    for unit in UNITS:
        for one, other in zip(whole.texts(unit), resumed.texts(unit), strict=True):
            assert (one.example, one.document) == (other.example, other.document)
            assert np.array_equal(one.activations, other.activations)
        assert np.array_equal(whole.sample(unit), resumed.sample(unit))


def test_the_token_that_begins_texts_is_left_out(tmp_path: Path) -> None:
    config = configured()
    work = Work.of(config, tmp_path)
    plain = scan(work.request, UNITS, 12, work.sampled, None, tmp_path / "a.safetensors")
    unit, text = next(
        (unit, text) for unit in UNITS for text in plain.texts(unit)
        if text.activations.argmax() == 0
    )  # fmt: skip
    begins = int(text.tokens[0])
    found = scan(work.request, UNITS, 12, work.sampled, begins, tmp_path / "b.safetensors")
    peaks = [
        float(one.activations[int(one.tokens[0] == begins) :].max()) for one in found.texts(unit)
    ]
    assert peaks == sorted(peaks, reverse=True)
    assert min(peaks) > 0
    first = [text.example for text in plain.texts(unit)]
    assert [text.example for text in found.texts(unit)] != first or text.activations[1:].max() > 0


def test_what_does_not_fit_on_the_host_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.neuron_graphs.scanning.free_memory", lambda _: 1000)
    with pytest.raises(
        UserError, match=r"the scan of 5 units needs .* on the host, and 1\.0 kB are free"
    ):
        scanned(configured(), tmp_path / "given.safetensors")


def test_the_state_takes_what_is_said() -> None:
    top = TopTexts(Columns.of(UNITS), 20, 256, {3: slice(0, 500)})
    state = top.state()
    state.pop("counts")
    needed = TopTexts.bytes_needed(len(UNITS), 20, 256, 500)
    assert sum(tensor.nbytes for tensor in state.values()) == needed
