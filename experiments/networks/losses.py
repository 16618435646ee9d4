"""What the model loses without networks, or with them alone, beside equally many other neurons."""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.networks.finding import Found
from experiments.networks.settings import PAPER_RANDOM, NetworksConfig
from probe.api import Config, SeriesStore
from probe.api.interventions import CONTROLS, Effect, Intervention, Masks, Treatment, effects

logger = logging.getLogger(__name__)
Row = dict[str, Any]
Named = dict[str, NDArray[np.bool_]]


def effect_rows(
    config: NetworksConfig, texts: Config, store: SeriesStore, found: Mapping[int, Found]
) -> list[Row]:
    """Measure the effects, and return a row for each network, measure and control.

    Parameters
    ----------
    config : NetworksConfig
        The settings.
    texts : Config
        Model and texts that are measured.
    store : SeriesStore
        What the networks were found in.
    found : mapping of int to Found
        Networks by their number; those of the first number are studied.
    """
    settings, rows = config.study, list[Row]()
    first = found[settings.components[0]]
    whole: Named = {_union(first): np.asarray(first.masks.any(axis=0))}
    if "lesion" in settings.effects:
        numbers = settings.networks or range(len(first.masks))
        masks = {f"network {number}": first.masks[number] for number in numbers} | whole
        if settings.protocol == "paper":
            masks[f"random {PAPER_RANDOM:.0%}"] = _random(len(store.units), settings.seed)
        lesion = Intervention("lesion", Treatment(settings.treatment))
        rows += _rows(config, texts, store, masks, [lesion])
    if "keep" in settings.effects:
        masks = {_union(each): np.asarray(each.masks.any(axis=0)) for each in found.values()}
        keep = Intervention("keep", Treatment(settings.treatment), keep=True)
        rows += _rows(config, texts, store, masks, [keep])
    if "amplify" in settings.effects:
        treatments = [Treatment("add", amount) for amount in settings.add]
        treatments += [Treatment("scale", factor) for factor in settings.scale]
        amplify = [Intervention("amplify", treatment) for treatment in treatments]
        rows += _rows(config, texts, store, whole, amplify)
    if rows and settings.protocol == "paper":
        logger.warning(
            "the paper's only control is random %.0f%% of all neurons: it lacks %s, which stand "
            "beside each effect here (published: False)",
            100 * PAPER_RANDOM, " and ".join(CONTROLS),
        )  # fmt: skip
        return [{**row, "published": row["control"] == "none"} for row in rows]
    return rows


def _rows(
    config: NetworksConfig,
    texts: Config,
    store: SeriesStore,
    named: Named,
    interventions: list[Intervention],
) -> list[Row]:
    """Measure masks by name; those that are empty, or too large for controls, are told."""
    layer, neuron = store.units.T
    usable: Named = {}
    for name, mask in named.items():
        if not mask.any():
            logger.warning("%s is empty and is not measured; give a lower study.threshold", name)
        elif 2 * mask.sum() > len(mask):
            logger.warning(
                "%s has %d of %d neurons, so that there are not as many others for its controls, "
                "and is not measured; give a higher study.threshold", name, mask.sum(), len(mask),
            )  # fmt: skip
        else:
            usable[name] = mask
    if not usable:
        return []
    settings, names = config.study, list(usable)
    masks = Masks(np.stack(list(usable.values())), layer, neuron, config.site)
    found: list[Effect] = effects(
        texts, masks, interventions, settings.measure,
        draws=settings.draws, seed=settings.seed,
    )  # fmt: skip
    rows = [asdict(row) for row in found]
    return [{"effect": row.pop("effect"), "name": names[row.pop("mask")], **row} for row in rows]


def _union(found: Found) -> str:
    return f"union of {len(found.masks)}"


def _random(n_units: int, seed: int) -> NDArray[np.bool_]:
    """Choose the paper's control: a share of all neurons, whatever their layers."""
    chosen = np.zeros(n_units, dtype=np.bool_)
    rng = np.random.default_rng(seed)
    chosen[rng.permutation(n_units)[: round(PAPER_RANDOM * n_units)]] = True
    return chosen
