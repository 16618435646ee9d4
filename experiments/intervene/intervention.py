"""The study from start to finish: texts, survey, measurement, table, figures."""

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
# Logits per batch; log probabilities with and without treatment are in memory together.
_LOGITS = 1 << 27
# Names of the treatments in figures.
_TREATMENTS = {
    "mean": "set to their mean",
    "zero": "set to zero",
    "noise": "noise of their SD added",
}


@dataclass(frozen=True)
class Question:
    """The right answer of a question, from 0, and its number of choices."""

    answer: int
    choices: int


def intervene(config: InterveneConfig, folder: Path) -> dict[str, Any]:
    """Run the study, write its files, and return the facts for the manifest.

    Raises
    ------
    UserError
        If a setting cannot work, or model or texts cannot be loaded.
    """
    check(config)
    facts = check_model(config)
    layers = f"layer{'s' if len(facts.layers) > 1 else ''} {', '.join(map(str, facts.layers))}"
    # Ranks do not load a study's own keys.
    plain = Config(**{field.name: getattr(config, field.name) for field in fields(Config)})
    texts = documents(plain)
    questions = _questions(texts) if "accuracy" in config.study.measure else {}
    letters = answer_tokens(config, max((q.choices for q in questions.values()), default=0))
    examples = plan_extraction(plain, texts, score=perplexities)[1].chosen
    halves = split_by_group([one.group for one in examples], [0.5, 0.5], config.study.seed)
    first, second = ([examples[number] for number in half] for half in halves)
    logger.info(
        "%d texts for means, deviations and averages, %d others for the measurement",
        len(first),
        len(second),
    )
    statistics = _run("survey", _plan(config, plain, facts, first), config)
    plan = _plan(config, plain, facts, second, letters, questions, statistics)
    logger.info(
        "%s: %d conditions of up to %d of %d neurons",
        layers, len(plan.conditions), max(one.count for one in plan.conditions), facts.n_neurons,
    )  # fmt: skip
    effects = _effects(plan, _run("measurement", plan, config), second)
    effect_rows = rows(effects, config.study.measure, config.study.seed)
    scope = {"input": "for every text", "average": "once, on other texts"}[config.study.scope]
    about = f"{model_name(config.model)} on {data_name(config.data)}: {layers}, chosen {scope}"
    _write(effect_rows, folder, about)
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
        If a text is not a question with choices.
    """
    for document in documents:
        if document.answer is None or "choices" not in document.labels:
            raise UserError(
                f"study.measure=accuracy needs questions with choices, which {document.name} is "
                "not; use data=mmlu or another measure"
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
    statistics: dict[str, Tensor] | None = None,
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
    own = [questions[example.document] for example in examples] if questions else []
    return Plan(
        request, config.study, facts.n_neurons, facts.n_heads, list(letters),
        [question.answer for question in own], [question.choices for question in own],
        statistics or {},
    )  # fmt: skip


def _run(module: str, plan: Plan, config: InterveneConfig) -> dict[str, Tensor]:
    work = {"survey": "survey", "measurement": "measure"}[module]
    name = f"experiments.intervene.{module}:{work}"
    return run_ranks(name, plan.to_bytes(), plan.request.processes, config.runtime.device)


def _effects(plan: Plan, result: dict[str, Tensor], examples: Sequence[Example]) -> Effects:
    """Collect the measurements.

    Raises
    ------
    UserError
        If a model's predictions are not finite.
    """
    untouched, treated = result["untouched"].numpy(), result["treated"].numpy()
    for when, values in (("", untouched), (" when neurons are treated", treated)):
        invalid = np.argwhere(~np.isfinite(values[..., : len(OUTCOMES)]))
        if len(invalid):
            raise UserError(
                f"the model's predictions for {examples[int(invalid[0][-2])].document} are not "
                f"finite{when}; leave it out, or use model.dtype=float32"
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


def _write(effect_rows: Sequence[Row], folder: Path, about: str) -> None:
    for line in headline(effect_rows):
        logger.info("%s", line)
    write(effect_rows, folder / "effects.csv")
    with atomic_write(folder / "effects.json") as unfinished:
        unfinished.write_text(json.dumps([asdict(row) for row in effect_rows], indent=1) + "\n")
    kinds = [{getattr(row, name): None for row in effect_rows} for name in ("treatment", "order")]
    for treatment, order in product(*kinds):
        selected = [
            row
            for row in effect_rows
            if row.treatment == treatment and (row.order == order or row.select == "random")
        ]
        figure = pruning_curve(selected, f"{about} by {order} score; {_TREATMENTS[treatment]}")
        with atomic_write(folder / "figures" / f"curve_{treatment}_{order}.png") as unfinished:
            figure.savefig(unfinished, format="png")
