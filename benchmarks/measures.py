"""Measures and figures of a run's matrices, against the program before they were compiled.

Both sides are processes that start with the matrices on disk: the program as it is here, and as it
was at an earlier commit, taken from the clone's history. Beside them stands what the extraction of
such matrices takes.
"""

import argparse
import io
import json
import statistics
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.commands import Usage, call, probe, save_model, save_texts
from benchmarks.report import Report, save
from benchmarks.timing import describe
from probe.topology import Topology

BEFORE = "db6208b"
ROOT = Path(__file__).resolve().parent.parent
MATRICES, NEURONS, SINGLE = 24, 896, (896, 2048, 4096)
# OpenWebText's mean, of texts cut at 1,023 tokens, is 750 tokens: so many words of random letters.
SHAPE, TEXTS, READ, WORDS = "0.5b", 100, 20, 220
_LOAD = """
import json, sys, time
from pathlib import Path
root, folder, single = sys.argv[1:4]
sys.path.insert(0, root)
from probe.config import Config, MeasuresConfig
from probe.measures import measure
from probe.topology import Topology
folder, config = Path(folder), MeasuresConfig(rewired=5)
records = json.loads((folder / "topologies.json").read_text())
topologies = [Topology.load(folder, record) for record in records]
if single == "single":
    started = time.process_time()
    measured = [(topologies[0], measure(topologies[0], config))]
    seconds = time.process_time() - started
else:
    seconds = None
"""
_OLD = """
    from probe.runs.results import _draw
    measured = [(topology, measure(topology, config)) for topology in topologies]
    _draw(folder / "before", measured)
"""
_NEW = """
    from probe.config import Figures, FiguresConfig
    from probe.runs.each_matrix import measure_each, workers_for
    from probe.runs.figure_files import write_figures
    figures = FiguresConfig(draw=Figures.all)
    with workers_for(topologies, figures) as workers:
        measured = measure_each(workers, folder, topologies, Config(measures=config))
        write_figures(folder, measured, figures, workers)
"""
_TELL = """
found = [measures.graphs[0].modularity for _, measures in measured]
skipped = sorted({name for _, measures in measured for name in measures.skipped})
(folder / "result.json").write_text(json.dumps([seconds, found, skipped]))
"""


@dataclass(frozen=True)
class Side:
    """One side's work on some matrices, once.

    Attributes
    ----------
    usage : Usage
        Wall time, CPU time and memory of its processes.
    seconds : float or None
        CPU seconds to measure a single matrix, without loading libraries and the matrix.
    modularity : list of float or None
        Of every matrix.
    skipped : list of str
        What was not measured.
    """

    usage: Usage
    seconds: float | None
    modularity: list[float | None]
    skipped: list[str]


def run(options: argparse.Namespace) -> None:
    """Time both sides in turn: a run's matrices with figures, then single matrices on one core."""
    work: dict[str, list[tuple[Side, Side]]] = {}
    with tempfile.TemporaryDirectory() as place:
        before = Path(place, "before")
        earlier(before)
        for name, count, n in [
            (f"{MATRICES} matrices of {NEURONS}, and figures", MATRICES, NEURONS),
            *((f"one matrix of {n}, one core", 1, n) for n in SINGLE),
        ]:
            folder = Path(place, f"{count}-{n}")
            write(folder, n, count)
            work[name] = [
                (side(before, folder, _OLD), side(ROOT, folder, _NEW))
                for _ in range(options.rounds)
            ]
        extracted = extraction(Path(place))
    save(report(work, extracted, options.rounds))


def extraction(place: Path, shape: str = SHAPE, words: int = WORDS) -> dict[int, float]:
    """Return the seconds of extracting every layer's matrix, of one text and of `READ` more."""
    model = save_model(shape, place / "model")
    save_texts(READ + 1, words, place / "texts.jsonl")
    return {
        texts: probe(
            "model=local", f"model.path={model}", "init=random", "data=text",
            f"data.path={place}/texts.jsonl", f"data.limit={texts}", "data.sinks=keep",
            "layers=each", "runtime.device=cpu", f"output={place}/out", "measures.rewired=0",
            "figures.draw=none",
        )[2]["seconds"]
        for texts in (1, READ + 1)
    }  # fmt: skip


