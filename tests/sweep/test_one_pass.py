"""Jobs of a sweep that differ only in layers read the texts once, as if each read them alone."""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from probe import api, pipeline
from probe.config import Config, InitConfig, InitKind, LayersConfig, Selection, run_folder
from probe.errors import RankError, UserError
from probe.runs.facts import Facts
from probe.runs.folder import RunFolder
from probe.runs.manifest import read_manifest, write_manifest
from probe.sweep.one_pass import from_one_pass, sharing
from probe.sweep.part import part_of
from probe.topology import Topology
from tests.run_folders import draw_dots
from tests.topologies import random_correlations, topology_of

N_LAYERS = 6
FINGERPRINTS = {"model": "m", "data": "d"}
# What depends on when, how fast and in which company a run was made.
OWN = {"finished", "seconds", "checks", "padding", "sha256"}


def single(*layers: int) -> LayersConfig:
    return LayersConfig(Selection.single, [*layers])


def make(layer: int, **changed: Any) -> Topology:
    usual = {"name": f"layer_{layer}", "layers": (layer,)}
    return topology_of(random_correlations(8, layer), **usual | changed)


def facts_of(layers: Sequence[int], **known: Any) -> Facts:
    return Facts(4, 40, 1, 2.5, [*layers], {}, **known)


def layers_of(config: Config) -> list[int]:
    if config.layers.selection is Selection.each:
        return [*range(N_LAYERS)]
    if config.layers.selection is Selection.middle:
        return [N_LAYERS // 2]
    index = config.layers.index
    layers = index if isinstance(index, list) else [index]
    if max(layers) >= N_LAYERS:
        raise UserError(f"layer {max(layers)} is not in the model")
    return sorted(layers)


class Reader:
    """Reads made-up topologies, and remembers which layers it was asked for."""

    def __init__(self, fails: BaseException | None = None) -> None:
        self.asked: list[list[int]] = []
        self.fails = fails

    def __call__(self, config: Config, run: Path) -> tuple[list[Topology], Facts]:
        layers = layers_of(config)
        self.asked.append(layers)
        if self.fails is not None:
            raise self.fails
        return [make(layer) for layer in layers], facts_of(layers)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return replace(Config(), output=str(tmp_path))


def jobs_of(config: Config, *layers: LayersConfig) -> list[Config]:
    return [replace(config, layers=one) for one in layers]


def found(config: Config, read: Reader) -> list[str] | None:
    """Return the names of the topologies that a job finds in a pass."""
    part = from_one_pass(config, FINGERPRINTS, layers_of, read)
    return None if part is None else [topology.name for topology in part[0]]


def break_off(jobs: Sequence[Config], read: Reader) -> None:
    """Interrupt a sweep in its first job, during its pass or after it."""
    with suppress(KeyboardInterrupt), sharing(jobs):
        found(jobs[0], read)
        raise KeyboardInterrupt


def finish(config: Config) -> None:
    run_folder(config).mkdir(parents=True)
    write_manifest(run_folder(config), {})


# A real sweep.


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        draw_dots(patch)
        yield


def norms_told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return, and forget, what has been said of the tokens' norms."""
    told = [each.getMessage() for each in caplog.records if each.name.endswith("norm_report")]
    caplog.clear()
    return told


def test_a_job_finds_what_it_finds_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="probe")
    texts = tmp_path / "texts.jsonl"
    lines = [f"In year {n} the river carried {17 * n} boats of sand to the sea." for n in range(4)]
    texts.write_text("".join(json.dumps({"text": line * 2}) + "\n" for line in lines))
    config = api.compose(
        "data=text", f"data.path={texts}", "tracking=none", "runtime.device=cpu",
        "measures.rewired=0", "average=fisher", "average.parts=2", "average.std=true",
        "null.shifts=1", f"output={tmp_path / 'alone'}",
    )  # fmt: skip
    layers = single(4), single(0, 3)
    alone = [pipeline.run(job) for job in jobs_of(config, *layers)]
    told = norms_told(caplog)
    asked, extract = [], pipeline._extract

    def note(request: Any, *given: Any, **named: Any) -> Any:
        asked.append(request.layers)
        return extract(request, *given, **named)

    monkeypatch.setattr(pipeline, "_extract", note)
    sweep = jobs_of(replace(config, output=str(tmp_path / "sweep")), *layers)
    with sharing(sweep):
        together = [pipeline.run(job) for job in sweep]
    assert asked == [[0, 3, 4]]
    assert norms_told(caplog) == told != []
    assert not (tmp_path / "sweep/.passes").exists()
    for one, other in zip(alone, together, strict=True):
        first, second = (dict(read_manifest(run)) for run in (one, other))
        for manifest in (first, second):
            manifest["config"]["output"] = None
            del manifest["files"]["config.yaml"]  # has the output folder
        assert first["files"].keys() > {"hubs.json", "measures.json"}
        assert first["topologies"]
        for key in {*first, *second} - OWN:
            assert first[key] == second[key], key


