"""A run that is killed with SIGKILL at random moments until it finishes, and what it leaves."""

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

from benchmarks.warm import OUTPUT, PROCESSES, start
from probe.extraction.checkpoints.file import check
from probe.runs.folder import CHECKPOINTS
from probe.runs.load import load_topologies
from probe.verify import verify

WORDS = (
    "data.limit=40", "runtime.token_budget=700", "layers=2", "tracking=none", "measures.rewired=0",
    "runtime.device=cpu", "runtime.checkpoint_minutes=0",
)  # fmt: skip
# In polls of 5 ms, not seconds: the campaign may be suspended with all its processes.
_PATIENCE, _GONE = 12000, 2000
# Kept in checkpoints beside sums: largest values, and counts by token.
_NOT_SUMS = ("norms/", "peaks/")
_WAIT, _POLL = 0.005, 0.0002


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
        What the run was doing, judged by its folder.
    code : int
        Exit code of the driver.
    """

    ranks: int
    victim: str
    moment: str
    code: int


@dataclass
class Outcome:
    """What happened to one run.

    Attributes
    ----------
    kills : list of Kill
        Kills that hit it.
    ranks : list of int
        Ranks of each attempt; the last attempt finished.
    sums, matrices : float
        Largest deviation from the uninterrupted run: of any sum, relative to the largest entry of
        its tensor, and of any correlation.
    same_bytes : bool
        Whether the matrices are identical.
    faults : list of str
        Violations.
    """

    kills: list[Kill] = field(default_factory=list)
    ranks: list[int] = field(default_factory=list)
    sums: float = np.inf
    matrices: float = np.inf
    same_bytes: bool = False
    faults: list[str] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """Return all fields, for the JSON."""
        return asdict(self)


class Run:
    """One run in its own folder, attempted repeatedly."""

    def __init__(self, here: Path) -> None:
        self.here, self.outcome = here, Outcome()
        self._batches: set[int] = set()

    def attempt(self, ranks: int, rng: np.random.Generator | None, seconds: float = 0.0) -> bool:
        """Run the command once, killing it if there is a generator; return whether it finished.

        Half of the kills are uniform over the duration of a whole run; half happen while a
        checkpoint is written, up to 3 ms after its unfinished file appears.
        """
        shutil.rmtree(self.here / PROCESSES, ignore_errors=True)
        driver = start([*WORDS, f"output={self.here / 'out'}"], ranks, self.here)
        self.outcome.ranks.append(ranks)
        victim = None
        if rng is not None and self._wait_for_moment(driver, rng, seconds):
            victim = self._kill(driver, rng)
        code = self._end(driver)
        self._inspect(victim is not None, code)
        if victim is not None and code:
            self.outcome.kills.append(Kill(ranks, victim, self._moment(), code))
        return code == 0

    def compare(self, other: "Run") -> None:
        """Compare the finished run with another one."""
        [run], [expected] = self.finished(), other.finished()
        outcome = self.outcome
        outcome.faults += verify(run).faults
        outcome.faults += [str(file) for file in self.here.rglob("*.part")]
        if len(folders := list(run.parent.iterdir())) > 1:
            outcome.faults.append(f"left next to the run: {folders}")
        sums, expected_sums = self.sums(), other.sums()
        if sums.keys() != expected_sums.keys():
            outcome.faults.append("different sums")
            return
        outcome.sums = max(_deviation(sums[name], expected_sums[name]) for name in sums)
        pairs = list(zip(load_topologies(run), load_topologies(expected), strict=True))
        outcome.matrices = max(float(np.abs(a.matrix - b.matrix).max()) for a, b in pairs)
        outcome.same_bytes = all(np.array_equal(a.matrix, b.matrix) for a, b in pairs)

    def finished(self) -> list[Path]:
        """Return the folders of finished runs."""
        return [file.parent for file in self.here.glob("out/*/*/*/manifest.json")]

    def sums(self) -> dict[str, np.ndarray]:
        """Add up the last checkpoints; no batch may be in two of them."""
        total: dict[str, np.ndarray] = {}
        batches: list[int] = []
        for file in sorted((self.here / "last").iterdir()):
            batches += check(file)[0].batches
            for name, tensor in load_file(file).items():
                if name != "sha256" and not name.startswith(_NOT_SUMS):
                    total[name] = total.get(name, 0) + tensor
        if sorted(batches) != list(range(len(batches))):
            self.outcome.faults.append(f"batches at the end: {sorted(batches)}")
        return total

    def _wait_for_moment(self, driver: int, rng: np.random.Generator, seconds: float) -> bool:
        """Wait for a random moment; return whether the run is still running."""
        if rng.random() < 0.5:
            deadline = time.monotonic() + rng.uniform(0, seconds)
            while time.monotonic() < deadline:
                time.sleep(_POLL)
        else:
            left, seen = int(rng.integers(1, 25)), set[str]()
            while left and _runs(driver):
                time.sleep(_POLL)
                parts = {file.name for file in self._checkpoints() if file.suffix == ".part"}
                left -= bool(parts - seen)
                seen = parts
            time.sleep(rng.uniform(0, 0.003))
        return _runs(driver)

    def _kill(self, driver: int, rng: np.random.Generator) -> str | None:
        """Kill the driver or one of its ranks, and return which."""
        ranks = [pid for pid in self._pids() if pid != driver]
        target = int(rng.choice(ranks)) if ranks and rng.random() < 0.5 else driver
        if not _runs(target):
            return None
        os.kill(target, signal.SIGKILL)
        return "driver" if target == driver else "rank"

    def _end(self, driver: int) -> int:
        """Wait until all processes have ended; return the driver's exit code."""
        if not _wait_until(lambda: not _runs(driver), _PATIENCE):
            self.outcome.faults.append("the driver did not end")
            os.kill(driver, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(driver, 0)[1])
        _wait_until(lambda: not any(map(_runs, self._pids())), _GONE)
        alive = [pid for pid in self._pids() if _runs(pid)]
        for pid in alive:
            self.outcome.faults.append(f"process {pid} outlived the driver")
            os.kill(pid, signal.SIGKILL)
        return code

    def _inspect(self, killed: bool, code: int) -> None:
        """Check that no batch was lost, and that nothing but the kill was reported."""
        batches = {number for file in self._checkpoints() if file.suffix != ".part"
                 for number in check(file)[0].batches}  # fmt: skip
        if code and not self._batches <= batches and not self.finished():
            self.outcome.faults.append(f"lost batches: {sorted(self._batches - batches)}")
        self._batches |= batches
        output = (self.here / OUTPUT).read_text(errors="replace")
        if "Traceback" in output:
            self.outcome.faults.append(output[output.index("Traceback") :][-2000:])
        if code and not (killed and code in (1, -signal.SIGKILL)):
            self.outcome.faults.append(f"exit code {code}: {output[-500:]}")
        (self.here / OUTPUT).unlink()

    def _moment(self) -> str:
        parts = list(self.here.rglob("*.part"))
        if any(file.parent.name == CHECKPOINTS for file in parts):
            return "while a checkpoint was written"
        work = list(self.here.glob("out/*/*/*.unfinished"))
        if self.finished() or any((folder / "topology").exists() for folder in work):
            return "while results were written"
        return "between checkpoints" if self._checkpoints() else "before the first checkpoint"

    def _checkpoints(self) -> Sequence[Path]:
        return list(self.here.glob(f"out/*/*/*.unfinished/{CHECKPOINTS}/*"))

    def _pids(self) -> list[int]:
        return [int(file.name) for file in (self.here / PROCESSES).iterdir()]


def _wait_until(done: Callable[[], bool], polls: int) -> bool:
    """Poll up to this many times; return whether it is done."""
    for _ in range(polls):
        if done():
            return True
        time.sleep(_WAIT)
    return False


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _deviation(actual: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference relative to the largest entry; counts must be equal."""
    if not np.issubdtype(expected.dtype, np.floating):
        return 0.0 if np.array_equal(actual, expected) else np.inf
    scale = float(np.abs(expected).max(initial=0)) or 1.0
    return float(np.abs(actual - expected).max(initial=0)) / scale
