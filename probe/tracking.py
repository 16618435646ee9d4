"""Weights & Biases: the only importer of wandb. A run never fails because of it."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from probe.config import Config, Mode, TrackingConfig, to_plain
from probe.measures import Measures, edges, strengths
from probe.topology import Topology

logger = logging.getLogger(__name__)
# Longer than a login takes; W&B's own limit would hold a run up for minutes.
_TIMEOUT = 15


@dataclass(frozen=True)
class Record:
    """What is sent to W&B.

    Attributes
    ----------
    name : str
        Name of the run.
    group : str or None
        The sweep it belongs to.
    topologies : sequence of (Topology, Measures)
        Results.
    images : mapping of str to Path
        Figures, by a name such as `layer_3/heatmap`.
    matrices : sequence of Path
        Files for the artifact.
    facts : mapping
        Numbers about the run itself: examples, tokens, seconds, ranks.
    """

    name: str
    group: str | None
    topologies: Sequence[tuple[Topology, Measures]]
    images: Mapping[str, Path]
    matrices: Sequence[Path]
    facts: Mapping[str, Any] = field(default_factory=dict)


def track(config: Config, run: Path, record: Record) -> str | None:
    """Log a finished run to W&B, and return where it is: an address, a folder, or nothing."""
    if not config.tracking.enabled:
        return None
    try:
        import wandb
    except ImportError:
        logger.warning("W&B is not installed; install wandb, or give tracking=none")
        return None
    if os.environ.get("WANDB_MODE") == "disabled":
        return None
    os.environ.setdefault("WANDB_SILENT", "true")
    writer = None
    try:
        mode = _mode(config.tracking)
        writer = wandb.init(
            project=config.tracking.project,
            entity=config.tracking.entity,
            name=record.name,
            group=record.group,
            job_type="correlate",
            tags=_tags(config, record.topologies[0][0]),
            config=to_plain(config),
            dir=run,
            mode=mode,
            reinit="create_new",  # a notebook's own run is not this one
            settings=wandb.Settings(console="off", init_timeout=_TIMEOUT, silent=True),
        )
        _log(writer, record, config.tracking.upload)
        where = str(writer.url) if mode == "online" else str(Path(writer.dir).parent)
        writer.finish()
    except Exception as error:  # noqa: BLE001 - the results are on disk, whatever happens here
        logger.warning("W&B was given up (%s); the results on disk are whole", error)
        if writer is not None:
            with suppress(Exception):
                writer.finish(exit_code=1)
        return None
    return where


def _mode(tracking: TrackingConfig) -> Literal["online", "offline"]:
    """Online where there is a login that works; never a question, never a long wait."""
    import wandb

    if tracking.mode is Mode.online:
        return "online"
    if tracking.mode is Mode.offline or os.environ.get("WANDB_MODE", "online") != "online":
        return "offline"
    try:
        return "online" if wandb.login(prompt=False, timeout=_TIMEOUT) else "offline"
    except Exception as error:  # noqa: BLE001 - no login and no network raise many kinds
        logger.warning("W&B cannot be reached (%s); the run is kept offline", error)
        return "offline"


def _tags(config: Config, topology: Topology) -> list[str]:
    tags = [
        topology.model,
        topology.data,
        *([topology.subject] if topology.subject else []),
        topology.init,
        topology.scheme,
        *config.tracking.tags,
    ]
    return [tag[:64] for tag in tags if tag]  # W&B refuses others


def _log(writer: Any, record: Record, upload: bool) -> None:
    import wandb

    writer.define_metric("layer", hidden=True)
    writer.define_metric("layers/*", step_metric="layer")
    for topology, measures in record.topologies:
        if topology.layer is not None:
            part = f"part{topology.part}/" if topology.parts > 1 else ""
            curves = {f"layers/{part}{key}": value for key, value in measures.numbers().items()}
            writer.log({"layer": topology.layer, **curves})
    rows = [
        [topology.name, rank, neuron, strength]
        for topology, measures in record.topologies
        for rank, (neuron, strength) in enumerate(measures.hubs, start=1)
    ]
    media: dict[str, Any] = {
        "hubs": wandb.Table(columns=["topology", "rank", "neuron", "strength"], data=rows)
    }
    for name, image in record.images.items():
        media[f"figures/{name}"] = wandb.Image(str(image), caption=name)
    for topology, _ in record.topologies:
        counts, bounds = np.histogram(edges(topology), bins=100, range=(-1, 1))
        histogram = (counts.tolist(), bounds.tolist())
        media[f"r/{topology.name}"] = wandb.Histogram(np_histogram=histogram)
        media[f"strength/{topology.name}"] = wandb.Histogram(
            np.delete(strengths(topology), topology.undefined).tolist()
        )
    writer.log(media)
    for topology, measures in record.topologies:
        # One topology's numbers stand by themselves, so that runs line up in a table.
        prefix = "" if len(record.topologies) == 1 else f"{topology.name}/"
        writer.summary.update({prefix + key: v for key, v in measures.numbers().items()})
    writer.summary.update(dict(record.facts))
    if upload:
        name = re.sub(r"[^A-Za-z0-9_.-]", "-", record.name)[-128:]  # what W&B allows
        artifact = wandb.Artifact(name, type="topology")
        for matrix in record.matrices:
            artifact.add_file(str(matrix.resolve()), name=matrix.name, policy="immutable")
        writer.log_artifact(artifact)
