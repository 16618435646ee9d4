"""What holds for every test."""

import gc
import os
from collections.abc import Iterator
from copy import deepcopy
from importlib import import_module
from types import SimpleNamespace
from typing import Any

# Before torch is imported: of processes that tests start. Tiny models are slower on several
# threads, which wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

from tests.warm import LIBRARIES, PIPE, PROGRAM, TimeoutExpired, Warm

gc.disable()  # until everything is imported
# With `--hypothesis-profile=long` tests/**/test_fuzz_*.py try fifty times as much, never the same.
settings.register_profile("long", max_examples=5000, deadline=None)
# A machine that is busy is no fault.
settings.register_profile("usual", deadline=None)
settings.load_profile("usual")
# Processes that are forked from a warm one.
_FORKED = {"libraries", "program", "warm_ranks"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts processes, before pytest chooses by markers."""
    for item in items:
        if _FORKED & set(getattr(item, "fixturenames", ())):
            item.add_marker("processes")


def pytest_collection_finish() -> None:
    """Let Python not look through what is imported for garbage, and seldom through the rest."""
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(50_000)


@pytest.fixture(scope="session", autouse=True)
def yaml_read_once() -> Iterator[None]:
    """Keep what Hydra reads, by its text: that is a fifth of every composition."""
    from omegaconf import OmegaConf

    kept: dict[str, Any] = {}
    load = OmegaConf.load

    def once(file: Any) -> Any:
        if not hasattr(file, "seek"):
            return load(file)
        text = file.read()
        file.seek(0)
        if text not in kept:
            kept[text] = load(file)
        return deepcopy(kept[text])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OmegaConf, "load", once)
        yield


@pytest.fixture(scope="session", autouse=True)
def blank_figures() -> Iterator[pytest.MonkeyPatch]:
    """Let figures be built, but drawn as one pixel: drawing them takes longer than a run."""
    from matplotlib.figure import Figure  # here, as the process that hands out tests draws nothing
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    pixel = Figure(figsize=(0.1, 0.1))
    draw = Figure.savefig
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", lambda _, file, **given: draw(pixel, file, **given))
        patch.setattr(ConstrainedLayoutEngine, "execute", lambda *_: None)
        yield patch


@pytest.fixture
def drawn_figures(blank_figures: pytest.MonkeyPatch) -> Iterator[None]:
    """Draw figures as the program does."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    blank, placed = Figure.savefig, ConstrainedLayoutEngine.execute
    blank_figures.undo()
    yield
    blank_figures.setattr(Figure, "savefig", blank)
    blank_figures.setattr(ConstrainedLayoutEngine, "execute", placed)


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs draw next to nothing, where figures are not the point."""
    from tests.run_folders import draw_dots

    draw_dots(monkeypatch)


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all ranks that a run starts work one after the other in this process."""
    from tests import ranks_here

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