def correlations(n: int, seed: int) -> NDArray[np.float32]:
    """Correlate series of few heavy-tailed factors, which some neurons share, and of noise."""
    rng = np.random.default_rng(seed)
    factors = rng.standard_t(4, (600, 60))
    loadings = rng.standard_normal((60, n)) * (rng.random((60, n)) < 0.15)
    loadings *= rng.gamma(1, 1, (60, 1)) * rng.lognormal(0, 0.6, (1, n))
    series = factors @ loadings + 1.5 * rng.standard_normal((600, n))
    matrix: NDArray[np.float32] = np.asarray(np.corrcoef(series.T), dtype=np.float32)
    np.fill_diagonal(matrix, 1)
    return matrix


def write(folder: Path, n: int, count: int) -> None:
    """Write topologies of a run, with what a process needs to load them."""
    records = []
    for layer in range(count):
        topology = Topology(
            matrix=correlations(n, layer), name=f"layer_{layer}", layers=(layer,), scheme="mean",
            weight="example", part=1, parts=1, examples=100, undefined=(), site="residual",
            model="factors", data="noise", subject=None, init="pretrained",
        )  # fmt: skip
        topology.save(folder)
        records.append(topology.record())
    (folder / "topologies.json").write_text(json.dumps(records))


def earlier(folder: Path) -> None:
    """Unpack the program as it was.

    Raises
    ------
    RuntimeError
        If the folder is not a clone, or one without that commit.
    """
    found = subprocess.run(
        ["git", "-C", str(ROOT), "archive", BEFORE, "probe", "conf"], capture_output=True
    )
    if found.returncode:
        raise RuntimeError(f"no commit {BEFORE} to compare with: {found.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(found.stdout)) as archive:
        archive.extractall(folder, filter="data")


def side(root: Path, folder: Path, way: str) -> Side:
    """Let the program of a folder measure and draw; a single matrix is only measured."""
    single = len(json.loads((folder / "topologies.json").read_text())) == 1
    words = [sys.executable, "-c", _LOAD + way + _TELL, str(root), str(folder)]
    usage = call([*words, "single" if single else "all"], threads=1 if single else None)
    seconds, modularity, skipped = json.loads((folder / "result.json").read_text())
    return Side(usage, seconds, modularity, skipped)


def report(
    work: dict[str, list[tuple[Side, Side]]], extracted: dict[int, float], rounds: int
) -> Report:
    """Return the table: medians over rounds, ratios taken within a round; then the extraction."""
    rows, notes = [], []
    raw: dict[str, Any] = {}
    for name, sides in work.items():
        times: list[list[float]] = [
            [one.usage.seconds if one.seconds is None else one.seconds for one in side]
            for side in zip(*sides, strict=True)
        ]
        ratio = statistics.median(a / b for a, b in zip(*times, strict=True))
        old, new = sides[0]
        rows.append([
            name, f"{statistics.median(times[0]):.2f}", f"{statistics.median(times[1]):.2f}",
            f"{ratio:.1f}", ", ".join(old.skipped), ", ".join(new.skipped),
        ])  # fmt: skip
        raw[name] = [[_plain(one) for one in both] for both in sides]
        pairs = list(zip(old.modularity, new.modularity, strict=True))
        lower = sum(a is not None and b is not None and b < a for a, b in pairs)
        notes.append(f"{name}: modularity is lower than before in {lower} of {len(pairs)}.")
    one, more = extracted.values()
    seconds = (more - one) / READ * TEXTS
    rows.append(
        [f"extraction of {TEXTS} texts, {MATRICES} × {NEURONS}", "", f"{seconds:.2f}", *3 * [""]]
    )
    raw["extraction"] = [{str(texts): found for texts, found in extracted.items()}]
    return Report(
        name="measures-cpu",
        title="Measures and figures",
        facts=describe(torch.device("cpu"))
        | {"rounds": rounds, "rewired graphs": 5, "before": BEFORE},
        columns=["", "before, s", "now, s", "times faster", "skipped before", "skipped now"],
        rows=rows,
        raw=raw,
        notes=[
            "With figures: wall time of a process, loading libraries included. One matrix: CPU "
            "time of measuring it, on one core. Extraction: wall time on all cores, once, without "
            f"loading the model (of the shape {SHAPE}, with random weights): {READ} texts of "
            f"{WORDS} words, about 750 tokens each, times {TEXTS // READ}.",
            *notes,
        ],
    )


def _plain(one: Side) -> dict[str, Any]:
    return {
        "wall": one.usage.seconds, "cpu": one.usage.cpu, "measuring": one.seconds,
        "modularity": one.modularity, "skipped": one.skipped,
    }  # fmt: skip
