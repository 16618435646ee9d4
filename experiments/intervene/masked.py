"""Masks of any study beside their controls, in place of the study's own selections."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from experiments.controlled import controlled, log_effects
from experiments.intervene.plan import treatment_of
from experiments.intervene.settings import InterveneConfig
from probe.api import Results
from probe.api.drawing import about
from probe.api.interventions import Intervention, Masks, effects


def masked(config: InterveneConfig, folder: Path) -> dict[str, Any]:
    """Treat every mask of `study.masks` and its controls, and write table and figures.

    Raises
    ------
    UserError
        If the masks cannot be read, or do not fit the model.
    """
    settings = config.study
    masks = Masks.load(str(settings.masks))
    treatments = [treatment_of(settings, name) for name in settings.treatment]
    rows = effects(
        config,
        masks,
        [Intervention(treatment.name, treatment) for treatment in treatments],
        settings.measure,
        draws=settings.seeds,
        seed=settings.seed,
    )
    table = [asdict(row) for row in rows]
    named = [{"name": f"mask {row['mask']}", **row} for row in table]
    log_effects(named)
    results = Results(folder, config)
    results.table("effects", table)
    results.save(table, "effects")
    for name in settings.treatment:
        figure = controlled(about(config), [row for row in named if row["effect"] == name])
        results.figure(f"masks_{name}", figure)
    return {
        "masks": len(masks.masks),
        "layers": masks.layers,
        "documents": rows[0].documents,
    }
