"""Processes that are forked from one that has imported what they need, and otherwise new.

Importing torch and transformers takes seconds; what a test is about is mostly what a process does
then: its words, environment, folder, files, signals and exit code are its own. A test that is about
imports, hash seeds or the command line itself starts a real one with `subprocess`.
"""

import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[1]
PIPE, DEVNULL = subprocess.PIPE, subprocess.DEVNULL
TimeoutExpired = subprocess.TimeoutExpired
_LOOK = 0.01  # seconds

# Imported by nearly everything, and reading no variable that a test sets: processes forked from
# one of these import Hugging Face's libraries anew, with the Hub and the cache of their test.
LIBRARIES = [
    "torch", "torch.distributed", "torch._dynamo", "numpy", "scipy.stats", "sklearn.metrics",
    "pandas", "pyarrow.parquet", "pyarrow.dataset", "tokenizers", "safetensors.torch", "hydra",
    "jinja2", "PIL.Image", "torch.distributed.elastic.multiprocessing.api",
]  # fmt: skip
PROGRAM = [
    *LIBRARIES, "wandb", "transformers.models.auto.modeling_auto", "accelerate", "probe.pipeline",
    "transformers.models.qwen2.modeling_qwen2", "probe.__main__", "probe.distributed.child",
    "benchmarks.fault_injection",
]  # fmt: skip


class Warm:
    """A process that has imported modules and forks others.

    Parameters
    ----------
    modules : list of str
        What it imports.
    """

    def __init__(self, modules: list[str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="warm-")
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.warm", *modules],
            stdin=PIPE, stdout=PIPE, text=True, cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        self._orders = 0

    def Popen(self, args: list[str], **options: Any) -> "Process":  # noqa: N802 - as in subprocess
        """Start `sys.executable` with words, as `subprocess.Popen` does."""
        self._orders += 1
        place = Path(self._folder.name) / str(self._orders)
        place.mkdir()
        return Process(self, place, args, **options)

    def run(
        self, args: list[str], *, input: str = "", timeout: float = 240, check: bool = True,
        **options: Any,
    ) -> subprocess.CompletedProcess[str]:  # fmt: skip
        """Start one, and wait for its end."""
        process = self.Popen(args, stdin=PIPE, stdout=PIPE, stderr=PIPE, **options)
        out, err = process.communicate(input, timeout)
        if check and process.returncode:
            raise AssertionError(f"{args} ended with {process.returncode}: {err}")
        return subprocess.CompletedProcess(args, process.returncode or 0, out, err)

    def fork(self, order: dict[str, Any]) -> int:
        """Let the server fork, and return the number of the new process."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())

    def close(self) -> None:
        """End it; those that it has forked stay."""
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()
        self._folder.cleanup()


class Process:
    """To its user what `subprocess.Popen` gives, with text."""

    def __init__(
        self, warm: Warm, place: Path, args: list[str], *, env: dict[str, str] | None = None,
        cwd: Path | None = None, stdin: int = DEVNULL, stdout: int | IO[Any] | None = None,
        stderr: int | IO[Any] | None = None, text: bool = True,
    ) -> None:  # fmt: skip
        assert args[0] == sys.executable
        self.args, self.returncode, self._place = args, None, place
        if stdin == PIPE:
            os.mkfifo(place / "in")
        streams = {}
        for name, stream in (("out", stdout), ("err", stderr)):
            if stream is not None:
                streams[name] = str(place / name) if isinstance(stream, int) else stream.name
        self.pid = warm.fork(
            {
                "args": args[1:], "env": dict(os.environ if env is None else env),
                "cwd": str(cwd or Path.cwd()), "place": str(place), "streams": streams,
                "stdin": str(place / "in") if stdin == PIPE else os.devnull,
            }
        )  # fmt: skip
        self.stdin = (place / "in").open("w") if stdin == PIPE else None

    returncode: int | None

    def poll(self) -> int | None:
        """Return its exit code, the negative number of a signal, or nothing while it runs."""
        if self.returncode is None:
            with suppress(FileNotFoundError):
                self.returncode = int((self._place / "code").read_text())
        return self.returncode

    def wait(self, timeout: float = float("inf")) -> int:
        """Wait for its end."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise TimeoutExpired(self.args, timeout)
            time.sleep(_LOOK)
        return code

    def communicate(self, input: str = "", timeout: float = 240) -> tuple[str, str]:
        """Write to its standard input, wait for its end and return what it said."""
        if self.stdin is not None:
            with suppress(BrokenPipeError):
                self.stdin.write(input)
                self.stdin.close()
        self.wait(timeout)
        out, err = (
            file.read_text() if (file := self._place / name).exists() else ""
            for name in ("out", "err")
        )
        return out, err

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Make it end."""
        self.send_signal(signal.SIGKILL)


def _serve() -> None:
    """Fork for every line until there are no more; return in the new processes only."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        order = json.loads(line)
        reader, writer = os.pipe()
        if os.fork():
            os.close(writer)
            print(os.read(reader, 20).decode(), flush=True)  # noqa: T201
            os.close(reader)
            continue
        # Between the server and the process: it waits for it, which the test's process cannot.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        child = os.fork()
        if not child:
            os.close(reader)
            os.close(writer)
            return _become(order)
        os.write(writer, str(child).encode())
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        unfinished = Path(order["place"]) / "code.part"
        with suppress(FileNotFoundError):  # the test has not waited
            unfinished.write_text(str(code))
            unfinished.rename(unfinished.with_suffix(""))
        os._exit(0)
    os._exit(0)


def _become(order: dict[str, Any]) -> None:
    """Be the process that was asked for; it ends as the interpreter does."""
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    os.dup2(os.open(order["stdin"], os.O_RDONLY), 0)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - the server's has read on
    for number, name in ((1, "out"), (2, "err")):
        if name in order["streams"]:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            os.dup2(os.open(order["streams"][name], flags), number)
        elif number == 1:
            os.dup2(2, 1)  # the server's own is for numbers of processes
    signal.signal(signal.SIGINT, signal.default_int_handler)
    how, what, *words = order["args"]
    sys.argv = [what if how == "-m" else how, *words]
    if how == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    for module in sys.argv[1:]:
        import_module(module)
    _serve()
