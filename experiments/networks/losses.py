"""What the model loses without networks, or with them alone, beside equally many other neurons."""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.intervals import warn_few, with_interval
from experiments.networks.finding import Found
from experiments.networks.settings import PAPER_RANDOM, NetworksConfig
from probe.api import Config, SeriesStore, show
from probe.api.interventions import Effect, Intervention, Masks, Treatment, effects

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
    return rows


def log_effects(rows: list[Row]) -> None:
    """Log a line for each network: the effect, and by how much it exceeds the best control's."""
    for measure in dict.fromkeys(row["measure"] for row in rows):
        own = [row for row in rows if (row["measure"], row["control"]) == (measure, "none")]
        chance = "" if own[0]["chance"] is None else f", chance {own[0]['chance']:.3g}"
        title = f"{measure} (untouched {own[0]['untouched']:.4g}{chance})"
        header = [title, "neurons", "change [95 %]", "best control", "beyond it [95 %]", "moved"]
        show(header, map(_cells, own))
        if chance and _holds(own[0], "untouched", own[0]["chance"]):
            logger.warning(
                "the untouched model's accuracy is that of guessing, within its interval: changes "
                "of accuracy say nothing here; read the margin (study.measure=[margin])"
            )
    warn_few(rows[0]["documents"])


def _cells(row: Row) -> list[str]:
    change = (row["change"], row["change_low"], row["change_high"], row["documents"])
    beyond = (row["beyond"], row["beyond_low"], row["beyond_high"], row["documents"])
    return [
        f"{row['effect']} {row['network']}, {row['treatment']}",
        str(row["units"]),
        with_interval(*change, form="+.3g"),
        str(row["best"]),
        with_interval(*beyond, form="+.3g"),
        f"{row['moved']:.2%}",
    ]


def _holds(row: Row, name: str, level: float) -> bool:
    """Whether a value's interval over documents, as wide as the treated one's, holds a level."""
    half = max(row["high"] - row["value"], row["value"] - row["low"])
    return bool(abs(row[name] - level) <= half)


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
    return [{"effect": row.pop("effect"), "network": names[row.pop("mask")], **row} for row in rows]


def _union(found: Found) -> str:
    return f"union of {len(found.masks)}"


def _random(n_units: int, seed: int) -> NDArray[np.bool_]:
    """Choose the paper's control: a share of all neurons, whatever their layers."""
    chosen = np.zeros(n_units, dtype=np.bool_)
    rng = np.random.default_rng(seed)
    chosen[rng.permutation(n_units)[: round(PAPER_RANDOM * n_units)]] = True
    return chosen
