"""Both passes of the study as one work, so that ranks are started once."""

from __future__ import annotations

import io

import numpy as np
from torch import Tensor

from experiments.intervene.measurement import measure
from experiments.intervene.survey import survey
from probe.distributed import Ranks, run_ranks


def both(payload: bytes, ranks: Ranks) -> dict[str, Tensor]:
    """Return on rank 0 what the survey and the measurement return, under one name each."""
    with np.load(io.BytesIO(payload), allow_pickle=False) as plans:
        surveyed = survey(plans["survey"].tobytes(), ranks)
        measured = measure(plans["measure"].tobytes(), ranks)
    parts = {"survey": surveyed, "measure": measured, "ranks": {"size": Tensor([ranks.size])}}
    return {f"{part}/{name}": x for part, found in parts.items() for name, x in found.items()}


def run_both(plans: dict[str, bytes]) -> dict[str, Tensor]:
    """Run the survey and the measurement of two plans on two ranks."""
    stream = io.BytesIO()
    np.savez(stream, **{name: np.frombuffer(plan, np.uint8) for name, plan in plans.items()})
    return run_ranks(f"{__name__}:both", stream.getvalue(), 2, "cpu")
