"""Kill runs, check that nothing is lost, and measure the cost of checkpoints.

python -m benchmarks.faults                     # 100 kills, two per run
python -m benchmarks.faults --times 5 --ranks 1 2 --shape none
"""

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
from benchmarks.kills import WORDS, Outcome, Run
from benchmarks.report import RESULTS, Report, save
from benchmarks.shapes import SHAPES
from benchmarks.timing import describe
from benchmarks.warm import import_all
from probe.config import RuntimeConfig

logger = logging.getLogger("benchmarks")
SUMS, ROUNDING = 1e-12, 2.0**-23
_KILLS = 2  # per run
_INTERVAL = 60 * RuntimeConfig().checkpoint_minutes  # seconds


@dataclass
class Cost:
    """The cost of a checkpoint."""

    layers: str
    size: str
    seconds: float

    @property
    def share(self) -> float:
        """Share of a rank's time spent on checkpoints at the default interval."""
        return self.seconds / (max(_INTERVAL, 100 * self.seconds) + self.seconds)


def main() -> None:
    """Kill runs, compare them with an uninterrupted one, and time large checkpoints."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s  %(message)s", datefmt="%H:%M:%S")
    options = _arguments()
    with tempfile.TemporaryDirectory(prefix="probe-faults-") as place:
        tempfile.tempdir = place  # also for killed processes, which leave temporary files
        outcomes, seconds = campaign(Path(place), options.times, options.ranks, options.seed)
        costs = (
            []
            if options.shape == "none"
            else [
                checkpoint_cost(Path(place) / layers, options.shape, layers)
                for layers in ("all", "each")
            ]
        )
        tempfile.tempdir = None
    report = make_report(outcomes, seconds, options, costs)
    save(report, options.results)
    if not all(map(sound, outcomes)):
        raise SystemExit(1)


def campaign(place: Path, times: int, ranks: list[int], seed: int) -> tuple[list[Outcome], float]:
    """Kill runs so often; return their outcomes and the seconds of the uninterrupted run."""
    for name in ("first", "whole"):  # the first one records what to import
        whole, started = Run(place / name), time.monotonic()
        if not whole.attempt(1, None):
            raise RuntimeError(f"the uninterrupted run failed: {whole.outcome.faults}")
        seconds = time.monotonic() - started
        import_all(whole.here)
    outcomes: list[Outcome] = []
    while (kills := sum(len(outcome.kills) for outcome in outcomes)) < times:
        number = len(outcomes)
        run = Run(place / f"run{number}")
        # Each run has its own seed, so that a failure can be reproduced.
        rng = np.random.default_rng([seed, number])
        for attempt in range(_KILLS + 1):
            kill = rng if attempt < min(_KILLS, times - kills) else None
            if run.attempt(ranks[(number + attempt) % len(ranks)], kill, seconds):
                break
        if run.finished():
            run.compare(whole)
        outcomes.append(run.outcome)
        moments = "; ".join(f"{kill.victim} {kill.moment}" for kill in run.outcome.kills)
        verdict = "sound" if sound(run.outcome) else f"NOT SOUND {run.outcome}"
        logger.info(
            "%d of %d: %s: %s", kills + len(run.outcome.kills), times, moments or "not hit", verdict
        )
    return outcomes, seconds


def sound(outcome: Outcome) -> bool:
    """Return whether a run ended like one that was not killed."""
    return not outcome.faults and outcome.sums <= SUMS and outcome.matrices <= ROUNDING


def checkpoint_cost(place: Path, shape: str, layers: str) -> Cost:
    """Time a checkpoint of a large model's sums, with one process."""
    model = save_model(shape, place / "model")
    save_texts(2, 110, place / "texts.jsonl")
    _, run, _ = probe(
        "model=local", f"model.path={model}", "init=random", "data=text", f"layers={layers}",
        f"data.path={place}/texts.jsonl", "runtime.device=cpu", "measures.rewired=0",
        "runtime.token_budget=200", "runtime.checkpoint_minutes=0", f"output={place}/out",
    )  # fmt: skip
    log = (run / "probe.log").read_text()
    size, seconds = re.findall(r"checkpoint: (.*) in (.*) s", log)[0]
    return Cost(layers, size, float(seconds))


