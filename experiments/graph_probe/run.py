"""The study from start to finish."""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.controls import embeddings, untrained
from experiments.graph_probe import report, texts
from experiments.graph_probe.fits import Fits, Parts, fit_all, load, save
from experiments.graph_probe.inputs import (
    Input,
    embedding_inputs,
    layer_inputs,
    plain_inputs,
    random_inputs,
)  # fmt: skip
from experiments.graph_probe.scores import Score, Scorer
from experiments.graph_probe.settings import GraphProbeConfig, check
from experiments.graph_probe.targets import SCORES, Target, label_target, score_target
from probe.api import (
    SeriesStore,
    UserError,
    atomic_write,
    fingerprints,
    perplexities,
    series,
)

logger = logging.getLogger(__name__)
_FEW_TEXTS = 200


def run(config: GraphProbeConfig, folder: Path) -> dict[str, Any]:
    """Read, fit and score every layer, and write the results; fitted layers are not read again.

    Returns
    -------
    dict
        Facts for the manifest.

    Raises
    ------
    UserError
        If a setting, the model or the texts cannot work, or have changed since an earlier attempt.
    """
    check(config)
    settings = config.study
    whole, embedded = series(config), series(embeddings(config))
    layers = list(whole.layers)
    examples = texts.read_texts(whole, config)
    groups = examples.groups
    if len(groups) < _FEW_TEXTS:
        logger.warning("only %d texts: a probe of a topology has thousands of weights", len(groups))
    targets = targets_of(config, examples)
    parts = {seed: Parts.of(groups, settings.protocol, seed) for seed in range(settings.seeds)}
    _refuse_constant(targets, parts.values())
    _refuse_others(config, folder)

    def fitted(name: str, inputs: Callable[[], list[Input]], seeds: range) -> Fits:
        file = folder / "predictions" / f"{name}.npz"
        if not file.is_file():
            splits = {seed: parts[seed] for seed in seeds}
            save(file, fit_all(inputs(), targets, splits, settings, _device(config)))
            logger.info("fitted %s", name)
        return load(file)

    scorer, every = Scorer(groups, targets, parts, settings.repetitions), range(settings.seeds)
    plain = fitted("texts", partial(_of_texts, examples, embedded), every)
    scores: list[Score] = scorer.scores(None, plain)
    for layer in layers:
        topologies = partial(_of_layer, whole, layer, settings.densities)
        fits = dict(fitted(f"layer_{layer}", topologies, every))
        for init in range(min(settings.inits, settings.seeds)):
            name, turns = f"layer_{layer}_random_{init}", every[init :: settings.inits]
            fits |= fitted(name, partial(_of_random, config, layer, init), turns)
        scores += scorer.scores(layer, fits)
    headline = report.write(config, folder, scores, len(groups), len(set(groups)))
    return {
        "examples": len(groups), "documents": len(set(groups)), "layers": layers,
        "optimistic": settings.protocol == "paper", "headline": {"gain": headline},
    }  # fmt: skip


def targets_of(config: GraphProbeConfig, examples: texts.Texts) -> list[Target]:
    """Collect the targets.

    Raises
    ------
    UserError
        If a text lacks one.
    """
    names = config.study.targets
    scored = perplexities(config) if set(names) & set(SCORES) else None
    return [
        score_target(name, scored)
        if scored is not None and name in SCORES
        else label_target(name, examples.documents)
        for name in names
    ]


def _refuse_others(config: GraphProbeConfig, folder: Path) -> None:
    """Reuse earlier predictions only if model and texts are still the same."""
    file, now = folder / "predictions" / "made_of.json", fingerprints(config)
    if not file.is_file():
        with atomic_write(file) as unfinished:
            unfinished.write_text(json.dumps(now), encoding="utf-8")
    before = json.loads(file.read_text(encoding="utf-8"))
    changed = [name for name, content in now.items() if before.get(name) != content]
    if changed:
        raise UserError(
            f"{folder} was started with another {' and '.join(changed)}; overwrite=true starts over"
        )


def _refuse_constant(targets: Iterable[Target], every: Iterable[Parts]) -> None:
    """Refuse a split with a part in which a target is constant."""
    for parts in every:
        for target in targets:
            for part in (parts.train, parts.validation, parts.test):
                if np.ptp(target.values[part]) == 0:
                    raise UserError(
                        f"study.targets: '{target.name}' is the same in all {len(part)} texts of a "
                        "part of the split; give more texts or documents"
                    )


def _of_texts(examples: texts.Texts, embedded: SeriesStore) -> list[Input]:
    [layer] = embedded.layers
    return [*plain_inputs(examples), *embedding_inputs(texts.read_layer(embedded, layer))]


def _of_layer(store: SeriesStore, layer: int, densities: Sequence[float]) -> list[Input]:
    return layer_inputs(texts.read_layer(store, layer), densities)


def _of_random(config: GraphProbeConfig, layer: int, init: int) -> list[Input]:
    return random_inputs(texts.read_layer(series(untrained(config, init + 1)[init]), layer))


def _device(config: GraphProbeConfig) -> torch.device:
    if config.runtime.device != "auto":
        return torch.device(config.runtime.device)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
