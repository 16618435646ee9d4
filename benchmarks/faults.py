"""Whether anything is lost when a run is killed, and what keeping its sums costs.

python -m benchmarks.faults                     # 100 times, each run twice
python -m benchmarks.faults --times 5 --ranks 1 2 --shape none
"""

from __future__ import annotations

import argparse
import logging
import re
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.commands import probe, save_model, save_texts
from benchmarks.kills import WORDS, Run, Story
from benchmarks.report import RESULTS, Report, save
from benchmarks.shapes import SHAPES
from benchmarks.timing import describe
from benchmarks.warm import import_all
from probe.config import RuntimeConfig

logger = logging.getLogger("benchmarks")
SUMS, ROUNDING = 1e-12, 2.0**-23
_KILLS = 2  # of each run
_INTERVAL = 60 * RuntimeConfig().checkpoint_minutes  # seconds


@dataclass
class Cost:
    """What a checkpoint of some layers' sums takes."""

    layers: str
    size: str
    seconds: float

    @property
    def share(self) -> float:
        """Part of a rank's time that goes there at the default interval."""
        return self.seconds / (max(_INTERVAL, 100 * self.seconds) + self.seconds)


def main() -> None:
    """Kill runs, compare them with one that was not, and time a large checkpoint."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s  %(message)s", datefmt="%H:%M:%S")
    asked = _arguments()
    with tempfile.TemporaryDirectory(prefix="probe-faults-") as place:
        tempfile.tempdir = place  # also of processes that are killed and leave theirs
        stories, seconds = campaign(Path(place), asked.times, asked.ranks, asked.seed)
        costs = (
            []
            if asked.shape == "none"
            else [cost(Path(place) / layers, asked.shape, layers) for layers in ("all", "each")]
        )
        tempfile.tempdir = None
    report = tell(stories, seconds, asked, costs)
    save(report, asked.results)
    if not all(map(sound, stories)):
        raise SystemExit(1)


def campaign(
    place: Path, times: int, ranks: list[int], seed: int
) -> tuple[list[Story], float]:  # fmt: skip
    """Kill runs so often; return what became of them, and the seconds of the uninterrupted one."""
    for name in ("first", "whole"):  # the first one shows what to import
        whole, started = Run(place / name), time.monotonic()
        if not whole.attempt(1, None):
            raise RuntimeError(f"the uninterrupted run failed: {whole.story.faults}")
        seconds = time.monotonic() - started
        import_all(whole.here)
    stories: list[Story] = []
    while (hit := sum(len(story.kills) for story in stories)) < times:
        number = len(stories)
        run = Run(place / f"run{number}")
        # By its own seed, so that one that went wrong can be had again.
        rng = np.random.default_rng([seed, number])
        for attempt in range(_KILLS + 1):
            kill = rng if attempt < min(_KILLS, times - hit) else None
            if run.attempt(ranks[(number + attempt) % len(ranks)], kill, seconds):
                break
        if run.finished():
            run.compare(whole)
        stories.append(run.story)
        moments = "; ".join(f"{kill.victim} {kill.moment}" for kill in run.story.kills)
        verdict = "sound" if sound(run.story) else f"NOT SOUND {run.story}"
        logger.info(
            "%d of %d: %s: %s", hit + len(run.story.kills), times, moments or "not hit", verdict
        )
    return stories, seconds


def sound(story: Story) -> bool:
    """Whether a run ended as one that was not killed."""
    return not story.faults and story.sums <= SUMS and story.matrices <= ROUNDING


def cost(place: Path, shape: str, layers: str) -> Cost:
    """Time a checkpoint of a large model's sums in a run of one process."""
    model = save_model(shape, place / "model")
    save_texts(2, 110, place / "texts.jsonl")
    _, run, _ = probe(
        "model=local", f"model.path={model}", "init=random", "data=text", f"layers={layers}",
        f"data.path={place}/texts.jsonl", "runtime.device=cpu", "measures.rewired=0",
        "runtime.token_budget=200", "runtime.checkpoint_minutes=0", f"output={place}/out",
    )  # fmt: skip
    [said] = re.findall(r"checkpoint: (.*) in (.*) s", (run / "probe.log").read_text())[:1]
    return Cost(layers, said[0], float(said[1]))


