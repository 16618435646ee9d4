"""Lock-step: what the algorithms of many units ask at one time is answered at once."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar

from experiments.neuron_graphs.asks import Algorithm, Ask
from experiments.neuron_graphs.unit import Unit

logger = logging.getLogger(__name__)
Result = TypeVar("Result")
# Asks of units with their answers in the same order; raises whatever a model does.
Answer = Callable[[Sequence[tuple[Unit, Ask]]], Sequence[Any]]


class Lockstep(Generic[Result]):
    """Runs the algorithms of many units, some of them at a time.

    Parameters
    ----------
    begin : callable
        Starts the algorithm of a unit.
    answer : callable
        Answers asks.
    together : int
        Units at a time, which bounds memory.
    """

    def __init__(
        self, begin: Callable[[Unit], Algorithm[Result]], answer: Answer, together: int
    ) -> None:
        self._begin, self._answer, self._together = begin, answer, together

    def run(self, units: Iterable[Unit]) -> Iterator[tuple[Unit, Result | Exception]]:
        """Yield every unit with its result, or with the error that ended it.

        One unit's error ends no other one's work.
        """
        left = iter(units)
        while some := list(islice(left, self._together)):
            yield from self._lockstep(some)

    def _lockstep(self, units: Sequence[Unit]) -> Iterator[tuple[Unit, Result | Exception]]:
        running = {unit: self._begin(unit) for unit in units}
        answers: dict[Unit, Sequence[Any] | Exception | None] = dict.fromkeys(units)
        while running:
            asked: dict[Unit, Sequence[Ask]] = {}
            for unit, algorithm in list(running.items()):
                given = answers[unit]
                try:
                    if isinstance(given, Exception):
                        raise given
                    asked[unit] = algorithm.send(given)  # type: ignore[arg-type]
                except StopIteration as end:
                    yield unit, end.value
                except Exception as error:  # noqa: BLE001 - whatever it is, it is this unit's
                    yield unit, error
                if unit not in asked:
                    del running[unit]
            answers = self._answers(asked)

    def _answers(
        self, asked: dict[Unit, Sequence[Ask]]
    ) -> dict[Unit, Sequence[Any] | Exception | None]:
        asks = [(unit, ask) for unit, some in asked.items() for ask in some]
        try:
            found = iter(self._answer(asks))
        except Exception as error:  # noqa: BLE001 - found out below whose it is
            if len(asked) == 1:
                return dict.fromkeys(asked, error)
            logger.warning("%s: units are answered one by one", error)
            alone = [self._answers({unit: some}) for unit, some in asked.items()]
            return {unit: given for one in alone for unit, given in one.items()}
        return {unit: [next(found) for _ in some] for unit, some in asked.items()}
