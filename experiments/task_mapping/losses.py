"""What the model loses without a task's network, on its prompts and on those of other tasks."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.task_mapping.mapping import Maps, halves
from experiments.task_mapping.networks import top_networks
from experiments.task_mapping.prompts import Prompts
from experiments.task_mapping.reading import Units
from experiments.task_mapping.settings import TaskMapping, TaskMappingConfig
from experiments.task_mapping.stimuli import Scan, read_in
from probe.api import Document, Site
from probe.api.interventions import Intervention, Masks, Treatment, effects, survey
from probe.api.parts import planned

logger = logging.getLogger(__name__)
Row = dict[str, Any]
_LESION = Intervention("lesion", Treatment("zero"))


def effect_rows(
    at_sites: Mapping[str, TaskMappingConfig],
    prompts: Prompts,
    of_tasks: Sequence[Scan],
    maps: Maps,
    units: Units,
    settings: TaskMapping,
) -> list[Row]:
    """Measure each network's lesion on prompts of every task that are in none of its scans.

    Parameters
    ----------
    at_sites : mapping of str to TaskMappingConfig
        What is read at each site.
    prompts : Prompts
        All prompts.
    of_tasks : sequence of Scan
        Scans of the tasks.
    maps : ndarray of float32, shape (n_tasks, n_units)
        Over the first half of every task's scans.
    units : Units
        Where every unit is.
    settings : TaskMapping
        Share of units in a network, draws of its controls.

    Returns
    -------
    list of dict
        A row for each site, network, task of the prompts and control.
    """
    first, _ = halves(range(settings.scans))
    used = read_in([scan for scan in of_tasks if scan.number in first])
    rows = list[Row]()
    for site, config in at_sites.items():
        here = units.site == site
        # As many at every site, so that there are enough others for controls.
        networks = top_networks(maps[:, here], settings.top)
        masks = Masks(networks, units.layer[here], units.neuron[here], Site(site))
        known = planned(config, _some(prompts, used))[1].chosen
        statistics = survey(config, known, masks.layers)
        for task in prompts.tasks:
            own = np.setdiff1d(_on(of_tasks, task), used)
            measured = effects(
                config, masks, [_LESION], ["perplexity"], draws=settings.draws,
                seed=settings.seed, statistics=statistics, texts=_some(prompts, own),
            )  # fmt: skip
            for effect in measured:
                row = asdict(effect)
                network = prompts.tasks[row.pop("mask")]
                rows.append({"site": site, "name": network, "prompts": task} | row)
    return rows


def _on(scans: Sequence[Scan], task: str) -> NDArray[np.int64]:
    """Return the numbers of a task's prompts in its scans."""
    return np.concatenate([scan.prompts[scan.on] for scan in scans if scan.task == task])


def _some(prompts: Prompts, numbers: NDArray[np.int64]) -> list[Document]:
    return [prompts.documents[number] for number in numbers]
