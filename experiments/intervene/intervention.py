"""The study from beginning to end: texts, survey, measurement, table, figures."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from experiments.intervene.curves import pruning_curve
from experiments.intervene.model import ModelFacts, answer_tokens, check_model
from experiments.intervene.outcome import OUTCOMES
from experiments.intervene.plan import Plan
from experiments.intervene.settings import InterveneConfig, check
from experiments.intervene.table import Effects, Row, headline, rows, write
from experiments.statistics import split_by_group
from probe.api import Config, Document, UserError, atomic_write, data_name, documents, model_name
from probe.api.parts import (
    Example,
    Request,
    form_batches,
    n_ranks,
    perplexities,
    plan_extraction,
    run_ranks,
)

logger = logging.getLogger(__name__)
# Logits of a batch, in numbers; log probabilities with and without treatment are held together.
_LOGITS = 1 << 27
# What figures call the treatments.
_DONE = {"mean": "set to their mean", "zero": "set to zero", "noise": "noise of their SD added"}


@dataclass(frozen=True)
class Question:
    """The right answer, from 0, and how many there are."""

    answer: int
    choices: int


def intervene(config: InterveneConfig, folder: Path) -> dict[str, Any]:
    """Do the study, leave its files in the folder, and return what is known of it.

    Raises
    ------
    UserError
        If a setting cannot work, or model or texts cannot be had.
    """
    check(config)
    facts = check_model(config)
    where = f"layer{'s' if len(facts.layers) > 1 else ''} {', '.join(map(str, facts.layers))}"
    # A study's own keys are no part of what a rank loads.
    plain = Config(**{field.name: getattr(config, field.name) for field in fields(Config)})
    texts = documents(plain)
    questions = _questions(texts) if "accuracy" in config.study.measure else {}
    letters = answer_tokens(config, max((q.choices for q in questions.values()), default=0))
    chosen = plan_extraction(plain, texts, score=perplexities)[1].chosen
    halves = split_by_group([one.group for one in chosen], [0.5, 0.5], config.study.seed)
    first, second = ([chosen[number] for number in half] for half in halves)
    logger.info(
        "%d texts give means, deviations and averages, %d others are measured",
        len(first),
        len(second),
    )
    known = _run("survey", _plan(config, plain, facts, first), config)
    plan = _plan(config, plain, facts, second, letters, questions, known)
    logger.info(
        "%s: %d conditions of up to %d of %d neurons",
        where, len(plan.conditions), max(one.count for one in plan.conditions), facts.n_neurons,
    )  # fmt: skip
    effects = _effects(plan, _run("measurement", plan, config), second)
    found = rows(effects, config.study.measure, config.study.seed)
    scope = {"input": "for every text", "average": "once, from other texts"}[config.study.scope]
    about = f"{model_name(config.model)} on {data_name(config.data)}: {where}, chosen {scope}"
    _write(found, folder, about)
    return {
        "layers": facts.layers,
        "neurons": facts.n_neurons,
        "examples": {"first half": len(first), "measured": len(second)},
        "documents": len(set(effects.groups)),
        "tokens": int(effects.tokens.sum()),
        "chance": effects.chance,
        "ranks": n_ranks(plan.request.processes, config.runtime.device),
    }


def _questions(documents: Sequence[Document]) -> dict[str, Question]:
    """Return the questions by name.

    Raises
    ------
    UserError
        If a text is no question with choices.
    """
    for document in documents:
        if document.answer is None or "choices" not in document.labels:
            raise UserError(
                f"study.measure=accuracy needs questions with choices, which {document.name} is "
                "not; take data=mmlu or another measure"
            )
    return {
        document.name: Question(int(document.answer or 0), int(document.labels["choices"]))
        for document in documents
    }


def _plan(
    config: InterveneConfig,
    plain: Config,
    facts: ModelFacts,
    examples: Sequence[Example],
    letters: Sequence[int] = (),
    questions: dict[str, Question] | None = None,
    known: dict[str, Tensor] | None = None,
) -> Plan:
    budget = max(1, min(config.runtime.token_budget, _LOGITS // facts.vocabulary))
    request = Request(
        config=plain,
        layers=facts.layers,
        batches=form_batches(examples, budget),
        names=[example.document for example in examples],
        run=f"intervene-{time.monotonic_ns()}",
        matrices=[],
    )
    asked = [questions[example.document] for example in examples] if questions else []
    return Plan(
        request, config.study, facts.n_neurons, facts.n_heads, list(letters),
        [question.answer for question in asked], [question.choices for question in asked],
        known or {},
    )  # fmt: skip


def _run(module: str, plan: Plan, config: InterveneConfig) -> dict[str, Tensor]:
    work = {"survey": "survey", "measurement": "measure"}[module]
    name = f"experiments.intervene.{module}:{work}"
    return run_ranks(name, plan.to_bytes(), plan.request.processes, config.runtime.device)


def _effects(plan: Plan, result: dict[str, Tensor], examples: Sequence[Example]) -> Effects:
    """Gather what was measured.

    Raises
    ------
    UserError
        If a model's predictions are not finite.
    """
    untouched, treated = result["untouched"].numpy(), result["treated"].numpy()
    for said, values in (("", untouched), (" when neurons are treated", treated)):
        wrong = np.argwhere(~np.isfinite(values[..., : len(OUTCOMES)]))
        if len(wrong):
            raise UserError(
                f"the model's predictions for {examples[int(wrong[0][-2])].document} are not "
                f"finite{said}; leave it out, or take model.dtype=float32"
            )
    chance = {"accuracy": float(np.mean([1 / n for n in plan.choices]))} if plan.choices else {}
    return Effects(
        conditions=plan.conditions,
        n_neurons=plan.n_neurons,
        untouched=untouched,
        treated=treated,
        tokens=np.array([len(example.ids) for example in examples], dtype=np.float64),
        groups=[example.group for example in examples],
        chance=chance,
    )


def _write(found: Sequence[Row], folder: Path, about: str) -> None:
    for line in headline(found):
        logger.info("%s", line)
    write(found, folder / "effects.csv")
    with atomic_write(folder / "effects.json") as unfinished:
        unfinished.write_text(json.dumps([asdict(row) for row in found], indent=1) + "\n")
    kinds = [{getattr(row, name): None for row in found} for name in ("treatment", "order")]
    for treatment, order in product(*kinds):
        chosen = [
            row
            for row in found
            if row.treatment == treatment and (row.order == order or row.select == "random")
        ]
        figure = pruning_curve(chosen, f"{about} by {order} score; {_DONE[treatment]}")
        with atomic_write(folder / "figures" / f"curve_{treatment}_{order}.png") as unfinished:
            figure.savefig(unfinished, format="png")
