"""Neuron graphs: the published procedure, one prompt at a time, and ours, many neurons at once.

Both take the same texts of the same neurons of the same model; reading all texts, which gives
these, is timed apart. Then passes and memory are counted for a thousand neurons, which foretell
what all of a larger model take on a GPU.
"""

import argparse
import logging
import resource
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from benchmarks.published_graphs import Published
from benchmarks.report import Report, save
from benchmarks.timing import describe
from experiments.neuron_graphs.building import Builder
from experiments.neuron_graphs.choosing import choose, spread
from experiments.neuron_graphs.dealing import TOGETHER
from experiments.neuron_graphs.held_out import split
from experiments.neuron_graphs.lockstep import Lockstep
from experiments.neuron_graphs.model import Models
from experiments.neuron_graphs.predict import Predictor
from experiments.neuron_graphs.presets import PRESETS
from experiments.neuron_graphs.records import Cost
from experiments.neuron_graphs.scanning import Scan
from experiments.neuron_graphs.settings import NeuronGraphs, NeuronGraphsConfig
from experiments.neuron_graphs.unit import Unit
from experiments.neuron_graphs.validate import validate
from experiments.neuron_graphs.work import Work
from probe.api import Config, Side, compose, model_name
from probe.api.parts import format_bytes, load_language_model, this_rank

logger = logging.getLogger("benchmarks")
Result = TypeVar("Result")
# Neurons whose passes are counted.
MANY = 1000
# What all neurons of Qwen2.5-0.5B take is foretold for a GPU with these: weights of its blocks,
# blocks, MLP neurons of each, tokens of the scan; sustained operations per second in float32 (a
# third of an H100's peak), and seconds that a block of a pass takes however few its rows are.
QWEN, SCANNED = (357_898_112, 24, 4864), 2_000_000
GPU, LAUNCH = 2e13, 1e-4
_PAGES = Path("/proc/self/statm")


@dataclass(frozen=True, eq=False)
class Made:
    """Graphs that were made, and what that took.

    Attributes
    ----------
    seconds : float
        Wall time.
    units, passes, rows, tokens : int
        Neurons, passes of the model, their rows and tokens, equal rows counted once a neuron.
    f1 : float
        Mean F1 on held-out texts.
    memory : list of int
        Bytes in use at most while each so many neurons as are under way at a time were made, the
        file of the scan aside.
    """

    seconds: float
    units: int
    passes: int
    rows: int
    tokens: int
    f1: float
    memory: list[int] = field(default_factory=list)


def run(options: argparse.Namespace) -> None:
    """Time both procedures, count passes, foretell, and write the report."""
    with tempfile.TemporaryDirectory() as folder:
        save(measure(options, Path(folder)))


def measure(options: argparse.Namespace, folder: Path) -> Report:
    """Measure on the bundled model, or on that in `--weights`; passes always on the bundled one."""
    few, many = configured(options, options.weights), configured(options, None)
    work, units = Work.of(few, folder), spread(choose(few), options.neurons, 0)
    found, seconds = timed(lambda: scanned(work, units, "few"))
    made = {"published": by_publication(work, units, found)}
    for preset in ("consistent", "paper_code"):
        made[f"ours, {preset}"] = in_lockstep(work, units, found, preset)
    work, units = Work.of(many, folder), spread(choose(many), MANY, 0)
    made[f"ours, {MANY} neurons"] = in_lockstep(
        work, units, scanned(work, units, "many"), "consistent"
    )
    return report(few, made, seconds)


def configured(options: argparse.Namespace, weights: str | None) -> NeuronGraphsConfig:
    """Return the study of the bundled texts in windows, of the bundled model or another."""
    words = ["model=tiny"] if weights is None else ["model=local", f"model.path={weights}"]
    plain = compose(
        *words, "data=sample", "data.cut=tokens", "data.window=256", "data.min_tokens=64",
        "site=mlp", "layers=each", f"runtime.device={options.device}",
    )  # fmt: skip
    given = {field.name: getattr(plain, field.name) for field in fields(Config)}
    given["model"] = replace(plain.model, padding_side=Side.right)
    return NeuronGraphsConfig(**given, study=NeuronGraphs())


def scanned(work: Work, units: Sequence[Unit], name: str) -> Scan:
    """Read all texts."""
    return work.scan(work.models.config, name, list(units))


