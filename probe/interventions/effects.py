"""Effects of masks beside those of their controls: the whole, from texts to rows of a table."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from probe.config import Config, InitKind
from probe.data import load_documents
from probe.distributed import Ranks, run_ranks
from probe.errors import UserError
from probe.examples.batches import Tensors
from probe.examples.choose import Example
from probe.examples.plan import plan_extraction
from probe.examples.request import Request
from probe.extraction.perplexity import perplexities
from probe.interventions.controls import CONTROLS, DRAWN, ByLayer, control
from probe.interventions.masks import Masks
from probe.interventions.measure import Chosen, Condition, Measurement, Work
from probe.interventions.outcomes import OF_QUESTIONS, Vector, value
from probe.interventions.payload import pack, unpack
from probe.interventions.questions import questions
from probe.interventions.survey import Statistics, survey
from probe.interventions.treatments import Treatment
from probe.interventions.widths import widths
from probe.models import fetch_language_model, load_language_model
from probe.statistics import Resamples, interval, split_by_group
from probe.system.logs import plural
from probe.system.tables import aligned

logger = logging.getLogger(__name__)
# With fewer documents, an interval says little.
FEW = 20
# Controls are drawn from a random stream of their own.
_CONTROL = 2


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
    low, high, change_low, change_high : float
        95 % intervals of value and change over documents.
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
class _Masked(Condition):
    """A condition: an intervention, by its number, on a mask or one of its controls."""

    intervention: int
    mask: int
    control: str


def effects(
    config: Config,
    masks: Masks,
    interventions: Sequence[Intervention],
    measures: Sequence[str],
    *,
    draws: int = 5,
    seed: int = 0,
    statistics: Statistics | None = None,
) -> list[Effect]:
    """Measure interventions on masks beside the same on their controls, with intervals.

    Parameters
    ----------
    config : Config
        Model, texts, ranks; `site` unless the masks have their own.
    masks : Masks
        Sets of units.
    interventions : sequence of Intervention
        What is done with each.
    measures : sequence of str
        Of `MEASURES`; `accuracy` and `margin` need questions.
    draws : int
        Draws of random controls and of noise.
    seed : int
        Of halves, draws and intervals.
    statistics : mapping of str to Tensor, optional
        Of other texts, see `survey`. Without, the first half of the documents gives them, and the
        second is measured.

    Returns
    -------
    list of Effect
        For every measure, intervention and mask the mask's effect, then those of `CONTROLS`.

    Raises
    ------
    UserError
        If masks and model do not fit, controls cannot be drawn, or the texts cannot be measured.
    """
    if draws < 1:
        raise UserError(f"draws={draws} is too few for random controls; give 1 or more")
    config, by_layer = _fitting(config, masks)
    documents = list(load_documents(config))
    asked = questions(config, documents, measures)
    examples = plan_extraction(config, documents, score=perplexities)[1].chosen
    if statistics is None:
        halves = split_by_group([one.group for one in examples], [0.5, 0.5], seed)
        first, examples = ([examples[number] for number in half] for half in halves)
        logger.info(
            "%d texts for means, deviations and RMS, %d others for the measurement",
            len(first), len(examples),
        )  # fmt: skip
        statistics = survey(config, first, masks.layers)
    conditions, units = _conditions(by_layer, interventions, statistics, draws, seed)
    work = Work.of(config, examples, asked, measures, masks.layers, statistics, seed)
    logger.info(
        "%s, %s at %s of %s: %s",
        plural(len(by_layer), "mask"), plural(len(interventions), "intervention"), config.site,
        plural(len(masks.layers), "layer"), plural(len(conditions), "condition"),
    )  # fmt: skip
    payload = pack(
        {"work": work.to_bytes()},
        {
            "conditions": [(asdict(one.treatment), one.draw) for one in conditions],
            "widths": [(layer, len(neurons)) for layer, neurons in by_layer[0].items()],
        },
        {"units": np.packbits(units, axis=1)},
    )
    result = run_ranks(
        "probe.interventions.effects:measure", payload, work.request.processes,
        config.runtime.device,
    )  # fmt: skip
    table = _Table(work, conditions, examples, work.outcomes(result))
    return [
        effect
        for measure, (number, intervention), mask in product(
            measures, enumerate(interventions), range(len(by_layer))
        )
        for effect in table.rows(measure, number, intervention, mask, int(masks.masks[mask].sum()))
    ]


def _fitting(config: Config, masks: Masks) -> tuple[Config, list[dict[int, NDArray[np.bool_]]]]:
    """Return the configuration at the masks' site, and the masks by layer."""
    if config.init.kind is not InitKind.pretrained:
        raise UserError(
            f"interventions need a trained model, and init={config.init.kind} was given; leave it "
            "out"
        )
    site = masks.site or config.site
    if config.site not in (site, Config().site):
        raise UserError(
            f"site={config.site} was given, and the masks are of the site {site}; leave site out"
        )
    config = replace(config, site=site)
    return config, masks.by_layer(widths(config.model, site, masks.layers))


