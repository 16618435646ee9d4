"""What an algorithm asks of a model, and how algorithms that ask are put together.

An algorithm is a generator: it yields a list of asks, is sent a list of their answers, and returns
its result. It knows token ids and activations alone, so that any function of token ids can answer.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Ids: TypeAlias = tuple[int, ...]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Activations:
    """Asks for a unit's activations in a row of tokens.

    The answer is an array of shape (n_positions,).
    """

    ids: Ids
    positions: range


@dataclass(frozen=True)
class Substitutes:
    """Asks for other tokens that could stand at positions of a row.

    The answer is a list of token ids for each position, the likeliest first.
    """

    ids: Ids
    positions: Ids
    number: int


Ask: TypeAlias = Activations | Substitutes
# Yields asks, is sent their answers, returns a result.
Algorithm: TypeAlias = Generator[Sequence[Ask], Sequence[Any], Result]


def activations(asks: Sequence[Activations]) -> Algorithm[list[NDArray[np.float64]]]:
    """Ask for activations, as float64: ratios near a threshold must not be rounded."""
    answers = yield asks
    return [np.asarray(answer, np.float64) for answer in answers]


def together(algorithms: Sequence[Algorithm[Result]]) -> Algorithm[list[Result]]:
    """Run several algorithms in lock-step: what they ask at one time is asked at once."""
    results: dict[int, Result] = {}
    waiting: dict[int, Sequence[Ask]] = {}

    def resume(number: int, answers: Sequence[Any] | None) -> None:
        try:
            waiting[number] = algorithms[number].send(answers)  # type: ignore[arg-type]
        except StopIteration as end:
            results[number] = end.value

    for number in range(len(algorithms)):
        resume(number, None)
    while waiting:
        asked, waiting = waiting, {}
        answers = iter((yield [ask for asks in asked.values() for ask in asks]))
        for number, asks in asked.items():
            resume(number, [next(answers) for _ in asks])
    return [results[number] for number in range(len(algorithms))]