def make_report(
    outcomes: list[Outcome], seconds: float, options: argparse.Namespace, costs: list[Cost]
) -> Report:
    """Return the report of the campaign."""
    kills = [kill for outcome in outcomes for kill in outcome.kills]
    counted = Counter((kill.moment, kill.victim) for kill in kills)
    moments = sorted({kill.moment for kill in kills})
    good = sum(map(sound, outcomes))
    harmless = len([kill for outcome in outcomes if sound(outcome) for kill in outcome.kills])
    notes = [
        f"{harmless} of {len(kills)} kills left nothing wrong, in {len(outcomes)} runs. Sums "
        f"differ from an uninterrupted run's by at most {_most(outcomes, 'sums'):.1e} of "
        f"their tensor's largest entry (bar {SUMS:.0e}; counts are equal), correlations by "
        f"{_most(outcomes, 'matrices'):.1e} (bar {ROUNDING:.1e}, a rounding of float32; "
        f"{sum(outcome.same_bytes for outcome in outcomes)} runs are identical). No batch of a "
        "checkpoint was lost between attempts; at the end every batch was counted once, no process "
        "outlived its driver, no file was half written, and `python -m probe.verify` found no "
        "fault." if good == len(outcomes) else
        f"ONLY {good} of {len(outcomes)} runs are sound; the JSON has the others' faults.",
        f"A run reads 40 texts in 40 batches ({' '.join(WORDS)}) and writes a checkpoint after "
        f"each batch; uninterrupted it takes {seconds:.1f} s. It is attempted three times, with "
        f"{' → '.join(map(str, options.ranks))} ranks from a changing start, and killed by SIGKILL "
        "(the driver or one of the ranks, at random) in the first two attempts. Half of the kills "
        "are uniform over that time from the driver's start; the others come up to 3 ms after the "
        "unfinished file of one of the first 24 checkpoints appears. The table says what the run "
        "was doing, judged by its files. Processes are forked from one that has imported the "
        "libraries, so none is killed during imports, and are otherwise those of `python -m "
        "probe`.",
    ]  # fmt: skip
    notes += [
        f"Cost of checkpoints: {cost.size} of sums ({options.shape}, layers={cost.layers}) took "
        f"{cost.seconds:.2f} s to write and sync, according to the log of a run of one process; at "
        f"the default interval of {_INTERVAL:.0f} s that is {cost.share:.2%} of the time (computed "
        "from one write, not measured over several intervals)."
        for cost in costs
    ]
    if costs:
        notes.append(
            "A rank waits at least 100 times as long as its last write took, so checkpoints take "
            "less than 1 % of the time on any disk."
        )
    return Report(
        name="faults-cpu",
        title="Killed and resumed",
        facts=describe(torch.device("cpu")) | {"runs": len(outcomes), "seed": options.seed},
        columns=["killed", "the driver", "a rank"],
        rows=[
            [moment, *(str(counted[moment, victim]) for victim in ("driver", "rank"))]
            for moment in moments
        ],
        notes=notes,
        raw={
            "runs": [outcome.record() for outcome in outcomes],
            "checkpoints": [asdict(cost) for cost in costs],
        },
    )


def _most(outcomes: list[Outcome], name: str) -> float:
    return max((float(getattr(outcome, name)) for outcome in outcomes), default=0.0)


def _arguments() -> argparse.Namespace:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        "python -m benchmarks.faults", description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--times", type=int, default=100, help="number of kills")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 3], help="of the attempts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shape", choices=[*sorted(SHAPES), "none"], default="0.5b",
                        help="model whose checkpoint is timed")  # fmt: skip
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the report")
    return parser.parse_args()


if __name__ == "__main__":
    main()
