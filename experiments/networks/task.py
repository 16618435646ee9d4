"""The study from start to finish: find, compare, treat, draw."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.controlled import controlled, log_effects
from experiments.networks import figures
from experiments.networks.connectivity import connectivity, network_series, shift_null
from experiments.networks.finding import Found, by_solver, find, of_samples, read_signals
from experiments.networks.losses import effect_rows
from experiments.networks.masks import empty
from experiments.networks.recurrence import iou
from experiments.networks.reliability import Row, network_rows, recurrence_rows
from experiments.networks.settings import NetworksConfig, check, published, varied
from experiments.networks.signals import Signals
from experiments.statistics import split_by_group
from probe.api import (
    Results,
    SeriesStore,
    UserError,
    atomic_write,
    plural,
    series,
    show,
)
from probe.api.drawing import about
from probe.api.parts import load_tokenizer, planned, this_rank

logger = logging.getLogger(__name__)
# Tokens of a text under which networks are drawn.
_TOKENS = 48


def run(config: NetworksConfig, folder: Path) -> dict[str, Any]:
    """Run the study, write its files, and return the facts for the manifest.

    Raises
    ------
    UserError
        If a setting cannot work, or there are too few texts.
    """
    config = published(config)
    settings, others = config.study, check(config)
    store, device = series(config), this_rank(config.runtime.device).device
    first, second = _halves(store, settings.seed)
    layers = store.units[:, 0]
    signals = read_signals(store, first, settings, folder)
    found = {k: find(signals, k, settings, device) for k in settings.components}
    k = settings.components[0]
    networks = found[k]
    _tell_empty(networks)
    other_half = read_signals(store, second, settings, folder)
    recurring = recurrence_rows(
        "texts of the other half",
        networks,
        of_samples(_beginning(other_half, settings.samples), k, settings, device),
        layers,
        settings,
    )
    solver = by_solver(signals, k, settings, device)
    rows = network_rows(
        networks, layers, solver, find(other_half, k, settings, device), recurring, settings
    )
    for words, other in others.items():
        recurring += _elsewhere(words, other, store, networks, device, folder)
    results = Results(folder, config)
    results.table("networks", rows)
    results.table("recurrence", recurring)
    _save(folder, networks, store, config)
    title = f"{about(config)}, {config.site}"
    results.figure("where", figures.where_they_lie(title, networks.masks, layers))
    if recurring:
        results.figure("recurrence", figures.recurrences(title, recurring))
    _log_networks(rows)
    _between(results, title, other_half, networks, settings.permutations, settings.seed)
    results.figure("time_courses", _courses(title, config, store, second[0], other_half, networks))
    lost = _lost(config, store, found, first) if settings.effects else []
    if lost:
        columns = {"name": "network"}
        results.table("effects", [{columns.get(k, k): v for k, v in row.items()} for row in lost])
        results.figure("effects", controlled(title, lost))
        if "keep" in settings.effects:
            results.figure("preservation", figures.preservation(title, lost))
        log_effects(lost)
    results.save({"networks": rows, "recurrence": recurring, "effects": lost})
    return {
        "networks": k,
        "units": int(networks.masks.any(axis=0).sum()),
        "tokens": signals.shape[0],
        "layers": list(store.layers),
        "examples": {"found in": len(first), "other half": len(second)},
        "headline": _headline(rows, lost),
    }


def _halves(store: SeriesStore, seed: int) -> tuple[list[int], list[int]]:
    """Split the texts by document, as the measurement of effects does."""
    groups = [example.group for example in store.examples]
    if len(set(groups)) < 2:
        raise UserError(
            f"networks are found in one half of the documents and tested on the other, and there "
            f"is {plural(len(set(groups)), 'document')}; give more with data.limit, or cut them "
            "less"
        )
    first, second = split_by_group(groups, [0.5, 0.5], seed)
    return first.tolist(), second.tolist()


def _beginning(signals: Signals, n_texts: int) -> Signals:
    """Return the signals of the first texts alone."""
    lengths = signals.lengths[:n_texts]
    values = signals.values[: sum(lengths)]
    return Signals(values, signals.mean, signals.deviation, signals.varying, signals.rule, lengths)


def _elsewhere(
    words: str,
    other: NetworksConfig,
    store: SeriesStore,
    networks: Found,
    device: torch.device,
    folder: Path,
) -> list[Row]:
    """Look for the networks among those of other texts."""
    settings = other.study
    theirs = series(other)
    signals = read_signals(theirs, range(len(theirs)), settings, folder)
    found = find(signals, settings.components[0], settings, device)
    return recurrence_rows(words, networks, [found.masks], store.units[:, 0], settings)


def _lost(
    config: NetworksConfig, store: SeriesStore, found: dict[int, Found], first: Sequence[int]
) -> list[Row]:
    """Measure the effects, on texts in which the networks were not found."""
    settings = config.study
    if not settings.on:
        return effect_rows(config, config, store, found)
    texts = varied(config, settings.on, "study.on")
    used = {store.examples[number].group for number in first}
    chosen = planned(texts)[1].chosen
    both = [example.group for example in chosen if example.group in used]
    if both:
        raise UserError(
            f"study.on has {plural(len(set(both)), 'document')} in which the networks were found, "
            f"e.g. {both[0]}; give others, e.g. with data.offset="
        )
    return effect_rows(config, texts, store, found)


def _between(
    results: Results, about: str, signals: Signals, networks: Found, draws: int, seed: int
) -> None:
    """Write the correlations among networks over the tokens of the other half."""
    over_time = network_series(signals, networks.masks, networks.z)
    r, null = connectivity(over_time), shift_null(over_time, draws, seed)
    file = results.folder / "connectivity.npy"
    with atomic_write(file) as unfinished, unfinished.open("wb") as stream:
        np.save(stream, r, allow_pickle=False)
    results.figure("connectivity", figures.connections(about, r, null))


def _courses(
    about: str,
    config: NetworksConfig,
    store: SeriesStore,
    example: int,
    signals: Signals,
    networks: Found,
) -> Any:
    tokenizer = load_tokenizer(config.model)
    ids = store.tokens(example)[:_TOKENS].tolist()
    over_time = network_series(_beginning(signals, 1), networks.masks, networks.z)[: len(ids)]
    words = [repr(tokenizer.decode([token]))[1:-1] for token in ids]
    return figures.time_courses(about, over_time, words)


def _save(folder: Path, networks: Found, store: SeriesStore, config: NetworksConfig) -> None:
    """Write maps, z maps and masks, so that `experiments.intervene study.masks=` takes them."""
    with atomic_write(folder / "networks.npz") as unfinished, unfinished.open("wb") as stream:
        np.savez_compressed(
            stream,
            maps=networks.maps.astype(np.float32),
            z=networks.z.astype(np.float32),
            masks=networks.masks,
            layer=store.units[:, 0],
            neuron=store.units[:, 1],
            site=np.array(config.site.value),
        )


def _tell_empty(networks: Found) -> None:
    none = empty(networks.masks)
    if len(none):
        logger.warning(
            "%s of %d beyond the threshold no neuron: %s; give a lower study.threshold",
            "1 has" if len(none) == 1 else f"{len(none)} have", len(networks.masks),
            ", ".join(map(str, none)),
        )  # fmt: skip
    overlap = np.triu(iou(networks.masks, networks.masks), 1)
    first, second = np.unravel_index(overlap.argmax(), overlap.shape)
    alike = "; the two most alike, %d and %d, overlap by %.2f (IoU)"
    logger.info(
        "the union of %s has %d of %d neurons%s",
        plural(len(networks.masks), "network"), networks.masks.any(axis=0).sum(),
        networks.masks.shape[1], alike % (first, second, overlap.max()) if overlap.any() else "",
    )  # fmt: skip


def _log_networks(rows: Sequence[Row]) -> None:
    header = [
        "network", "neurons", "layers", "largest layer", "r over starts", "over solvers",
        "over halves (null)", "recurs (null, up to)",
    ]  # fmt: skip

    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f}"

    def cells(row: Row) -> list[str]:
        again = "-"
        if row["recurrence"] is not None:
            mark = ", no more" if row["below_null"] else ""
            again = f"{row['recurrence']} ({row['null']:.1f}, {row['null_high']:.0f}){mark}"
        return [
            str(row["network"]), str(row["units"]), str(row["layers"]),
            f"{row['largest_layer']}: {row['in_largest_layer']}",
            number(row["stability_starts"]), number(row["stability_solver"]),
            f"{number(row['stability_halves'])} ({number(row['stability_halves_null'])})", again,
        ]  # fmt: skip

    show(header, map(cells, rows))


def _headline(rows: Sequence[Row], lost: Sequence[Row]) -> dict[str, float]:
    """Return the numbers that sum up a sweep."""
    halves = [row["stability_halves"] for row in rows if row["stability_halves"] is not None]
    numbers = {"mean r over halves": float(np.mean(halves))} if halves else {}
    return numbers | {
        f"{row['effect']} {row['name']}, {row['treatment']}, {row['measure']}: beyond": row[
            "beyond"
        ]
        for row in lost
        if row["control"] == "none" and row["name"].startswith("union")
    }
