"""A checkpoint is whole, or not at all, or known to be damaged."""

import errno
import json
import os
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from probe.errors import UserError
from probe.extraction.checkpoints import file as checkpoint_file
from probe.extraction.checkpoints.file import DamagedError, Header, check, load, write

steady = settings(derandomize=True, database=None, deadline=None, max_examples=25)
HEADER = Header({"model": "a", "data.limit": 3}, [0, 2, 5], 2.5)
STATE = {
    "matrices/mean/0-1/0/total": torch.arange(12, dtype=torch.float64).view(3, 4).T,
    "counts": torch.tensor([3, 1 << 40, 0]),
    "everywhere": torch.tensor(0.1, dtype=torch.float64),
    "norms/largest": torch.zeros(0, dtype=torch.float64),
}
SHAPES = st.lists(st.integers(0, 4), max_size=3)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    path = tmp_path / "session2-rank0.safetensors"
    write(path, HEADER, STATE)
    return path


@steady
@given(st.lists(st.tuples(SHAPES, st.sampled_from([torch.float64, torch.float32, torch.int64]))))
def test_others_read_the_file_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, tensors: list[tuple[list[int], torch.dtype]]
) -> None:
    state = {
        f"part/{n}": torch.randn(shape, generator=torch.Generator().manual_seed(n)).to(dtype)
        for n, (shape, dtype) in enumerate(tensors)
    }
    path = tmp_path_factory.mktemp("file") / "any.safetensors"
    write(path, HEADER, state)
    found: dict[str, Tensor] = load_file(path)  # by the format's own library
    assert found.pop("sha256").shape == (32,)
    assert found.keys() == state.keys()
    for name, tensor in state.items():
        torch.testing.assert_close(found[name], tensor, atol=0, rtol=0)
    header, seal = check(path)
    assert header == HEADER
    assert load(path, seal).keys() == state.keys()


def test_every_flipped_bit_and_every_truncation_is_noticed(kept: Path) -> None:
    whole = kept.read_bytes()
    for place in range(0, len(whole), 3):
        kept.write_bytes(
            whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :]
        )
        with pytest.raises(DamagedError, match="does not match its sha256"):
            check(kept)
    for length in range(0, len(whole), 7):
        kept.write_bytes(whole[:length])
        with pytest.raises(DamagedError, match="does not match its sha256"):
            check(kept)
    kept.write_bytes(whole)
    assert check(kept)[0] == HEADER


def test_what_is_no_checkpoint_is_damaged(tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(3)}, other)
    with pytest.raises(DamagedError):
        check(other)
    other.write_text("text")
    with pytest.raises(DamagedError):
        check(other)
    with pytest.raises(DamagedError, match="cannot be read: No such file"):
        check(tmp_path / "none.safetensors")
    # Sealed, but with nothing in it.
    content = (2).to_bytes(8, "little") + b"{}"
    other.write_bytes(content + checkpoint_file.hashlib.sha256(content).digest())
    with pytest.raises(DamagedError, match="it is not a checkpoint"):
        check(other)


def test_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new.safetensors"
    with monkeypatch.context() as newer:
        newer.setattr(checkpoint_file, "FORMAT", 3)
        write(path, HEADER, STATE)
    with pytest.raises(UserError, match=r"of format 3, .* reads format 2; .*overwrite=true"):
        check(path)


def test_a_file_that_has_changed_since_is_not_added(kept: Path) -> None:
    _, seal = check(kept)
    write(kept, HEADER, {**STATE, "counts": torch.tensor([4, 0, 0])})
    with pytest.raises(UserError, match="another process is working on this run"):
        load(kept, seal)
    kept.unlink()
    with pytest.raises(UserError, match="another process is working on this run"):
        load(kept, seal)


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_what_was_there(
    kept: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = kept.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), full)
    with pytest.raises(OSError, match="No space left"):
        write(kept, HEADER, {"counts": torch.tensor([4, 0, 0])})
    assert [file.name for file in kept.parent.iterdir()] == [kept.name]
    assert kept.read_bytes() == before


def test_nothing_is_pickled(kept: Path) -> None:
    content = kept.read_bytes()
    length = int.from_bytes(content[:8], "little")
    layout = json.loads(content[8 : 8 + length])
    assert {entry["dtype"] for name, entry in layout.items() if name != "__metadata__"} == {
        "F64", "I64", "U8",
    }  # fmt: skip