def tell(
    stories: list[Story], seconds: float, asked: argparse.Namespace,
    costs: list[Cost],
) -> Report:  # fmt: skip
    """Put into words what was found."""
    kills = [kill for story in stories for kill in story.kills]
    counted = Counter((kill.moment, kill.victim) for kill in kills)
    moments = sorted({kill.moment for kill in kills})
    good = sum(map(sound, stories))
    kept = len([kill for story in stories if sound(story) for kill in story.kills])
    notes = [
        f"{kept} of {len(kills)} kills left nothing wrong, in {len(stories)} runs. Sums differ "
        "from an uninterrupted run's by at most "
        f"{_most(stories, 'sums'):.1e} of "
        f"their tensor's largest entry (bar {SUMS:.0e}; counts are equal), correlations by "
        f"{_most(stories, 'matrices'):.1e} (bar {ROUNDING:.1e}, a rounding of float32; "
        f"{sum(story.same_bytes for story in stories)} runs have the same bytes). Between "
        "tries no batch that was kept was lost; at the end every batch was there once, no process "
        "outlived its driver, no file was half written, and `python -m probe.verify` found no "
        "fault." if good == len(stories) else
        f"ONLY {good} of {len(stories)} runs are sound; the JSON has the others' faults.",
        f"A run reads 40 texts in 40 batches ({' '.join(WORDS)}) and keeps its sums after every "
        f"one; uninterrupted it takes {seconds:.1f} s. It is tried three times, with "
        f"{' → '.join(map(str, asked.ranks))} ranks from a changing start, and killed by SIGKILL "
        "(the driver or one of the ranks, at random) in the first two. A moment is, half of the "
        "times, uniform over those seconds from the driver's start; otherwise up to 3 ms after the "
        "unfinished file of one of the first 24 checkpoints came into sight. The table says what "
        "the run was at by what it left. Processes are forked from one that has imported the "
        "libraries, and are otherwise those of `python -m probe`; kills during imports are none.",
    ]  # fmt: skip
    notes += [
        f"Time lost to checkpoints: {one.size} of sums ({asked.shape}, layers={one.layers}) took "
        f"{one.seconds:.2f} s to write and to sync, by the log of a run of one process; with the "
        f"default interval of {_INTERVAL:.0f} s that is {one.share:.2%} of the time (computed from "
        "the write, not measured over several intervals)."
        for one in costs
    ]
    if costs:
        notes.append(
            "A rank waits at least 100 times as long as its last write took, so that less than "
            "1 % goes there whatever the disk."
        )
    return Report(
        name="faults-cpu",
        title="Killed and begun again",
        facts=describe(torch.device("cpu")) | {"runs": len(stories), "seed": asked.seed},
        columns=["killed", "the driver", "a rank"],
        rows=[
            [moment, *(str(counted[moment, victim]) for victim in ("driver", "rank"))]
            for moment in moments
        ],
        notes=notes,
        raw={
            "runs": [story.record() for story in stories],
            "checkpoints": [asdict(one) for one in costs],
        },
    )


def _most(stories: list[Story], name: str) -> float:
    return max((float(getattr(story, name)) for story in stories), default=0.0)


def _arguments() -> argparse.Namespace:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        "python -m benchmarks.faults", description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--times", type=int, default=100, help="kills")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 3], help="of the tries")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shape", choices=[*sorted(SHAPES), "none"], default="0.5b",
                        help="model whose checkpoint is timed")  # fmt: skip
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the report")
    return parser.parse_args()


if __name__ == "__main__":
    main()