# Which jobs share.


def test_the_first_job_reads_for_all(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="probe.sweep")
    read = Reader()
    jobs = jobs_of(config, single(2), LayersConfig(Selection.middle), LayersConfig(Selection.each))
    with sharing(jobs):
        names = [found(job, read) for job in jobs]
        assert (Path(config.output) / ".passes").is_dir()
    assert names == [["layer_2"], ["layer_3"], [f"layer_{n}" for n in range(N_LAYERS)]]
    assert read.asked == [[0, 1, 2, 3, 4, 5]]
    assert not (Path(config.output) / ".passes").exists()
    assert caplog.messages == [
        "the texts are read once for the sweep's layers 0, 1, 2, 3, 4, 5",
        *["taken from the pass that this sweep has made over the texts"] * 2,
    ]


def test_jobs_that_differ_in_more_share_with_their_like_in_any_order(config: Config) -> None:
    random = replace(config, init=InitConfig(InitKind.random))
    jobs = [replace(each, layers=single(n)) for n in (1, 2, 3) for each in (config, random)]
    read = Reader()
    with sharing(jobs[:1] + jobs[2::2] + jobs[1:2]):
        assert [found(job, read) for job in jobs] == [[f"layer_{n}"] for n in (1, 1, 2, 2, 3, 3)]
    assert read.asked == [[1, 2, 3]] * 2


def test_what_joins_layers_is_read_alone(config: Config) -> None:
    jobs = jobs_of(config, single(1), LayersConfig(Selection.all), single(2))
    read = Reader()
    with sharing(jobs):
        assert [found(job, read) for job in jobs] == [["layer_1"], None, ["layer_2"]]
    assert read.asked == [[1, 2]]


@pytest.mark.parametrize(
    "layers",
    [
        pytest.param([single(1)], id="a single job"),
        pytest.param([single(1), LayersConfig(Selection.all)], id="a single job of its kind"),
        pytest.param([single(1), single(99)], id="another that cannot work"),
        pytest.param([single(1), LayersConfig(Selection.single, 1)], id="the same layer"),
    ],
)
def test_a_job_without_others_reads_alone(config: Config, layers: list[LayersConfig]) -> None:
    jobs = jobs_of(config, *layers)
    with sharing(jobs):
        assert found(jobs[0], Reader()) is None
    assert not (Path(config.output) / ".passes").exists()


def test_a_job_may_have_all_layers_of_the_pass(config: Config) -> None:
    """It holds the lock of its own run meanwhile."""
    jobs = jobs_of(config, single(1, 2), single(1))
    with sharing(jobs), RunFolder(jobs[0]).locked():
        assert found(jobs[0], Reader()) == ["layer_1", "layer_2"]


