"""Rows of the table: masks beside their controls, from the outcomes of all conditions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from probe.examples.choose import Example
from probe.interventions.controls import CONTROLS
from probe.interventions.measure import Condition
from probe.interventions.outcomes import OF_QUESTIONS, Vector, value
from probe.interventions.treatments import Treatment
from probe.interventions.work import Work
from probe.statistics import Resamples, interval


@dataclass(frozen=True)
class Intervention:
    """What is done with a mask.

    Attributes
    ----------
    name : str
        Its name in the table, e.g. `lesion`.
    treatment : Treatment
        The treatment.
    keep : bool
        Treat all neurons of the masks' layers but those in the mask.
    """

    name: str
    treatment: Treatment
    keep: bool = False


@dataclass(frozen=True)
class Effect:
    """The effect of an intervention on a mask, or on one of its controls.

    Attributes
    ----------
    effect : str
        Name of the intervention.
    mask : int
        Number of the mask, from 0.
    treatment : str
        Treatment with its amount.
    control : str
        `none`: the mask itself; otherwise one of `CONTROLS`.
    measure : str
        One of `MEASURES`.
    units : int
        Neurons in the mask.
    moved : float
        Share of the activations' squared norm that the treatment moves, mean over texts and layers.
    untouched, value, change : float
        The measure without and with the treatment, and the difference.
    untouched_low, untouched_high, low, high, change_low, change_high : float
        Their 95 % intervals over documents.
    draws : int
        Draws of the control, or of noise; they are averaged within every text.
    draws_low, draws_high : float
        Range of the value over them.
    documents : int
        Documents that were measured.
    chance : float or None
        Value of a model that knows nothing, for accuracy.
    best : str or None
        The control that does most like the mask: most harm, or least if the mask is kept.
    beyond, beyond_low, beyond_high : float or None
        By how much the mask's harm exceeds the best control's (or falls below it, if the mask is
        kept), in the measure's unit; positive if the mask matters more than every control. In each
        bootstrap draw the best control is chosen anew. None for controls.
    """

    effect: str
    mask: int
    treatment: str
    control: str
    measure: str
    units: int
    moved: float
    untouched: float
    untouched_low: float
    untouched_high: float
    value: float
    low: float
    high: float
    change: float
    change_low: float
    change_high: float
    draws: int
    draws_low: float
    draws_high: float
    documents: int
    chance: float | None
    best: str | None = None
    beyond: float | None = None
    beyond_low: float | None = None
    beyond_high: float | None = None


@dataclass(frozen=True)
class Masked(Condition):
    """A condition: an intervention, by its number, on a mask or one of its controls."""

    intervention: int
    mask: int
    control: str


class Table:
    """Rows of the table from the outcomes of the measured examples."""

    def __init__(
        self,
        work: Work,
        conditions: Sequence[Masked],
        examples: Sequence[Example],
        outcomes: tuple[Vector, Vector],
    ) -> None:
        groups = [example.group for example in examples]
        self.conditions, (self.untouched, self.treated) = conditions, outcomes
        self.tokens = np.array([len(example.ids) for example in examples], dtype=np.float64)
        self.resamples, self.documents = Resamples(groups, work.seed), len(set(groups))
        self.chance = work.chance

    def rows(
        self, measure: str, number: int, intervention: Intervention, mask: int, units: int
    ) -> list[Effect]:
        """Return the effects of a mask, and of its controls, on one measure."""
        base, resampled_base = self._values(measure, self.untouched)
        base_low, base_high = interval(resampled_base)
        found: dict[str, Effect] = {}
        # Larger where a treatment does more of what an intervention is about.
        scores: dict[str, tuple[float, Vector]] = {}
        sign = (-1 if measure in OF_QUESTIONS else 1) * (-1 if intervention.keep else 1)
        for name in ("none", *CONTROLS):
            wanted = (number, mask, name)
            places = [
                place
                for place, one in enumerate(self.conditions)
                if (one.intervention, one.mask, one.control) == wanted
            ]
            mean = self.treated[places].mean(axis=0)
            reached, resampled = self._values(measure, mean)
            by_draw = [self._values(measure, self.treated[place])[0] for place in places]
            low, high = interval(resampled)
            change_low, change_high = interval(resampled - resampled_base)
            scores[name] = sign * reached, sign * resampled
            found[name] = Effect(
                effect=intervention.name,
                mask=mask,
                treatment=str(intervention.treatment),
                control=name,
                measure=measure,
                units=units,
                moved=float(mean[:, -1].mean()),
                untouched=base,
                untouched_low=base_low,
                untouched_high=base_high,
                value=reached,
                low=low,
                high=high,
                change=reached - base,
                change_low=change_low,
                change_high=change_high,
                draws=len(places),
                draws_low=min(by_draw),
                draws_high=max(by_draw),
                documents=self.documents,
                chance=self.chance if measure == "accuracy" else None,
            )
        best = max(CONTROLS, key=lambda name: scores[name][0])
        limit = np.max([scores[name][1] for name in CONTROLS], axis=0)
        low, high = interval(scores["none"][1] - limit)
        beyond = scores["none"][0] - scores[best][0]
        found["none"] = replace(
            found["none"], best=best, beyond=beyond, beyond_low=low, beyond_high=high
        )
        return list(found.values())

    def _values(self, measure: str, outcomes: Vector) -> tuple[float, Vector]:
        """Return the measure over all examples, and in every bootstrap draw."""
        over_all = value(measure, outcomes, self.tokens, np.sum)
        return float(over_all), value(measure, outcomes, self.tokens, self.resamples.sums)
