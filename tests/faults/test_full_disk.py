"""A full disk: one line, no half file, earlier results as they were, then the same again."""

import builtins
import io
import json
import logging
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from probe import api, pipeline
from probe.config import Config, DataConfig
from probe.errors import UserError
from probe.extraction.block_matrix import join_blocks
from probe.runs.manifest import MANIFEST
from probe.system.files import report_full_disk
from probe.verify import verify
from tests.run_folders import draw_dots

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")
SAYS = r"\.unfinished cannot be written any more \(.+\); finished results are intact: free"


@pytest.fixture(scope="module")
def composed() -> Config:
    """Compose once; it takes longer than a run."""
    return api.compose(
        "model=tiny", "data=sample", "layers=[3]", "tracking=none", "runtime.device=cpu",
        "measures.rewired=0", "runtime.checkpoint_minutes=0",
    )  # fmt: skip


@pytest.fixture
def job(composed: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    text = tmp_path / "text.jsonl"
    rows = [f"In year {row} the river carried {17 * row} boats of sand. " * 3 for row in range(4)]
    text.write_text("\n".join(json.dumps({"text": row}) for row in rows))
    draw_dots(monkeypatch)
    data = DataConfig(source="text", path=str(text))
    return replace(composed, data=data, output=str(tmp_path / "out"))


@contextmanager
def no_room(name: str) -> Iterator[None]:
    """Send what is written to files of a name to a device that is full, as the system says it."""

    def opening(original: Callable[..., Any]) -> Callable[..., Any]:
        def opened(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
            wanted = isinstance(file, str | os.PathLike) and name in Path(file).name
            full = wanted and set(mode) & set("wa+")
            return original(FULL if full else file, mode, *args, **options)

        return opened

    with pytest.MonkeyPatch.context() as patch:
        for module in (io, builtins):
            patch.setattr(module, "open", opening(module.open))
        yield


def snapshot(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


@needs_full
@pytest.mark.parametrize(
    "name",
    ["avg_corr.npy", "measures.json", "heatmap.png", MANIFEST, "config.yaml"],
)
def test_a_disk_that_fills_up_is_one_line_and_the_same_command_goes_on(
    name: str, job: Config, tmp_path: Path
) -> None:
    done = pipeline.run(job)
    before = snapshot(done)
    again = replace(job, overwrite=True)
    with no_room(name), pytest.raises(UserError, match=SAYS):
        pipeline.run(again)
    assert snapshot(done) == before
    assert list(tmp_path.rglob("*.part")) == []
    assert [file.parent for file in tmp_path.rglob(MANIFEST)] == [done]
    assert pipeline.run(again) == done
    assert verify(done).faults == []
    assert list(done.parent.iterdir()) == [done]


def test_a_matrix_that_is_too_large_for_the_disk_leaves_no_half_file(
    job: Config, tmp_path: Path
) -> None:
    """By the system's own limit, past which a file cannot grow."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))  # the matrix has 65,664 bytes
    try:
        with pytest.raises(UserError, match=SAYS):
            pipeline.run(job)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.rglob("*.part")) == []
    assert list(tmp_path.rglob("*.npy")) == []
    assert verify(pipeline.run(job)).faults == []


def test_a_matrix_of_all_layers_has_its_room_before_it_is_filled(tmp_path: Path) -> None:
    blocks = {(0, 0): torch.ones(200, 200)}
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
    try:
        with pytest.raises(OSError, match="large"):
            join_blocks(blocks, tmp_path / "full.npy")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []
    np.testing.assert_array_equal(join_blocks(blocks, tmp_path / "full.npy"), blocks[0, 0])


@needs_full
def test_a_log_that_cannot_be_written_ends_nothing(
    job: Config, capfd: pytest.CaptureFixture[str]
) -> None:
    with no_room("probe.log"):
        run = pipeline.run(job)
    assert verify(run).faults == []
    assert "Traceback" not in capfd.readouterr().err
    assert logging.raiseExceptions, "other logs are as they were"


def test_another_error_is_no_full_disk(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), report_full_disk(tmp_path):
        (tmp_path / "missing").read_text()
