"""What the model answers to the asks of many units, and what that took."""

from collections.abc import Sequence
from typing import Any

from experiments.neuron_graphs.asks import Activations, Ask, Substitutes
from experiments.neuron_graphs.packing import Packer
from experiments.neuron_graphs.records import Cost
from experiments.neuron_graphs.substitutes import SubstituteProvider
from experiments.neuron_graphs.unit import Unit


class Answerer:
    """Answers asks of both kinds.

    Parameters
    ----------
    packer : Packer
        Answers those for activations.
    provider : SubstituteProvider, optional
        Answers those for substitutes; without it there are none.
    """

    def __init__(self, packer: Packer, provider: SubstituteProvider | None) -> None:
        self._packer, self._provider = packer, provider
        self.tally = packer.tally

    def __call__(self, asked: Sequence[tuple[Unit, Ask]]) -> list[Any]:
        """Return the answers in the order of the asks."""
        rows = [
            (number, (unit, ask))
            for number, (unit, ask) in enumerate(asked)
            if isinstance(ask, Activations)
        ]
        places = [
            (number, unit, ask)
            for number, (unit, ask) in enumerate(asked)
            if isinstance(ask, Substitutes)
        ]
        found: dict[int, Any] = {}
        answers = self._packer([one for _, one in rows])
        found.update(zip((number for number, _ in rows), answers, strict=True))
        if places:
            assert self._provider is not None, "nobody asks for substitutes without a provider"

            def count(served: Sequence[int]) -> None:
                self.tally.add(
                    [(places[number][1], len(places[number][2].ids)) for number in served]
                )

            proposed = self._provider([ask for _, _, ask in places], count)
            found.update(zip((number for number, _, _ in places), proposed, strict=True))
        return [found[number] for number in range(len(asked))]

    def cost(self, unit: Unit, proposed: int = 0, accepted: int = 0) -> Cost:
        """Return what a unit has taken so far, and forget it."""
        tally = self.tally
        calls, rows, tokens = (one.pop(unit, 0) for one in (tally.calls, tally.rows, tally.tokens))
        return Cost(float(calls), int(rows), int(tokens), proposed, accepted)
