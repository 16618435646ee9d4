"""Effects of masks beside those of their controls: the whole, from texts to rows of a table."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from probe.config import Config, InitKind
from probe.data import Document
from probe.distributed import Ranks, run_ranks
from probe.errors import UserError
from probe.examples.batches import Tensors
from probe.examples.explicit import texts_of
from probe.examples.plan import plan_extraction
from probe.examples.request import Request
from probe.extraction.generation import continue_examples
from probe.extraction.perplexity import perplexities
from probe.interventions.controls import CONTROLS, DRAWN, ByLayer, control, from_other_layers
from probe.interventions.masks import Masks
from probe.interventions.measure import Chosen, Condition, Measurement
from probe.interventions.payload import pack, unpack
from probe.interventions.questions import questions
from probe.interventions.survey import Statistics, survey
from probe.interventions.table import Effect, Intervention, Masked, Table
from probe.interventions.treatments import Treatment
from probe.interventions.widths import widths
from probe.interventions.work import Work
from probe.models import fetch_language_model, load_language_model
from probe.statistics import split_by_group
from probe.system.logs import plural

logger = logging.getLogger(__name__)
# Controls are drawn from a random stream of their own.
_CONTROL = 2


def effects(
    config: Config,
    masks: Masks,
    interventions: Sequence[Intervention],
    measures: Sequence[str],
    *,
    draws: int = 5,
    seed: int = 0,
    statistics: Statistics | None = None,
    texts: Sequence[Document] | None = None,
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
    texts : sequence of Document, optional
        Read in place of the configuration's, all of them, see `probe.examples.explicit`.

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
    config, documents = texts_of(config, texts)
    asked = questions(config, documents, measures)
    _, chosen = plan_extraction(
        config, documents, score=perplexities, generate=continue_examples, told=texts is not None
    )
    examples = chosen.chosen
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
    table = Table(work, conditions, examples, work.outcomes(result))
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
) -> tuple[list[Masked], NDArray[np.bool_]]:
    """Return the conditions and each one's units, layers one after the other."""
    rms = {layer: statistics[f"{layer}/rms"].numpy() for layer in by_layer[0]}
    conditions, units = [], []
    for mask, own in enumerate(by_layer):
        if elsewhere := from_other_layers(own):
            logger.warning(
                "mask %d has more than half of a layer's neurons: %d of its controls' neurons are "
                "drawn from other layers", mask, elsewhere,
            )  # fmt: skip
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
                    conditions.append(Masked(intervention.treatment, draw, number, mask, name))
                    units.append(drawn[draw % len(drawn)] ^ intervention.keep)
    return conditions, np.array(units)


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
