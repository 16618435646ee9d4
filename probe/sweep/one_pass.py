"""One pass over the texts for the jobs of a sweep that differ only in their layers.

The first of them reads the layers of all and leaves the topologies in `<output>/.passes`, where
each job finds its own. There they outlive a process that is killed, and may be asked for in any
order. The end of the sweep removes them.
"""

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from probe.config import Config, LayersConfig, Selection, run_folder, to_plain
from probe.errors import RankError, UserError
from probe.runs.facts import Facts
from probe.runs.folder import RunFolder
from probe.runs.manifest import MANIFEST, read_manifest
from probe.sweep.part import HUBS, part_of
from probe.system.files import report_full_disk
from probe.system.kept import keep, keeping, recall
from probe.topology import Topology

logger = logging.getLogger(__name__)
_PASSES = ".passes"
# Selections whose matrices are of one layer each, so that none needs the layers of others.
_SEPARATE = (Selection.single, Selection.each, Selection.middle)
# Returns the numbers of a configuration's layers.
LayersOf = Callable[[Config], list[int]]
# Extracts the topologies of a configuration, with checkpoints in a folder.
Read = Callable[[Config, Path], tuple[list[Topology], Facts]]


@dataclass
class _Sweep:
    """The layers that a sweep varies, and its jobs' passes by the rest of their configuration.

    It holds the locks of its passes until it ends, so that no other sweep removes them.
    """

    layers: list[LayersConfig]
    locks: ExitStack
    passes: dict[str, RunFolder | None] = field(default_factory=dict)


@contextmanager
def sharing(configs: Sequence[Config]) -> Iterator[None]:
    """Let a sweep's jobs in this process share what they read, until the sweep ends.

    Parameters
    ----------
    configs : sequence of Config
        Configurations that together have every varied value.
    """
    with keeping(), ExitStack() as locks:
        sweep = _Sweep([config.layers for config in configs], locks)
        keep(_PASSES, None, sweep)
        yield
        for folder in sweep.passes.values():
            if folder is not None:
                _remove(folder)  # not if it is interrupted: the same command goes on from here


def from_one_pass(
    config: Config, fingerprints: dict[str, str], layers_of: LayersOf, read: Read
) -> tuple[list[Topology], Facts] | None:
    """Return a job's part of the pass that it shares with other jobs, which the first one makes.

    Parameters
    ----------
    config : Config
        The job.
    fingerprints : dict of str to str
        Of its model and texts.
    layers_of : callable
        Returns the numbers of a configuration's layers, or raises a `UserError`.
    read : callable
        Extracts the topologies of a configuration.

    Returns
    -------
    tuple of (list of Topology, Facts), or None
        None if the job has to read the texts itself: it shares no pass, or the pass failed, which
        may be for the layers of other jobs.
    """
    sweep: _Sweep | None = recall(_PASSES, None)
    if sweep is None or config.layers.selection not in _SEPARATE:
        return None
    rest = repr(replace(config, layers=LayersConfig()))
    own = layers_of(config)
    try:
        if rest not in sweep.passes:
            sweep.passes[rest] = _claim(config, sweep, layers_of)
        folder = sweep.passes[rest]
        if folder is None or not {*own} <= {*layers_of(folder.config)}:
            return None
        if _made(folder, fingerprints):
            logger.info("taken from the pass that this sweep has made over the texts")
        else:
            _make(folder, fingerprints, read)
        return part_of(folder.path, own)
    except (UserError, RankError, OSError) as error:
        logger.warning(
            "the sweep's layers cannot be read in one pass (%s); each job reads its own",
            str(error).partition("\n")[0],  # without a rank's traceback
        )
        failed = sweep.passes.get(rest)  # None if another sweep holds its lock
        if failed is not None:
            _remove(failed)
        sweep.passes[rest] = None
        return None


def _claim(config: Config, sweep: _Sweep, layers_of: LayersOf) -> RunFolder | None:
    """Return the folder of the pass for jobs like this one, locked, or None if each reads alone."""
    folder = _choose(config, sweep.layers, layers_of)
    if folder is not None:
        sweep.locks.enter_context(folder.locked())
        if config.overwrite:
            _remove(folder)
    return folder


def _choose(config: Config, asked: Sequence[LayersConfig], layers_of: LayersOf) -> RunFolder | None:
    jobs: dict[Path, list[int]] = {}
    for one in (one for one in asked if one.selection in _SEPARATE):
        job = replace(config, layers=one)
        with suppress(UserError):  # a layer that is not in the model is its own job's mistake
            jobs[run_folder(job)] = layers_of(job)
    to_do = [job for job in jobs if config.overwrite or not (job / MANIFEST).is_file()]
    whole = _folder(config, [*jobs.values()])
    if not config.overwrite and (whole.path.exists() or whole.work.exists()):
        return whole  # a killed process has left it
    folder = _folder(config, [jobs[job] for job in to_do])
    return folder if len(to_do) > 1 and len(layers_of(folder.config)) > 1 else None


def _folder(config: Config, layers: Sequence[Sequence[int]]) -> RunFolder:
    numbers = sorted({number for each in layers for number in each})
    shared = replace(config, layers=LayersConfig(Selection.single, numbers), overwrite=False)
    # Locks go by this name, and a job may have just these layers.
    name = f"pass-{run_folder(shared).name}"
    return RunFolder(shared, Path(config.output, _PASSES, name))


def _remove(folder: RunFolder) -> None:
    for place in (folder.path, folder.work):
        shutil.rmtree(place, ignore_errors=True)
    with suppress(OSError):  # those of another sweep are there
        folder.path.parent.rmdir()


def _made(folder: RunFolder, fingerprints: dict[str, str]) -> bool:
    """Whether the pass has been made, here or before this process, for just these jobs."""
    try:
        return folder.finished(fingerprints) and (
            read_manifest(folder.path, "config")["config"] == to_plain(folder.config)
        )
    except UserError:
        return False  # of another model, of other texts, or damaged


def _make(folder: RunFolder, fingerprints: dict[str, str], read: Read) -> None:
    shutil.rmtree(folder.path, ignore_errors=True)
    layers = ", ".join(map(str, folder.config.layers.index))
    logger.info("the texts are read once for the sweep's layers %s", layers)
    with report_full_disk(folder.work):
        folder.work.mkdir(parents=True, exist_ok=True)
        topologies, facts = read(folder.config, folder.work)
        for topology in topologies:
            topology.save(folder.work)
        records = [topology.record() for topology in topologies]
        known = {**fingerprints, **(facts.fingerprints or {})}
        facts = replace(facts, fingerprints=known)
        folder.close({**facts.record(), "topologies": records, HUBS: facts.hubs or {}})
