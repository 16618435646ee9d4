"""Hubs that two average topologies have in common, and the effect of the first token."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.hubs.bases import OBSERVED, WITHOUT_FIRST, Correlated
from experiments.hubs.reading import Reading, Tally, number_of_hubs
from probe.api import Config, load_topologies, read_manifest
from probe.api.parts import Overlap, Relabelling, Space, model_fingerprint

# Groups of keys that change no topology, and keys that its name tells.
_ELSEWHERE = {
    "output", "overwrite", "tracking", "launch", "runtime", "figures", "measures", "layers",
}  # fmt: skip
_NAMED = {f"{group}.{key}" for group in ("model", "data") for key in ("name", "id", "path")}
_NAMED |= {"data.source"}


@dataclass(frozen=True)
class Item:
    """The hubs of one average topology.

    Attributes
    ----------
    label : str
        Its name, unique among the items.
    space : Space
        Its neurons: hubs of different spaces share indices, not neurons.
    hubs, defined : frozenset of int
        Its hubs, and the neurons that are not constant in all texts.
    halves : tuple of frozenset of int, optional
        Hubs of the two halves of the documents.
    """

    label: str
    space: Space
    hubs: frozenset[int]
    defined: frozenset[int]
    halves: tuple[frozenset[int], frozenset[int]] | None = None


def items(label: str, config: Config, reading: Reading) -> list[Item]:
    """Return an item for every layer that was read."""
    name, site = config.model.id or config.model.name, config.site.value
    random = config.init.kind.value == "random"
    fingerprint = model_fingerprint(config.model, config.init)
    layer_items = []
    for layer in reading.layers:
        tally = reading.draws(layer, OBSERVED)[0]
        space = Space(
            model=name or str(config.model.path),
            init=f"random (seed {config.init.seed})" if random else "pretrained",
            site=site,
            layers=(layer,) if site == "mlp" else None,
            neurons=tally.n_neurons,
            fingerprint=fingerprint,
            unnamed=not name,
        )
        first, second = (frozenset(tally.hubs(half).tolist()) for half in (0, 1))
        layer_items.append(
            Item(f"{label} layer {layer}", space, *hubs_and_defined(tally), (first, second))
        )
    return layer_items


def hubs_and_defined(tally: Tally) -> tuple[frozenset[int], frozenset[int]]:
    """Return the hubs of the average topology, and the neurons defined in it."""
    defined = tally.average(0, 1).defined.nonzero().flatten()
    return frozenset(tally.hubs(0, 1).tolist()), frozenset(defined.tolist())


def items_of_runs(runs: Sequence[str], n_hubs: int | None) -> list[Item]:
    """Return an item for every topology of finished runs, named by what distinguishes the runs.

    Raises
    ------
    UserError
        If a folder is not a finished run.
    """
    told = distinctions([_keys(read_manifest(run, "config")["config"]) for run in runs])
    found = [
        (one, Path(run).name[-8:])
        for run, words in zip(runs, told, strict=True)
        for one in _of_run(run, n_hubs, words)
    ]
    labels = Counter(one.label for one, _ in found)
    return [
        replace(one, label=f"{one.label} ({name})") if labels[one.label] > 1 else one
        for one, name in found
    ]


def distinctions(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys and values that not all configurations share, of each in words.

    Examples
    --------
    >>> distinctions([{"site": "mlp", "init.kind": "random"}, {"site": "mlp"}])
    ['init=random', 'init=none']
    """
    keys = dict.fromkeys(key for config in configs for key in config)
    varied = [key for key in keys if len({str(config.get(key)) for config in configs}) > 1]
    return [
        ", ".join(f"{key.removesuffix('.kind')}={str(config.get(key)).lower()}" for key in varied)
        for config in configs
    ]


def _keys(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run's topologies depend on beside what their names tell."""
    groups = {name: tree if isinstance(tree, dict) else {"": tree} for name, tree in config.items()}
    return {
        f"{group}.{key}".rstrip("."): value
        for group, tree in groups.items()
        for key, value in tree.items()
        if group not in _ELSEWHERE and f"{group}.{key}" not in _NAMED
    }


def _of_run(run: str, n_hubs: int | None, words: str) -> list[Item]:
    manifest = read_manifest(run, "config")
    run_items = []
    for topology in load_topologies(run):
        n = topology.n_neurons
        defined = torch.ones(n, dtype=torch.bool)
        defined[list(topology.undefined)] = False
        average = Correlated(torch.from_numpy(np.array(topology.matrix)), defined)
        hubs = average.strongest(number_of_hubs(n, n_hubs))
        place = topology.name.replace("_", " ")
        label = ", ".join(filter(None, (f"{topology.model} on {topology.data} {place}", words)))
        numbers = frozenset(defined.nonzero().flatten().tolist())
        space = Space.of(topology, manifest)
        run_items.append(Item(label, space, frozenset(hubs.tolist()), numbers))
    return run_items


def overlap(first: Item, second: Item, null: Relabelling) -> Overlap | None:
    """Compare two items, or the halves of one; None if their numbers of neurons differ."""
    if first is second:
        return null.overlap(*first.halves, first.defined) if first.halves else None
    if first.space.neurons != second.space.neurons:
        return None
    return null.overlap(first.hubs, second.hubs, first.defined & second.defined)


def overlap_rows(items: Sequence[Item], null: Relabelling) -> list[dict[str, Any]]:
    """Return the rows of the table of overlaps: the halves of each item, then every two items."""
    pairs = [(item, item) for item in items] + list(combinations(items, 2))
    rows = []
    for first, second in pairs:
        common = overlap(first, second, null)
        if common is not None:
            names = {"first": first.label, "second": second.label}
            if first is second:
                names["second"] = "(its other half)"
            unlike = first.space.unlike(second.space) or ""
            rows.append(names | asdict(common) | {"unlike": unlike})
    return rows


def first_token_rows(variant: str, reading: Reading, null: Relabelling) -> list[dict[str, Any]]:
    """Return the rows that compare topology and hubs with and without the first token."""
    rows = []
    for layer in reading.layers:
        without = reading.draws(layer, WITHOUT_FIRST)
        if not without:
            continue
        whole = reading.draws(layer, OBSERVED)[0]
        (ours, defined), (theirs, still) = (
            hubs_and_defined(tally) for tally in (whole, without[0])
        )
        common = null.overlap(ours, theirs, defined & still)
        if common is None:  # no neuron varies
            continue
        rows.append(
            {"variant": variant, "layer": layer, "r": agreement(whole, without[0])}
            | asdict(common)
            | {"first_norm": float(np.median(reading.first_norm[layer]))}
        )
    return rows


def agreement(first: Tally, second: Tally) -> float:
    """Correlate the entries off the diagonal of two average topologies."""
    n = first.n_neurons
    pairs = np.triu_indices(n, 1)
    entries = [tally.average(0, 1).matrix.cpu().numpy()[pairs] for tally in (first, second)]
    return float(np.corrcoef(np.stack(entries))[0, 1])
