"""Lock-step and packing: many units at once are what each is alone, for few passes."""

from collections.abc import Sequence
from math import ceil

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments.neuron_graphs.answering import Answerer
from experiments.neuron_graphs.asks import Activations, Algorithm, Ids, Substitutes
from experiments.neuron_graphs.fit import Fitted, fit
from experiments.neuron_graphs.lockstep import Lockstep
from experiments.neuron_graphs.packing import Gather, Packer
from experiments.neuron_graphs.presets import PRESETS
from experiments.neuron_graphs.unit import Unit
from tests.experiments.neuron_graphs.oracles import RULES, Oracle, drive, text, when

PROPOSED = [11, 12, 13, 14, 15]
N_TEXTS, LENGTH = 10, 40


def planted(unit: Unit) -> Oracle:
    """Return a neuron that fires on one of two words behind another, at a distance."""
    word, before, gap = 3 + unit.neuron % 7, 1 + unit.layer, 1 + unit.neuron % 3

    def fires(ids: Ids, at: int) -> float:
        return float(ids[at] in (word, 11) and at >= gap and ids[at - gap] == before)

    return when(fires)


def texts_of(unit: Unit) -> list[Ids]:
    rng = np.random.default_rng([unit.layer, unit.neuron])
    word, before, gap = 3 + unit.neuron % 7, 1 + unit.layer, 1 + unit.neuron % 3
    texts = []
    for _ in range(N_TEXTS):
        ids = rng.integers(16, 40, LENGTH).tolist()
        at = int(rng.integers(gap, LENGTH))
        ids[at], ids[at - gap] = word, before
        texts.append(tuple(ids))
    return texts


class Instrumented:
    """A model of oracles that counts its batches, and has room for some rows only."""

    def __init__(self, room: int = 10**9, broken: frozenset[int] = frozenset()) -> None:
        self.room, self.broken = room, broken
        self.batches: list[tuple[int, Sequence[Ids]]] = []

    def __call__(self, layer: int, rows: Sequence[Ids], gather: Gather) -> NDArray[np.float32]:
        if len(rows) > self.room:
            raise MemoryError
        self.batches.append((layer, rows))
        assert len(set(rows)) == len(rows), "equal rows are read once"
        found = []
        wanted = zip(gather.row, gather.position, gather.neuron, gather.sign, strict=True)
        for row, position, neuron, sign in wanted:
            if int(neuron) in self.broken:
                raise ValueError(f"neuron {neuron} is broken")
            unit = Unit(layer, int(neuron))
            found.append(sign * planted(unit)(rows[row])[position])
        return np.array(found, np.float32)


def propose(asks: Sequence[Substitutes], count: object) -> list[list[list[int]]]:
    return [[PROPOSED for _ in ask.positions] for ask in asks]


def begin(unit: Unit) -> Algorithm[Fitted]:
    return fit([text(planted(unit), *ids) for ids in texts_of(unit)], 1.0, with_substitutes)


with_substitutes = type(RULES)(PRESETS["consistent"], 0, RULES.classes, substitutes=5)


def run(
    units: list[Unit], read: Instrumented, rows: int = 256, tokens: int = 10**9, together: int = 99
) -> tuple[dict[Unit, Fitted | Exception], Answerer]:
    answerer = Answerer(Packer(read, rows, tokens), propose)
    return dict(Lockstep(begin, answerer, together).run(units)), answerer


def test_together_is_as_alone_whatever_the_batches() -> None:
    units = [Unit(layer, neuron) for layer in (0, 1) for neuron in range(6)]
    alone = {unit: drive(begin(unit), planted(unit), PROPOSED).graph.to_json() for unit in units}
    for rows, together, room in ((256, 99, 10**9), (7, 5, 10**9), (256, 99, 3)):
        found, _ = run(units, Instrumented(room), rows, together=together)
        made = {unit: result.graph.to_json() for unit, result in found.items()}  # type: ignore[union-attr]
        assert made == alone
        assert list(found) == units
    [path, other] = sorted(found[units[0]].graph.ends)  # type: ignore[union-attr]
    assert (path, other) == ((3, 1), (11, 1)), "the substitute that fires is found"


def test_passes_are_as_few_as_rows_and_rounds_allow() -> None:
    """64 units of one layer with ten texts each: full batches, and a rest in every round."""
    units, read, budget = [Unit(0, neuron) for neuron in range(64)], Instrumented(), 512
    found, answerer = run(units, read, budget)
    costs = [answerer.cost(unit) for unit in units]
    rounds = 5  # short contexts, longer ones, saliency, substitutes, their saliency
    n_rows = sum(cost.rows for cost in costs)
    assert len(read.batches) <= ceil(n_rows / budget) + rounds
    assert len(read.batches) < len(units), "less than a pass a unit"
    assert sum(cost.calls for cost in costs) == pytest.approx(len(read.batches))
    longest, important, proposed = 4, 2, 5
    tried = important * proposed
    most = N_TEXTS * (30 + (longest - 1) + tried + tried * (longest - 1))
    assert max(cost.rows for cost in costs) <= most
    assert max(len(ids) for _, rows in read.batches for ids in rows) < LENGTH, "no text is read"
    assert answerer.cost(units[0]).rows == 0, "what was taken is counted once"
    assert all(isinstance(result, Fitted) for result in found.values())


def test_one_units_error_ends_no_other_one() -> None:
    units = [Unit(0, neuron) for neuron in range(100)]
    found, _ = run(units, Instrumented(broken=frozenset({42})))
    failed = {unit: result for unit, result in found.items() if isinstance(result, Exception)}
    assert len(found) == 100
    assert list(failed) == [Unit(0, 42)]
    assert str(failed[Unit(0, 42)]) == "neuron 42 is broken"
    alone = drive(begin(Unit(0, 43)), planted(Unit(0, 43)), PROPOSED)
    assert found[Unit(0, 43)].graph.to_json() == alone.graph.to_json()  # type: ignore[union-attr]


def test_a_unit_whose_algorithm_fails_is_told() -> None:
    def fails(unit: Unit) -> Algorithm[str]:
        yield [Activations((1, 2), range(2))]
        if unit.neuron == 1:
            raise KeyError("nothing")
        return "done"

    answerer = Answerer(Packer(Instrumented(), 9, 99), None)
    found = dict(Lockstep(fails, answerer, 9).run([Unit(0, n) for n in range(3)]))
    assert found[Unit(0, 0)] == found[Unit(0, 2)] == "done"
    assert isinstance(found[Unit(0, 1)], KeyError)


def test_no_more_units_are_under_way_than_are_asked_for() -> None:
    running, most = set[Unit](), 0

    def counted(unit: Unit) -> Algorithm[Unit]:
        nonlocal most
        running.add(unit)
        most = max(most, len(running))
        yield [Activations((1, 2), range(2))]
        running.discard(unit)
        return unit

    answerer = Answerer(Packer(Instrumented(), 99, 999), None)
    units = (Unit(0, n) for n in range(50))
    assert len(dict(Lockstep(counted, answerer, 8).run(units))) == 50
    assert most == 8


def test_a_row_that_does_not_fit_alone_is_its_units_error() -> None:
    found, _ = run([Unit(0, 0)], Instrumented(room=0))
    assert isinstance(found[Unit(0, 0)], MemoryError)


def test_batches_stay_within_their_budget() -> None:
    units, read = [Unit(0, neuron) for neuron in range(8)], Instrumented()
    run(units, read, rows=50, tokens=300)
    assert all(len(rows) <= 50 for _, rows in read.batches)
    assert all(len(rows) * max(map(len, rows)) <= 300 for _, rows in read.batches)
