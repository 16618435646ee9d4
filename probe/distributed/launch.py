"""Start local ranks as plain processes under torchrun's environment contract.

Other ways to start them leave orphans, hang on Ctrl-C, or bury the rank's own error; here the
driver hosts the store, watches its children, and they watch it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch.distributed as dist
from safetensors.torch import load_file

from probe.distributed.work import Result, fetch
from probe.errors import RankError, UserError

# After the first death, the time for the others to report theirs.
_GRACE = 0.3
_POLL = 0.05
# For ranks that are to end: a batch may be in work, and sums have to be written. Seconds.
PATIENCE = 15.0


def launch(name: str, payload: bytes, size: int, device: str) -> Result:
    """Run `name` on `size` new local processes and return the result of rank 0.

    What they need is fetched first: a network is asked once, and its refusal told once.

    Raises
    ------
    UserError
        If a rank raised one, or what they need cannot be had.
    RankError
        If a rank failed otherwise, or was killed.
    """
    fetch(name, payload)
    with tempfile.TemporaryDirectory(prefix="probe-ranks-") as folder:
        place = Path(folder)
        (place / "payload").write_bytes(payload)
        (place / "work.json").write_text(json.dumps({"name": name, "device": device}))
        store = dist.TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
        with _children(place, size, store.port) as children:
            while any(child.poll() is None for child in children):
                if any(child.poll() not in (None, 0) for child in children):
                    break
                time.sleep(_POLL)
            if any(child.poll() != 0 for child in children):
                time.sleep(_GRACE)
                raise _failure(place, children)
        return load_file(place / "result.safetensors")


@contextmanager
def _children(place: Path, size: int, port: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    children: list[subprocess.Popen[bytes]] = []
    try:
        with _not_interrupted():
            for rank in range(size):
                output = None if rank == 0 else (place / f"rank-{rank}.log").open("wb")
                children.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "probe.distributed.child", str(place)],
                        env=_environment(rank, size, port),
                        # Held open: a child whose standard input ends knows that the driver is
                        # gone.
                        stdin=subprocess.PIPE,
                        stdout=output,
                        stderr=output,
                    )
                )
        yield children
    finally:
        _end(children)


def _end(children: list[subprocess.Popen[bytes]]) -> None:
    """Ask all to end, which they do once they have kept their sums; make those end that do not."""
    deadline = time.monotonic() + PATIENCE
    try:
        for child in children:
            child.terminate()
        for child in children:
            child.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        pass
    finally:
        # Also where a second Ctrl-C ends the wait.
        for child in children:
            child.kill()
            child.wait()


@contextmanager
def _not_interrupted() -> Iterator[None]:
    """Let processes that are started meanwhile ignore Ctrl-C; the driver decides what it means."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _environment(rank: int, size: int, port: int) -> dict[str, str]:
    threads = (
        max(1, len(os.sched_getaffinity(0)) // size) if hasattr(os, "sched_getaffinity") else 1
    )
    return {
        "OMP_NUM_THREADS": str(threads),
        "GLOO_SOCKET_IFNAME": "lo0" if sys.platform == "darwin" else "lo",
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
    }


def _failure(place: Path, children: list[subprocess.Popen[bytes]]) -> Exception:
    """Name the rank that died silently, else the one that reported first."""
    size = len(children)
    for rank, child in enumerate(children):
        code = child.poll()
        if code not in (None, 0) and not (place / f"error-{rank}.json").exists():
            log = place / f"rank-{rank}.log"
            said = log.read_text(errors="replace").strip().splitlines()[-1:] if rank else []
            died = f"was killed by signal {-code}" if code < 0 else f"exit {code}"
            died += " (out of memory?)" if code == -signal.SIGKILL else ""
            return RankError(": ".join([f"rank {rank} of {size}", died, *said]))
    errors = [json.loads(file.read_text()) for file in place.glob("error-*.json")]
    first = min(errors, key=lambda error: error["time"])
    if first["user"]:
        return UserError(first["message"])
    return RankError(f"rank {first['rank']} of {size}: {first['message']}\n{first['traceback']}")