def in_lockstep(work: Work, units: Sequence[Unit], found: Scan, preset: str) -> Made:
    """Make the graphs of all units at once, and test them."""
    config = work.models.config
    config = replace(config, study=replace(config.study, preset=preset, row_tokens=1 << 15))
    answerer = Models(config, work.tokens).answerer(config)
    builder = _builder(work, found, preset)

    memory = [0] * -(-len(units) // TOGETHER)
    scores, costs = list[float](), list[Cost]()

    def look(_: int) -> None:
        part = len(costs) // TOGETHER
        memory[part] = max(memory[part], in_use())

    def make() -> None:
        for unit, result in Lockstep(builder.build, answerer, TOGETHER).run(units):
            if isinstance(result, Exception):
                raise result
            scores.append(result.scores.graph.f1)
            costs.append(answerer.cost(unit))

    answerer.tally.watch = look
    _, seconds = timed(make)
    return Made(
        seconds, len(units), answerer.tally.batches, sum(cost.rows for cost in costs),
        sum(cost.tokens for cost in costs), _mean(scores), memory,
    )  # fmt: skip


def by_publication(work: Work, units: Sequence[Unit], found: Scan) -> Made:
    """Make the graphs one prompt at a time, and test them."""
    config, builder = work.models.config, _builder(work, found, "paper_code")
    model = load_language_model(config.model, this_rank(config.runtime.device).device)
    allowed = torch.from_numpy(work.tokens.substitutable(letters=True))
    way = Published(model, config, builder.rules, work.tokens.prefix, allowed)

    def make() -> list[float]:
        scores = []
        for unit in units:
            texts = split(found.texts(unit), 0)
            largest = float(max(text.activations.max() for text in texts))
            train, test = (
                [tuple(text.tokens.tolist()) for text in texts if text.held_out is held_out]
                for held_out in (False, True)
            )
            graph = way.graph(unit, largest, train, test)
            evidence = builder.evidence(texts, found.sample(unit), largest)
            scores.append(validate(Predictor.of(graph, builder.rules.preset), evidence).graph.f1)
        return scores

    scores, seconds = timed(make)
    return Made(seconds, len(units), way.calls, way.rows, way.tokens, _mean(scores))


def report(config: Config, made: dict[str, Made], scanning: float) -> Report:
    """Return the report: seconds and passes a neuron, ratios, what the few foretell of the many."""
    published = made["published"]
    rows = [
        [
            name, str(one.units), f"{one.seconds / one.units:.3g}",
            f"{published.seconds / published.units * one.units / one.seconds:.1f}",
            f"{one.passes / one.units:.2f}", f"{one.rows / one.units:.0f}",
            f"{one.tokens / one.units:.0f}", f"{one.f1:.2f}",
        ]
        for name, one in made.items()
    ]  # fmt: skip
    # Of other neurons, and where weights are given of another model: no ratio.
    rows[-1][3] = ""
    many = made[f"ours, {MANY} neurons"]
    scan_gpu, graphs_gpu = foretold(many)
    device = this_rank(config.runtime.device).device
    return Report(
        name=f"neuron_graphs-{device.type}-{model_name(config.model)}",
        title="Graphs of neurons",
        facts=describe(device) | {"model": model_name(config.model), "scan s": f"{scanning:.3g}"},
        columns=["", "neurons", "s a neuron", "published over this", "passes a neuron",
                 "rows a neuron", "tokens a neuron", "F1"],
        rows=rows,
        notes=[
            f"The last line is of the bundled model, in batches of 1024 rows: {many.passes} passes "
            f"for {many.units} neurons. The scan, which gives all of them their texts, took "
            f"{scanning:.3g} s, and is in none of the lines.",
            f"Memory at most, the file of the scan aside, while each quarter of these neurons was "
            f"made, {TOGETHER} at a time: {', '.join(map(format_bytes, quarters(many.memory)))}.",
            f"Foretold for all {QWEN[1] * QWEN[2]} neurons of Qwen2.5-0.5B on a GPU with "
            f"{GPU:.0e} operations a second: {scan_gpu / 60:.1f} minutes for a scan of {SCANNED} "
            f"tokens and {graphs_gpu / 60:.0f} for the graphs, if a neuron takes the tokens and "
            "passes of the last line.",
        ],
        raw={"scan": scanning} | {name: asdict(one) for name, one in made.items()},
    )  # fmt: skip


def foretold(many: Made) -> tuple[float, float]:
    """Return the seconds of a scan of Qwen2.5-0.5B on a GPU, and of the graphs of all neurons.

    A pass over a token takes two operations a weight, and each of its blocks a launch; half of
    the blocks are run for a neuron in the middle. What is not the model's is left out.
    """
    weights, layers, width = QWEN
    neurons = layers * width
    graphs = cost(
        weights, layers, neurons * many.tokens / many.units, neurons * many.passes / many.units
    )
    return cost(weights, layers, SCANNED, SCANNED / 4096), (layers + 1) / (2 * layers) * graphs


def cost(weights: int, layers: int, tokens: float, passes: float) -> float:
    """Return the seconds that passes over tokens take on a GPU.

    Examples
    --------
    >>> cost(weights=10**9, layers=10, tokens=10**6, passes=1000)
    101.0
    """
    return 2 * weights * tokens / GPU + passes * layers * LAUNCH


def in_use() -> int:
    """Return the bytes of this process, files that are read through memory aside (Linux alone)."""
    if not _PAGES.is_file():
        return 0
    _, resident, shared, *_ = map(int, _PAGES.read_text().split())
    return (resident - shared) * resource.getpagesize()


def quarters(values: Sequence[int]) -> list[int]:
    """Return the largest of each quarter of some values.

    Examples
    --------
    >>> quarters([5, 1, 2, 3, 7])
    [5, 2, 3, 7]
    """
    return [int(part.max()) for part in np.array_split(np.array(values), 4) if len(part)]


def timed(call: Callable[[], Result]) -> tuple[Result, float]:
    """Return a result, and the wall time that it took in seconds."""
    started = time.perf_counter()
    result = call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return result, time.perf_counter() - started


def _builder(work: Work, found: Scan, preset: str) -> Builder:
    return replace(work.builder(found), rules=replace(work.rules, preset=PRESETS[preset]))


def _mean(values: Iterable[float]) -> float:
    return float(np.nanmean(list(values)))
