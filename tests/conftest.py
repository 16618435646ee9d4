"""What holds for every test."""

import os
from collections.abc import Iterator
from importlib import import_module
from types import SimpleNamespace

# Before torch is imported: of processes that tests start. Tiny models are slower on several
# threads, which wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import settings

from tests import ranks_here
from tests.warm import LIBRARIES, PIPE, PROGRAM, TimeoutExpired, Warm

torch.set_num_threads(1)
# With `--hypothesis-profile=long` tests/**/test_fuzz_*.py try fifty times as much, never the same.
settings.register_profile("long", max_examples=5000)


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs draw next to nothing, where figures are not the point."""
    from tests.run_folders import draw_dots

    draw_dots(monkeypatch)


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all ranks that a run starts work one after the other in this process."""
    monkeypatch.setattr("probe.distributed.launch", ranks_here.launch)


@pytest.fixture(scope="session")
def libraries() -> Iterator[Warm]:
    """Fork processes that need not import torch, but all that reads the Hub's variables."""
    warm = Warm(LIBRARIES)
    yield warm
    warm.close()


@pytest.fixture(scope="session")
def program() -> Iterator[Warm]:
    """Fork processes that have imported all of the program."""
    warm = Warm(PROGRAM)
    yield warm
    warm.close()


@pytest.fixture
def warm_ranks(program: Warm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork the ranks that a run of this process starts."""
    forked = SimpleNamespace(Popen=program.Popen, PIPE=PIPE, TimeoutExpired=TimeoutExpired)
    # The package has a function of the module's name.
    monkeypatch.setattr(import_module("probe.distributed.launch"), "subprocess", forked)
