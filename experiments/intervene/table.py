"""The effect of every condition: absolute, relative, against random neurons, with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments.intervals import with_interval
from experiments.intervene.plan import Selected
from experiments.statistics import Resamples, interval
from probe.api import aligned
from probe.api.interventions import OUTCOMES, Vector, value

Beyond = tuple[float | None, float | None, float | None]


@dataclass(frozen=True)
class Row:
    """The effect of a selection of neurons, over all its draws.

    Attributes
    ----------
    treatment, select, order : str
        See `Intervene`.
    neurons : int
        Neurons treated in each layer.
    fraction : float
        Their share in the layer.
    held, moved : float
        Shares of the activations' squared norm in these neurons, and moved by the treatment; means
        over texts and layers.
    measure : str
        `perplexity`, `kl` (nats per token), `accuracy` (share of questions) or `margin` (nats).
    untouched, treated, change : float
        The measure without and with the treatment, and the difference.
    low, high : float
        95 % interval of the change over documents.
    draws_low, draws_high : float
        Range of the change over the draws of neurons or noise.
    relative : float or None
        The change as a share of the untouched measure.
    chance : float or None
        Chance level of the measure.
    beyond, beyond_low, beyond_high : float or None
        Change less that of equally many random neurons, and its interval; None without them.
    documents : int
        Documents that were measured, over which intervals are.
    """

    treatment: str
    select: str
    order: str
    neurons: int
    fraction: float
    held: float
    moved: float
    measure: str
    untouched: float
    treated: float
    change: float
    low: float
    high: float
    draws_low: float
    draws_high: float
    relative: float | None
    chance: float | None
    beyond: float | None
    beyond_low: float | None
    beyond_high: float | None
    documents: int


@dataclass(frozen=True)
class Effects:
    """The measurements, per example.

    Attributes
    ----------
    conditions : list of Selected
        In the order of the results.
    n_neurons : int
        Neurons of a layer.
    untouched : array, shape (n_examples, 4)
        See `Work.outcomes`.
    treated : array, shape (n_conditions, n_examples, 6)
        Likewise.
    tokens : array, shape (n_examples,)
        Tokens of every example.
    groups : list of str
        Group of every example.
    chance : dict of str to float
        Chance levels, by measure.
    """

    conditions: list[Selected]
    n_neurons: int
    untouched: Vector
    treated: Vector
    tokens: Vector
    groups: list[str]
    chance: dict[str, float]

    def draws_of(self, select: str, like: Selected) -> list[int]:
        """Return the indices of a selection's draws, otherwise like a condition."""
        return [
            number
            for number, one in enumerate(self.conditions)
            if (one.treatment, one.select, one.count) == (like.treatment, select, like.count)
            and (one.order == like.order or select == "random")
        ]


def rows(effects: Effects, measures: Sequence[str], seed: int) -> list[Row]:
    """Compute the effects.

    The draws of a condition are averaged within every text before texts are averaged.
    """
    draws = Resamples(effects.groups, seed)
    return [
        _row(effects, condition, measure, draws)
        for measure in measures
        for condition in effects.conditions
        if condition.draw == 0
    ]


def _row(effects: Effects, one: Selected, measure: str, draws: Resamples) -> Row:
    def values(outcomes: Vector) -> tuple[float, Vector]:
        """Return the measure over all texts, and in every bootstrap draw."""
        over_all = value(measure, outcomes, effects.tokens, np.sum)
        return float(over_all), value(measure, outcomes, effects.tokens, draws.sums)

    numbers = effects.draws_of(one.select, one)
    mean = effects.treated[numbers].mean(axis=0)
    (untouched, base), (treated, resampled) = values(effects.untouched), values(mean)
    by_draw = [values(effects.treated[number])[0] - untouched for number in numbers]
    beyond: Beyond = (None, None, None)
    if one.select != "random" and (null := effects.draws_of("random", one)):
        other, other_resampled = values(effects.treated[null].mean(axis=0))
        beyond = treated - other, *interval(resampled - other_resampled)
    low, high = interval(resampled - base)
    held, moved = mean[:, len(OUTCOMES) :].mean(axis=0)
    of_nothing = measure in ("perplexity", "accuracy")  # 0 means none of it, so that ratios do, too
    return Row(
        treatment=str(one.treatment),
        select=one.select,
        order=one.order,
        neurons=one.count,
        fraction=one.count / effects.n_neurons,
        held=float(held),
        moved=float(moved),
        measure=measure,
        untouched=untouched,
        treated=treated,
        change=treated - untouched,
        low=low,
        high=high,
        draws_low=min(by_draw),
        draws_high=max(by_draw),
        relative=(treated - untouched) / untouched if untouched and of_nothing else None,
        chance=effects.chance.get(measure),
        beyond=beyond[0],
        beyond_low=beyond[1],
        beyond_high=beyond[2],
        documents=len(set(effects.groups)),
    )


def headline(effect_rows: Sequence[Row]) -> list[str]:
    """Format the effects of the smallest selection of every kind, one table per measure."""
    least = min(row.neurons for row in effect_rows)
    lines: list[str] = []
    for measure in dict.fromkeys(row.measure for row in effect_rows):
        smallest = [row for row in effect_rows if (row.measure, row.neurons) == (measure, least)]
        untouched, chance = smallest[0].untouched, smallest[0].chance
        level = "" if chance is None else f", chance level {chance:.4g}"
        title = f"{measure} ({least} treated per layer; untouched {untouched:.4g}{level})"
        header = [title, "treated", "change [95 %]", "", "beyond random [95 %]", "norm moved"]
        lines += aligned(header, [_cells(row) for row in smallest])
    return lines


def _cells(row: Row) -> list[str]:
    change = with_interval(row.change, row.low, row.high, row.documents, form="+.3g")
    beyond = (row.beyond, row.beyond_low, row.beyond_high, row.documents)
    return [
        f"{row.treatment}, {_choice(row)}",
        f"{row.treated:.4g}",
        change,
        "" if row.relative is None else f"({row.relative:+.1%})",
        "" if row.beyond is None else with_interval(*beyond, form="+.3g"),
        f"{row.moved:.2%}",
    ]


def _choice(row: Row) -> str:
    if row.select == "random":
        return row.select
    return (
        f"{row.select} (of {row.order} degrees)"
        if row.select == "random_norm"
        else (f"{row.order} {row.select}")
    )
