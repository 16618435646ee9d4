"""`python -m benchmarks [ROUNDS]`: all layers' topology beside a bare forward pass, in one run.

Random weights at the shape of Qwen2.5-0.5B, 16 texts of 256 tokens, one batch at the default
budget. The two are timed in turn, so that what else the machine does hits both; reported are
medians, their ratio, and the CPU time.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from transformers import AutoModel, Qwen2Config

from probe.activations import Reader
from probe.batches import Batch
from probe.cells import Wanted
from probe.config import Config, DataConfig, ModelConfig, Side, Site
from probe.request import Request
from probe.totals import Totals

logger = logging.getLogger("benchmarks")
RESULTS = Path(__file__).resolve().parent / "results"
EXAMPLES, TOKENS = 16, 256
SHAPE = {
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "vocab_size": 151936,
}


@dataclass
class Timing:
    """Seconds of wall and of CPU time, a number for each round."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def add(self, work: Callable[[], object]) -> None:
        """Time one round."""
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        self.wall.append(time.perf_counter() - wall)
        self.cpu.append(time.process_time() - cpu)


def main(rounds: int) -> None:
    """Time both, in turn, and write the results."""
    torch.manual_seed(0)
    trunk = AutoModel.from_config(Qwen2Config(**SHAPE), dtype=torch.float32).eval()
    config = Config(model=ModelConfig(padding_side=Side.left), data=DataConfig(source="text"))
    vocabulary = torch.randint(SHAPE["vocab_size"], (EXAMPLES, TOKENS))
    batch = Batch(list(range(EXAMPLES)), vocabulary.tolist())
    layers = list(range(SHAPE["num_hidden_layers"]))
    wanted = [Wanted("all_layers", layers, [0])]
    request = Request(config, layers, [batch], ["random"] * EXAMPLES, "benchmark", wanted)
    reader = Reader(trunk, config.model, layers, Site.residual)
    tensors = batch.tensors(0, Side.left, 0)
    totals = Totals(request, SHAPE["hidden_size"], torch.device("cpu"))

    def floor() -> None:
        with torch.inference_mode():
            trunk(input_ids=tensors.tokens, use_cache=False)

    def topology() -> None:
        reader.read(tensors, partial(totals.consume, batch, tensors))

    timings = {"bare trunk forward": Timing(), "layers=all, average=mean": Timing()}
    for number in range(rounds + 1):
        for timing, work in zip(timings.values(), (floor, topology), strict=True):
            (Timing() if number == 0 else timing).add(work)  # the first round warms up
        logger.info("round %d of %d", number, rounds)
    write(timings, rounds)


def write(timings: dict[str, Timing], rounds: int) -> None:
    """Write and show medians and ratios over the first, beside the machine."""
    machine = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    base, *_ = timings.values()
    lines = [f"# All layers' topology beside a bare forward pass, {rounds} rounds", ""]
    lines += [f"Qwen2.5-0.5B's shape, {EXAMPLES} texts of {TOKENS} tokens, float32.", ""]
    lines += [", ".join(f"{name}: {value}" for name, value in machine.items()), ""]
    lines += ["| | wall s | over the floor | CPU s | over the floor |", "|---|---|---|---|---|"]
    for name, timing in timings.items():
        # A round's ratio has the same neighbours on the machine above and below the line.
        wall = statistics.median(a / b for a, b in zip(timing.wall, base.wall, strict=True))
        cpu = statistics.median(a / b for a, b in zip(timing.cpu, base.cpu, strict=True))
        medians = statistics.median(timing.wall), statistics.median(timing.cpu)
        lines.append(f"| {name} | {medians[0]:.2f} | {wall:.3f} | {medians[1]:.2f} | {cpu:.3f} |")
    raw = {name: vars(timing) for name, timing in timings.items()}
    content = {"machine": machine, "examples": EXAMPLES, "tokens": TOKENS, "timings": raw}
    (RESULTS / "forward.json").write_text(json.dumps(content, indent=1) + "\n")
    (RESULTS / "forward.md").write_text("\n".join(lines) + "\n")
    logger.info("\n".join(["", *lines]))


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s  %(message)s", datefmt="%H:%M:%S")
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
