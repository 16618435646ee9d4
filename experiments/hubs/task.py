"""The study from start to finish: read, count, compare, draw."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.controls import untrained
from experiments.hubs.bases import KEPT, OBSERVED, Bases
from experiments.hubs.figures import frequency_curves, kept_hubs, overlap_matrix
from experiments.hubs.frequency import frequency, frequency_rows, layer_frequencies
from experiments.hubs.overlap import Item, first_token_rows, items, items_of_runs, overlap_rows
from experiments.hubs.reading import Reading, read
from experiments.hubs.ruling import kept_rows, token_rows
from experiments.hubs.settings import HubsConfig, check
from experiments.intervals import warn_few, with_interval
from probe.api import Config, Results, UserError, show
from probe.api.drawing import about
from probe.api.parts import Relabelling

logger = logging.getLogger(__name__)
Rows = list[dict[str, Any]]


def run(config: HubsConfig, folder: Path) -> dict[str, Any]:
    """Run the study, write its tables and figures, and return the facts for the manifest.

    Raises
    ------
    UserError
        If a setting cannot work, or a variant cannot be read.
    """
    settings, variants = config.study, check(config)
    null = Relabelling(settings.permutations, settings.seed)
    results = Results(folder, config)
    frequencies, first_token, neurons, all_items = Rows(), Rows(), Rows(), list[Item]()
    ruling, kept = Rows(), Rows()
    for number, (name, variant) in enumerate(variants.items()):
        reading = _read(name, variant, config)
        all_items += items(name, variant, reading)
        random = []
        if number == 0:
            for seeded in untrained(variant, settings.inits):
                random.append(_read(f"random weights, seed {seeded.init.seed}", seeded, config))
                all_items += items(f"random {seeded.init.seed}", seeded, random[-1])
        frequencies += frequency_rows(name, reading, random, settings)
        first_token += first_token_rows(name, reading, null)
        ruling += token_rows(name, reading)
        kept += kept_rows(name, reading, null)
        neurons += _neuron_rows(name, reading)
        curves = _draw_frequencies(variant, reading, random)
        results.figure(f"frequency{f'_{number}' if number else ''}", curves)
    all_items += items_of_runs(settings.runs, settings.hubs)
    overlaps = overlap_rows(all_items, null)
    results.figure("overlap", overlap_matrix(about(config), all_items, null))
    if ruling:
        results.figure("ruling_tokens", kept_hubs(about(config), ruling, kept))
    tables = {"frequency": frequencies, "overlap": overlaps, "first_token": first_token}
    tables |= {"ruling_tokens": ruling, "without_ruling": kept}
    for table, rows in {**tables, "neurons": neurons}.items():
        results.table(table, rows)
    results.save(tables)
    _log_table(frequencies, first_token)
    _log_ruling(ruling, kept)
    return {
        "variants": list(variants),
        "texts": {row["variant"]: row["texts"] for row in frequencies},
        "headline": {
            f"{row['variant']} layer {row['layer']} {row['basis']}": row["frequency"]
            for row in frequencies
        },
    }


def _read(name: str, variant: Config, config: HubsConfig) -> Reading:
    settings = config.study
    logger.info("hubs of %s", name)
    nulls = str(variant.init.kind) != "random"
    bases = Bases(
        settings.rotations if nulls else 0,
        settings.shifts if nulls else 0,
        settings.seed,
        variant.data.skip_first == 0,
        settings.ruling if nulls else None,
    )
    reading = read(variant, bases, settings.hubs)
    if not len(reading.members(1)):
        raise UserError(
            f"{name} has texts of one document only, and hubs are chosen on one half of the "
            "documents and counted on the other; give more texts"
        )
    return reading


def _neuron_rows(variant: str, reading: Reading) -> Rows:
    rows = Rows()
    for layer in reading.layers:
        tally = reading.draws(layer, OBSERVED)[0]
        average = tally.average(0, 1)
        strength = (average.matrix.abs().sum(dim=1) - average.matrix.diagonal().abs()).tolist()
        first, second = (frequency(tally, reading.members(half)) for half in (0, 1))
        hubs = set(tally.hubs(0, 1).tolist())
        rows += [
            {
                "variant": variant,
                "layer": layer,
                "neuron": neuron,
                "degree": strength[neuron],
                "hub": neuron in hubs,
                "frequency_first_half": first[neuron],
                "frequency_second_half": second[neuron],
            }
            for neuron in range(tally.n_neurons)
        ]
    return rows


def _draw_frequencies(variant: Config, reading: Reading, random: Sequence[Reading]) -> Figure:
    layers = {layer: layer_frequencies(reading, random, layer) for layer in reading.layers}
    texts, tokens = len(reading.half), np.median(reading.tokens)
    title = f"{about(variant)}, {variant.site}: hub frequency, {texts} texts, "
    title += f"median {tokens:.0f} tokens"
    return frequency_curves(title, layers)


def _log_table(frequencies: Rows, first_token: Rows) -> None:
    """Log a line per variant and layer: how often hubs are hubs, against the null models."""
    bases = list(dict.fromkeys(row["basis"] for row in frequencies))
    places = dict.fromkeys((row["variant"], row["layer"]) for row in frequencies)
    by_place = {(row["variant"], row["layer"], row["basis"]): row for row in frequencies}
    without = {(row["variant"], row["layer"]): row for row in first_token}
    lines = []
    for place in places:
        observed, first = by_place[*place, OBSERVED], without.get(place)
        means = [
            f"{by_place[*place, basis]['frequency']:.2f}" if (*place, basis) in by_place else ""
            for basis in bases
        ]
        numbers = (observed[name] for name in ("frequency", "low", "high", "documents"))
        same = f"{first['share']:.2f}" if first else ""
        cells = [with_interval(*numbers, form=".2f"), *means[1:], f"{observed['chance']:.2f}", same]
        lines.append([f"{place[0]} layer {place[1]}", *cells])
    header = [
        "hub frequency",
        f"{bases[0]} [95 %]",
        *bases[1:],
        "chance",
        "hubs kept without first",
    ]
    show(header, lines)
    warn_few(min(row["documents"] for row in frequencies))


def _log_ruling(ruling: Rows, kept: Rows) -> None:
    """Log a line per variant and layer: how far one token rules, and which hubs do without it."""
    by_place = {(row["variant"], row["layer"], row["basis"]): row for row in kept}
    lines = []
    for row in ruling:
        place = row["variant"], row["layer"]
        bases = [by_place[*place, basis] for basis in KEPT if (*place, basis) in by_place]
        shares = [f"{one['share']:.2f}" for one in bases] or [""] * len(KEPT)
        lines.append(
            [
                f"{place[0]} layer {place[1]}",
                f"{row['largest_norm']:.1f}",
                f"{row['ruling_per_text']:.2f}",
                f"{row['strongest_share']:.2f}",
                *shares,
            ]
        )
    if lines:
        header = ["hubs kept", "largest norm", "ruling tokens", "share of strongest", *KEPT]
        show(header, lines)
