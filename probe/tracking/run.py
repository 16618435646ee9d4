"""What is logged to W&B about a run."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from probe.config import Config, to_plain
from probe.measures import Measures, edges, strengths
from probe.topology import Topology
from probe.topology.reliability import BINS
from probe.tracking.writer import curves_over_layers, images, table, tags, write

# Eigenvalues logged per topology; beyond them spectra are flat and tables long.
_LEADING = 100
_HUB_COLUMNS = ("topology", "rank", "neuron", "partners", "tokens", "promotes", "suppresses")


@dataclass(frozen=True)
class Record:
    """What is logged about a run.

    Attributes
    ----------
    name : str
        Name of the run.
    group : str or None
        Name of the sweep the run belongs to.
    topologies : sequence of (Topology, Measures)
        The results.
    images : mapping of str to Path
        Figures, by names such as `layer_3/heatmap`.
    matrices : sequence of Path
        Files for the artifact.
    facts : mapping
        Facts about the run itself: examples, tokens, seconds, ranks.
    tokens : sequence of mapping
        Tokens with an outlying norm.
    """

    name: str
    group: str | None
    topologies: Sequence[tuple[Topology, Measures]]
    images: Mapping[str, Path]
    matrices: Sequence[Path]
    facts: Mapping[str, Any] = field(default_factory=dict)
    hubs: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    tokens: Sequence[Mapping[str, Any]] = ()


def track(config: Config, run: Path, record: Record) -> str | None:
    """Log a finished run to W&B; return its URL or folder, or None if it was not logged."""

    def log(writer: Any) -> None:
        _log_curves(writer, record)
        _log_media(writer, record)
        _log_summary(writer, record)
        if config.tracking.upload:
            _log_matrices(writer, record)

    first = record.topologies[0][0]
    names = [first.model, first.data, first.subject, first.init, first.scheme]
    names += [first.correlation] if first.correlation != "pearson" else []
    about = {
        "name": record.name,
        "group": record.group,
        "job_type": "correlate",
        "tags": tags(*names, *config.tracking.tags),
        "config": to_plain(config),
    }
    return write(config.tracking, run, about, log)


def _log_curves(writer: Any, record: Record) -> None:
    curves_over_layers(writer)
    for topology, measures in record.topologies:
        if topology.layer is not None:
            part = f"part{topology.part}/" if topology.parts > 1 else ""
            part = f"without_sinks/{part}" if topology.beside else part
            curves = {f"layers/{part}{key}": value for key, value in measures.numbers().items()}
            writer.log({"layer": topology.layer, **curves})


def _log_media(writer: Any, record: Record) -> None:
    import wandb

    hubs = [
        [topology.name, rank, neuron, strength]
        for topology, measures in record.topologies
        for rank, (neuron, strength) in enumerate(measures.hubs, start=1)
    ]
    spectrum = [
        [topology.name, rank, eigenvalue]
        for topology, measures in record.topologies
        if measures.spectrum is not None
        for rank, eigenvalue in enumerate(measures.spectrum.eigenvalues[:_LEADING], start=1)
    ]
    media = images(record.images) | {
        "outlier_tokens": table(
            ["layer", "token", "text", "count", "largest_norm"],
            [[*row.values()] for row in record.tokens],
        ),
        "hubs": table(["topology", "rank", "neuron", "strength"], hubs),
        "spectrum": table(["topology", "rank", "eigenvalue"], spectrum),
        "hub_tokens": table(_HUB_COLUMNS, _hub_rows(record.hubs)),
    }
    for topology, _ in record.topologies:
        counts, bounds = np.histogram(edges(topology), bins=100, range=(-1, 1))
        histogram = (counts.tolist(), bounds.tolist())
        media[f"r/{topology.name}"] = wandb.Histogram(np_histogram=histogram)
        if topology.kind != "cross":
            media[f"strength/{topology.name}"] = wandb.Histogram(
                np.delete(strengths(topology), topology.undefined).tolist()
            )
        null = topology.reliability.null if topology.reliability else None
        if null is not None:
            shifted: Any = (null.counts, BINS.tolist())
            media[f"r_shifted/{topology.name}"] = wandb.Histogram(np_histogram=shifted)
    writer.log(media)


def _hub_rows(hubs: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[list[Any]]:
    """Return a row for each hub. Of the texts single tokens leave the machine, never more."""
    return [
        [
            name,
            rank,
            hub["neuron"],
            ", ".join(f"{one['neuron']} ({one['r']:+.2f})" for one in hub["partners"]),
            " ".join(repr(one["token"]) for one in hub.get("tokens", [])),
            *(" ".join(map(repr, hub.get(end, []))) for end in ("promotes", "suppresses")),
        ]
        for name, listed in hubs.items()
        for rank, hub in enumerate(listed, start=1)
    ]


def _log_summary(writer: Any, record: Record) -> None:
    single = sum(not topology.beside for topology, _ in record.topologies) == 1
    for topology, measures in record.topologies:
        # Without a prefix for a single topology, so that such runs line up in W&B's table.
        prefix = "" if single and not topology.beside else f"{topology.name}/"
        numbers = measures.numbers() | _noise(topology)
        writer.summary.update({prefix + key: value for key, value in numbers.items()})
    writer.summary.update(dict(record.facts))


def _noise(topology: Topology) -> dict[str, float]:
    """Return the numbers about a topology's noise that are not among its measures."""
    reliability = topology.reliability
    if reliability is None:
        return {}
    agreement = {f"layer_agreement/{k}": v for k, v in reliability.layer_agreement.items()}
    full = {} if reliability.full_length is None else {"full_length": reliability.full_length}
    null = reliability.null
    quantiles = {f"null_abs_r_q{q}": value for q, value in null.quantiles.items()} if null else {}
    return full | quantiles | agreement


def _log_matrices(writer: Any, record: Record) -> None:
    import wandb

    name = re.sub(r"[^A-Za-z0-9_.-]", "-", record.name)[-128:]  # the names W&B allows
    artifact = wandb.Artifact(name, type="topology")
    for matrix in record.matrices:
        artifact.add_file(str(matrix.resolve()), name=matrix.name, policy="immutable")
    writer.log_artifact(artifact)
