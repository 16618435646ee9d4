"""Start local ranks as plain processes with torchrun's environment variables.

Other launchers leave orphans, hang on Ctrl-C or hide a rank's own error; here the driver hosts the
store and watches its children, and they watch it.
"""

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
from probe.system.machine import cores

# Seconds for the other ranks to report their errors after the first one ends.
_GRACE = 0.3
_POLL = 0.05
# Seconds for ranks to end: they finish the current batch and write their sums.
PATIENCE = 15.0


def launch(name: str, payload: bytes, size: int, device: str) -> Result:
    """Run `name` on `size` new local processes and return the result of rank 0.

    Downloads come first, so that the network is used, and its failure reported, only once.

    Raises
    ------
    UserError
        If a rank raised one, or a download fails.
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
                        # Kept open: a child ends when its standard input does.
                        stdin=subprocess.PIPE,
                        stdout=output,
                        stderr=output,
                    )
                )
        yield children
    finally:
        _end(children)


def _end(children: list[subprocess.Popen[bytes]]) -> None:
    """Terminate all ranks, which save their sums first; kill those that take too long."""
    deadline = time.monotonic() + PATIENCE
    try:
        for child in children:
            child.terminate()
        for child in children:
            child.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        pass
    finally:
        # Also if a second Ctrl-C ends the wait.
        for child in children:
            child.kill()
            child.wait()


@contextmanager
def _not_interrupted() -> Iterator[None]:
    """Start processes that ignore Ctrl-C, which the driver handles."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _environment(rank: int, size: int, port: int) -> dict[str, str]:
    return {
        "OMP_NUM_THREADS": str(max(1, cores() // size)),
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
    """Return the error of a rank that died silently, else of the one that reported first."""
    size = len(children)
    for rank, child in enumerate(children):
        code = child.poll()
        if code not in (None, 0) and not (place / f"error-{rank}.json").exists():
            log = place / f"rank-{rank}.log"
            last_line = log.read_text(errors="replace").strip().splitlines()[-1:] if rank else []
            died = f"was killed by signal {-code}" if code < 0 else f"exit {code}"
            died += " (out of memory?)" if code == -signal.SIGKILL else ""
            return RankError(": ".join([f"rank {rank} of {size}", died, *last_line]))
    errors = [json.loads(file.read_text()) for file in place.glob("error-*.json")]
    first = min(errors, key=lambda error: error["time"])
    if first["user"]:
        return UserError(first["message"])
    return RankError(f"rank {first['rank']} of {size}: {first['message']}\n{first['traceback']}")
