"""The program as users start it: models and texts for it, and the resources that a run takes."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from transformers import Qwen2Config

import probe as program
from benchmarks.shapes import SHAPES

TOKENIZER = Path(program.__file__).parent / "assets" / "tiny"


@dataclass(frozen=True)
class Usage:
    """Resources that a command used.

    Attributes
    ----------
    seconds : float
        Wall time.
    cpu : float
        CPU time in seconds, of the command and of all children it has waited for.
    peak : int
        Peak memory in bytes of the largest process.
    """

    seconds: float
    cpu: float
    peak: int


def call(
    words: Sequence[str], threads: int | None = None, environment: Mapping[str, str] | None = None
) -> Usage:
    """Run a command, with other variables of the environment if some are given.

    Raises
    ------
    RuntimeError
        If it fails.
    """
    limits = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    started = time.perf_counter()
    process = subprocess.Popen(
        words,
        env=os.environ | limits | dict(environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    output = process.stdout.read()
    # wait4 reports this process; getrusage only the largest of all children.
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)} failed: {output.decode(errors='replace')}")
    unit = 1 if sys.platform == "darwin" else 1024
    seconds = time.perf_counter() - started
    return Usage(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit)


def measured(module: str, *words: str) -> dict[str, Any]:
    """Return what a module prints as the last line of its output, as JSON."""
    command = [sys.executable, "-m", module, *words]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def probe(
    *words: str, threads: int | None = None, environment: Mapping[str, str] | None = None
) -> tuple[Usage, Path, dict[str, Any]]:
    """Run `python -m probe`; return its resource usage, its folder and its manifest."""
    [output] = [Path(word.partition("=")[2]) for word in words if word.startswith("output=")]
    shutil.rmtree(output, ignore_errors=True)
    usage = call([sys.executable, "-m", "probe", "tracking=none", *words], threads, environment)
    [manifest] = output.glob("*/*/*/manifest.json")
    return usage, manifest.parent, json.loads(manifest.read_text())


def save_model(shape: str, folder: Path) -> Path:
    """Write the configuration and tokenizer of a model, for use with `init=random`."""
    folder.mkdir(parents=True)
    for file in TOKENIZER.glob("tokenizer*.json"):
        shutil.copy(file, folder)
    vocabulary = json.loads((TOKENIZER / "config.json").read_text())["vocab_size"]
    Qwen2Config(**SHAPES[shape] | {"vocab_size": vocabulary}).save_pretrained(folder)
    return folder


def save_texts(number: int, words: int, file: Path) -> int:
    """Write texts of random words, of similar length; return their size in bytes."""
    rng = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlu"))
    with file.open("w", encoding="utf-8") as stream:
        for _ in range(number):
            lengths = rng.integers(2, 8, words)
            text = " ".join("".join(rng.choice(letters, length)) for length in lengths)
            stream.write(json.dumps({"text": text}) + "\n")
    return file.stat().st_size


def size_of(folder: Path) -> int:
    """Return the total size of all files in a folder, in bytes."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