def _conditions(
    by_layer: Sequence[ByLayer],
    interventions: Sequence[Intervention],
    statistics: Statistics,
    draws: int,
    seed: int,
) -> tuple[list[_Masked], NDArray[np.bool_]]:
    """Return the conditions and each one's units, layers one after the other."""
    rms = {layer: statistics[f"{layer}/rms"].numpy() for layer in by_layer[0]}
    conditions, units = [], []
    for mask, own in enumerate(by_layer):
        for kind, name in enumerate(("none", *CONTROLS)):
            # What is drawn for a mask is the same in every intervention.
            drawn = []
            for draw in range(draws if name in DRAWN else 1):
                generator = np.random.default_rng([seed, _CONTROL, draw, mask, kind])
                chosen = own if name == "none" else control(name, own, rms, generator)
                drawn.append(np.concatenate(list(chosen.values())))
            for number, intervention in enumerate(interventions):
                noisy = intervention.treatment.name == "noise"
                for draw in range(draws if noisy else len(drawn)):
                    conditions.append(_Masked(intervention.treatment, draw, number, mask, name))
                    units.append(drawn[draw % len(drawn)] ^ intervention.keep)
    return conditions, np.array(units)


class _Table:
    """Rows of the table from the outcomes of the measured examples."""

    def __init__(
        self,
        work: Work,
        conditions: Sequence[_Masked],
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


def headline(rows: Sequence[Effect]) -> list[str]:
    """Format every mask's effect beside its best control, one table per measure."""
    lines: list[str] = []
    for measure in dict.fromkeys(row.measure for row in rows):
        own = [row for row in rows if (row.measure, row.control) == (measure, "none")]
        few = ", too few for intervals" if own[0].documents < FEW else ""
        chance = "" if own[0].chance is None else f", chance {own[0].chance:.4g}"
        title = (
            f"{measure} ({plural(own[0].documents, 'document')}{few}; "
            f"untouched {own[0].untouched:.4g}{chance})"
        )
        header = [title, "units", "value", "95 %", "best control", "beyond it", "95 %", "moved"]
        lines += aligned(header, [_cells(row) for row in own])
    return lines


def _cells(row: Effect) -> list[str]:
    return [
        f"{row.effect} mask {row.mask}, {row.treatment}",
        str(row.units),
        f"{row.value:.4g}",
        f"{row.low:.4g} to {row.high:.4g}",
        str(row.best),
        f"{row.beyond:+.3g}",
        f"{row.beyond_low:+.3g} to {row.beyond_high:+.3g}",
        f"{row.moved:.2%}",
    ]


def fetch(payload: bytes) -> None:
    """Fetch the model that `measure` will load; called once on every machine."""
    work = unpack(unpack(payload)[0]["work"])[0]
    fetch_language_model(Request.config_of(work["request"]).model)


def measure(payload: bytes, ranks: Ranks) -> dict[str, Tensor]:
    """Return on rank 0 the outcomes of every text under every condition, see `Measurement`."""
    parts, plain, arrays = unpack(payload)
    work = Work.from_bytes(parts["work"])
    layers, sizes = zip(*plain["widths"], strict=True)
    units = np.unpackbits(arrays["units"], axis=1, count=sum(sizes)).astype(np.bool_)
    split = np.split(units, np.cumsum(sizes)[:-1], axis=1)
    chosen = {layer: torch.from_numpy(own) for layer, own in zip(layers, split, strict=True)}
    conditions = [Condition(Treatment(**how), draw) for how, draw in plain["conditions"]]

    def choose(_: Sequence[int], __: Tensors, ___: Mapping[int, Tensor]) -> Chosen:
        return lambda condition, layer: chosen[layer][condition, None]

    model = load_language_model(work.request.config.model, ranks.device)
    return Measurement(work, conditions, model, record=False).run(ranks, choose)
