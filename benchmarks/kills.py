"""A run that is killed, by kill -9, at random moments, until it is done, and what is left of it."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from benchmarks.warm import PROCESSES, SAID, start
from probe.extraction.checkpoints.file import check
from probe.runs.folder import CHECKPOINTS
from probe.runs.load import load_topologies
from probe.verify import verify

WORDS = (
    "data.limit=40", "runtime.token_budget=700", "layers=2", "tracking=none", "measures.rewired=0",
    "runtime.device=cpu", "runtime.checkpoint_minutes=0",
)  # fmt: skip
# Looks of 5 ms each, and not seconds: the campaign may be stopped with all its processes.
_PATIENCE, _GONE = 12000, 2000
_LOOK, _POLL = 0.005, 0.0002


@dataclass
class Kill:
    """One kill.

    Attributes
    ----------
    ranks : int
        Ranks of the run.
    victim : str
        `driver` or `rank`; a run of one rank is its driver.
    moment : str
        What the folder says that the run was at.
    code : int
        How the driver ended.
    """

    ranks: int
    victim: str
    moment: str
    code: int


@dataclass
class Story:
    """What became of one run.

    Attributes
    ----------
    kills : list of Kill
        Those that hit it.
    ranks : list of int
        Ranks of each try, the last one to the end.
    sums, matrices : float
        Largest deviation from the uninterrupted run: of any sum, over the largest entry of its
        tensor, and of any correlation.
    same_bytes : bool
        Whether the matrices' files are the same bytes.
    faults : list of str
        What should not have been.
    """

    kills: list[Kill] = field(default_factory=list)
    ranks: list[int] = field(default_factory=list)
    sums: float = np.inf
    matrices: float = np.inf
    same_bytes: bool = False
    faults: list[str] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """Return all of it, for the JSON."""
        return asdict(self)


class Run:
    """One run in a folder of its own, tried again and again."""

    def __init__(self, here: Path) -> None:
        self.here, self.story = here, Story()
        self._known: set[int] = set()

    def attempt(self, ranks: int, rng: np.random.Generator | None, seconds: float = 0.0) -> bool:
        """Give the command once, killed where there is a generator; whether it came to its end.

        Half of the moments are uniform over the seconds that a whole run takes; half are when a
        checkpoint is being written, at the sight of its unfinished file and up to 3 ms later.
        """
        shutil.rmtree(self.here / PROCESSES, ignore_errors=True)
        driver = start([*WORDS, f"output={self.here / 'out'}"], ranks, self.here)
        self.story.ranks.append(ranks)
        victim = None
        if rng is not None and self._wait_for_moment(driver, rng, seconds):
            victim = self._kill(driver, rng)
        code = self._end(driver)
        self._see_what_is_left(victim is not None, code)
        if victim is not None and code:
            self.story.kills.append(Kill(ranks, victim, self._moment(), code))
        return code == 0

    def compare(self, other: Run) -> None:
        """Compare the finished run with another one."""
        [run], [expected] = self.finished(), other.finished()
        story = self.story
        story.faults += verify(run).faults
        story.faults += [str(file) for file in self.here.rglob("*.part")]
        if len(found := list(run.parent.iterdir())) > 1:
            story.faults.append(f"left beside the run: {found}")
        sums, expected_sums = self.sums(), other.sums()
        if sums.keys() != expected_sums.keys():
            story.faults.append("other sums")
            return
        story.sums = max(_deviation(sums[name], expected_sums[name]) for name in sums)
        pairs = list(zip(load_topologies(run), load_topologies(expected), strict=True))
        story.matrices = max(float(np.abs(a.matrix - b.matrix).max()) for a, b in pairs)
        story.same_bytes = all(np.array_equal(a.matrix, b.matrix) for a, b in pairs)

    def finished(self) -> list[Path]:
        """Return the folders of finished runs."""
        return [file.parent for file in self.here.glob("out/*/*/*/manifest.json")]

    def sums(self) -> dict[str, np.ndarray]:
        """Add up the last checkpoints, none of whose batches may be in two."""
        total: dict[str, np.ndarray] = {}
        batches: list[int] = []
        for file in sorted((self.here / "last").iterdir()):
            batches += check(file)[0].batches
            for name, tensor in load_file(file).items():
                if name != "sha256":
                    total[name] = total.get(name, 0) + tensor
        if sorted(batches) != list(range(len(batches))):
            self.story.faults.append(f"batches of the end: {sorted(batches)}")
        return total

    def _wait_for_moment(self, driver: int, rng: np.random.Generator, seconds: float) -> bool:
        """Wait for a moment at which the run still goes on."""
        if rng.random() < 0.5:
            deadline = time.monotonic() + rng.uniform(0, seconds)
            while time.monotonic() < deadline:
                time.sleep(_POLL)
        else:
            left, seen = int(rng.integers(1, 25)), set[str]()
            while left and _runs(driver):
                time.sleep(_POLL)
                parts = {file.name for file in self._kept() if file.suffix == ".part"}
                left -= bool(parts - seen)
                seen = parts
            time.sleep(rng.uniform(0, 0.003))
        return _runs(driver)

    def _kill(self, driver: int, rng: np.random.Generator) -> str | None:
        """Kill the driver or one of its ranks."""
        ranks = [pid for pid in self._pids() if pid != driver]
        target = int(rng.choice(ranks)) if ranks and rng.random() < 0.5 else driver
        if not _runs(target):
            return None
        os.kill(target, signal.SIGKILL)
        return "driver" if target == driver else "rank"

    def _end(self, driver: int) -> int:
        """Wait until all processes are gone; return the driver's exit code."""
        if not _wait_until(lambda: not _runs(driver), _PATIENCE):
            self.story.faults.append("the driver did not end")
            os.kill(driver, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(driver, 0)[1])
        _wait_until(lambda: not any(map(_runs, self._pids())), _GONE)
        alive = [pid for pid in self._pids() if _runs(pid)]
        for pid in alive:
            self.story.faults.append(f"process {pid} outlived the driver")
            os.kill(pid, signal.SIGKILL)
        return code

    def _see_what_is_left(self, killed: bool, code: int) -> None:
        """See that no batch is lost, and that nothing but the kill was told."""
        there = {number for file in self._kept() if file.suffix != ".part"
                 for number in check(file)[0].batches}  # fmt: skip
        if code and not self._known <= there and not self._closed():
            self.story.faults.append(f"lost batches: {sorted(self._known - there)}")
        self._known |= there
        said = (self.here / SAID).read_text(errors="replace")
        if "Traceback" in said:
            self.story.faults.append(said[said.index("Traceback") :][-2000:])
        if code and not (killed and code in (1, -signal.SIGKILL)):
            self.story.faults.append(f"exit code {code}: {said[-500:]}")
        (self.here / SAID).unlink()

    def _moment(self) -> str:
        parts = list(self.here.rglob("*.part"))
        if any(file.parent.name == CHECKPOINTS for file in parts):
            return "while a checkpoint was written"
        work = list(self.here.glob("out/*/*/*.unfinished"))
        if self._closed() or any((folder / "topology").exists() for folder in work):
            return "while results were written"
        return "between checkpoints" if self._kept() else "before the first checkpoint"

    def _closed(self) -> bool:
        return bool(self.finished())

    def _kept(self) -> Sequence[Path]:
        return list(self.here.glob(f"out/*/*/*.unfinished/{CHECKPOINTS}/*"))

    def _pids(self) -> list[int]:
        return [int(file.name) for file in (self.here / PROCESSES).iterdir()]


def _wait_until(done: Callable[[], bool], looks: int) -> bool:
    """Look so often whether it is done."""
    for _ in range(looks):
        if done():
            return True
        time.sleep(_LOOK)
    return False


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _deviation(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference over the largest entry; counts have to be the same."""
    if not np.issubdtype(expected.dtype, np.floating):
        return 0.0 if np.array_equal(found, expected) else np.inf
    scale = float(np.abs(expected).max(initial=0)) or 1.0
    return float(np.abs(found - expected).max(initial=0)) / scale