def test_a_pass_is_left_to_the_sweep_that_makes_it(
    config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = jobs_of(config, single(1), single(2))
    passes = Path(config.output) / ".passes"
    with sharing(jobs):
        found(jobs[0], Reader())
        with sharing(jobs):
            assert found(jobs[1], Reader()) is None
        assert passes.is_dir()
    assert "is being written by another process" in caplog.messages[-1]
    assert not passes.exists()


def test_outside_a_sweep_every_run_reads_alone(config: Config) -> None:
    assert found(replace(config, layers=single(1)), Reader()) is None


def test_a_layer_that_is_not_in_the_model_is_its_own_jobs_mistake(config: Config) -> None:
    jobs = jobs_of(config, single(1), single(99), single(2))
    read = Reader()
    with sharing(jobs):
        assert found(jobs[0], read) == ["layer_1"]
        with pytest.raises(UserError, match="layer 99 is not in the model"):
            found(jobs[1], read)
        assert found(jobs[2], read) == ["layer_2"]


# What is there from before.


def test_finished_jobs_are_not_read_again(config: Config) -> None:
    jobs = jobs_of(config, *(single(n) for n in range(4)))
    for job in jobs[:2]:
        finish(job)
    read = Reader()
    with sharing(jobs):
        assert [found(job, read) for job in jobs[2:]] == [["layer_2"], ["layer_3"]]
        assert found(jobs[0], read) is None
    assert read.asked == [[2, 3]]


def test_a_killed_sweep_goes_on_from_its_pass(config: Config) -> None:
    jobs = jobs_of(config, *(single(n) for n in range(3)))
    read = Reader()
    break_off(jobs, read)
    for job in jobs[:2]:
        finish(job)
    with sharing(jobs):
        assert found(jobs[2], read) == ["layer_2"]
    assert read.asked == [[0, 1, 2]]
    assert not (Path(config.output) / ".passes").exists()


def test_an_interrupted_pass_goes_on_in_its_folder(config: Config) -> None:
    jobs = jobs_of(config, *(single(n) for n in range(3)))
    break_off(jobs, Reader(KeyboardInterrupt()))
    [left] = (Path(config.output) / ".passes").iterdir()
    assert left.name.endswith(".unfinished")
    (left / "sums").write_text("")
    for job in jobs[:2]:
        finish(job)
    there = []

    def read(config: Config, run: Path) -> tuple[list[Topology], Facts]:
        there.append((run / "sums").exists())
        return Reader()(config, run)

    with sharing(jobs):
        assert from_one_pass(jobs[2], FINGERPRINTS, layers_of, read) is not None
    assert there == [True]


@pytest.mark.parametrize("change", ["model", "measures", "overwrite"])
def test_a_pass_of_something_else_is_made_anew(config: Config, change: str) -> None:
    jobs = jobs_of(config, single(1), single(2))
    break_off(jobs, Reader())
    fingerprints, read = FINGERPRINTS, Reader()
    if change == "model":
        fingerprints = {**FINGERPRINTS, "model": "other"}
    elif change == "measures":
        jobs = [replace(job, measures=replace(job.measures, hubs=3)) for job in jobs]
    else:
        jobs = [replace(job, overwrite=True) for job in jobs]
    with sharing(jobs):
        for job in jobs:
            assert from_one_pass(job, fingerprints, layers_of, read) is not None
    assert read.asked == [[1, 2]]


# What goes wrong.


@pytest.mark.parametrize(
    "error",
    [
        UserError("layer 2 has an activation that is not finite"),
        RankError("layer 2 has an activation that is not finite\nTraceback (most …"),
        OSError("layer 2 has an activation that is not finite"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_after_a_pass_that_fails_each_job_reads_its_own(
    config: Config, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    caplog.set_level(logging.WARNING, logger="probe.sweep")
    jobs = jobs_of(config, single(1), single(2))
    read = Reader(error)
    with sharing(jobs):
        assert [found(job, read) for job in jobs] == [None, None]
    assert read.asked == [[1, 2]]
    assert caplog.messages == [
        "the sweep's layers cannot be read in one pass (layer 2 has an activation that is not "
        "finite); each job reads its own"
    ]
    assert not (Path(config.output) / ".passes").exists()


def test_texts_that_were_taken_are_loaded_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a pass that fails has taken those of its job."""
    config = api.compose("data.limit=2", "tracking=none", f"output={tmp_path}", "layers=0")
    taken = []

    def extract(request: Any, *_: Any, **__: Any) -> Any:
        taken.append(request.n_examples)
        raise UserError("out of luck")

    monkeypatch.setattr(pipeline, "_extract", extract)
    jobs = jobs_of(config, single(0), single(1))
    with sharing(jobs), pytest.raises(UserError, match="out of luck"):
        pipeline.run(jobs[0])
    assert taken == [2, 2]


# A part of a run.


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """Leave a run of three layers, one of them with tokens that rule it."""
    beside = make(4, name="layer_4_without_sinks", without_sinks=True)
    quiet = make(1, name="layer_1_without_sinks", without_sinks=True)
    topologies = [make(1), make(3), make(4), quiet, beside]
    for topology in topologies:
        topology.save(tmp_path)
    facts = facts_of(
        [1, 3, 4],
        first_token_norm=[1.0, 3.0, 4.0],
        token_norms={"above": 5, "layers": [{"layer": layer} for layer in (1, 3, 4)]},
        sinks={
            "asked": "auto", "decided": "both",
            "shares": {"layer_1": 0.1, "layer_3": 0.5, "layer_4": 0.9},
        },
    )  # fmt: skip
    records = [topology.record() for topology in topologies]
    hubs = {"layer_1": {"7": {"tokens": []}}, "layer_4_without_sinks": {"2": {"tokens": [1]}}}
    write_manifest(tmp_path, {**facts.record(), "topologies": records, "hubs": hubs})
    return tmp_path


def test_a_part_has_its_layers_facts(whole: Path) -> None:
    topologies, facts = part_of(whole, [1, 3])
    assert [topology.name for topology in topologies] == ["layer_1", "layer_3"]
    assert (topologies[1].matrix == make(3).matrix).all()
    assert (facts.layers, facts.first_token_norm) == ([1, 3], [1.0, 3.0])
    assert facts.token_norms == {"above": 5, "layers": [{"layer": 1}, {"layer": 3}]}
    assert facts.hubs == {"layer_1": {7: {"tokens": []}}}
    assert (facts.examples, facts.tokens, facts.seconds) == (4, 40, 2.5)


def test_sinks_are_decided_by_the_parts_own_layers(whole: Path) -> None:
    """As a run of these layers alone decides."""
    _, quiet = part_of(whole, [1, 3])
    topologies, ruled = part_of(whole, [4])
    assert quiet.sinks == {
        "asked": "auto", "decided": "keep", "shares": {"layer_1": 0.1, "layer_3": 0.5}
    }  # fmt: skip
    assert ruled.sinks == {"asked": "auto", "decided": "both", "shares": {"layer_4": 0.9}}
    assert [topology.name for topology in topologies] == ["layer_4", "layer_4_without_sinks"]
    assert ruled.hubs == {"layer_4_without_sinks": {2: {"tokens": [1]}}}
