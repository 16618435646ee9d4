"""The study from start to finish: texts, survey, measurement, table, figures."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from experiments.intervals import warn_few
from experiments.intervene.curves import pruning_curve
from experiments.intervene.masked import masked
from experiments.intervene.model import check_model
from experiments.intervene.plan import Plan, conditions
from experiments.intervene.settings import InterveneConfig, check
from experiments.intervene.table import Effects, Row, headline, rows
from experiments.statistics import split_by_group
from probe.api import Results, documents
from probe.api.drawing import about
from probe.api.interventions import TREATMENTS, Work, questions
from probe.api.parts import n_ranks, planned, run_ranks

logger = logging.getLogger(__name__)


def intervene(config: InterveneConfig, folder: Path) -> dict[str, Any]:
    """Run the study, write its files, and return the facts for the manifest.

    Raises
    ------
    UserError
        If a setting cannot work, or model or texts cannot be loaded.
    """
    check(config)
    if config.study.masks is not None:
        return masked(config, folder)
    settings, facts = config.study, check_model(config)
    layers = f"layer{'s' if len(facts.layers) > 1 else ''} {', '.join(map(str, facts.layers))}"
    texts = documents(config)
    asked = questions(config, texts, settings.measure)
    examples = planned(config)[1].chosen
    halves = split_by_group([one.group for one in examples], [0.5, 0.5], settings.seed)
    first, second = ([examples[number] for number in half] for half in halves)

    def run(module: str, work: Work) -> dict[str, Tensor]:
        plan = Plan(work, settings, facts.n_neurons, facts.n_heads)
        device = config.runtime.device
        name = f"experiments.intervene.{module}"
        return run_ranks(name, plan.to_bytes(), work.request.processes, device)

    logger.info(
        "%d texts for means, deviations and averages, %d others for the measurement",
        len(first),
        len(second),
    )
    place, seed = facts.layers, settings.seed
    statistics = run("survey:survey", Work.of(config, first, {}, [], place, {}, seed))
    work = Work.of(config, second, asked, settings.measure, place, statistics, seed)
    done = conditions(settings, facts.n_neurons)
    logger.info(
        "%s: %d conditions of up to %d of %d neurons",
        layers, len(done), max(one.count for one in done), facts.n_neurons,
    )  # fmt: skip
    untouched, treated = work.outcomes(run("measurement:measure", work))
    effects = Effects(
        conditions=done,
        n_neurons=facts.n_neurons,
        untouched=untouched,
        treated=treated,
        tokens=np.array([len(example.ids) for example in second], dtype=np.float64),
        groups=[example.group for example in second],
        chance={"accuracy": work.chance} if work.chance is not None else {},
    )
    effect_rows = rows(effects, settings.measure, settings.seed)
    scope = {"input": "for every text", "average": "once, on other texts"}[settings.scope]
    title = f"{about(config)}: {layers}, chosen {scope}"
    _write(effect_rows, Results(folder, config), title)
    return {
        "layers": facts.layers,
        "neurons": facts.n_neurons,
        "examples": {"first half": len(first), "measured": len(second)},
        "documents": len(set(effects.groups)),
        "tokens": int(effects.tokens.sum()),
        "chance": effects.chance,
        "ranks": n_ranks(work.request.processes, config.runtime.device),
    }


def _write(effect_rows: Sequence[Row], results: Results, title: str) -> None:
    for line in headline(effect_rows):
        logger.info("%s", line)
    warn_few(effect_rows[0].documents)
    table = [asdict(row) for row in effect_rows]
    results.table("effects", table)
    results.save(table, "effects")
    kinds = [{getattr(row, name): None for row in effect_rows} for name in ("treatment", "order")]
    for treatment, order in product(*kinds):
        selected = [
            row
            for row in effect_rows
            if row.treatment == treatment and (row.order == order or row.select == "random")
        ]
        name, _, amount = treatment.partition(" ")
        how = f"{TREATMENTS[name]}{amount and f' by {amount}'}"
        figure = pruning_curve(selected, f"{title} by {order} score; {how}")
        results.figure(f"curve_{name}_{order}", figure)
