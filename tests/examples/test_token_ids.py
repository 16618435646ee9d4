"""Token ids are kept once, in memory or in a file, and every reader finds those that were added."""

import gc
import os
import platform
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.config import Config, DataConfig, Side
from probe.errors import UserError
from probe.examples import token_ids
from probe.examples.batches import Batch, form_batches
from probe.examples.choose import Example
from probe.examples.request import Request
from probe.examples.token_ids import TokenFile, TokenIds, TokenStore, store_of

TEXTS = [list(range(n, n + length)) for n, length in enumerate([5, 0, 3, 9, 1, 7, 7])]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what is held in memory."""
    monkeypatch.setattr(token_ids, "_HELD", 8)


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in (folder / ".tokens").glob("*"))


@settings(derandomize=True, database=None, deadline=None, max_examples=40)
@given(
    texts=st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=9), max_size=12),
    held=st.integers(1, 30),
    read=st.booleans(),
)
def test_any_texts_are_found_whatever_is_held_in_memory(
    tmp_path_factory: pytest.TempPathFactory, texts: list[list[int]], held: int, read: bool
) -> None:
    store = TokenStore(str(tmp_path_factory.getbasetemp()))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(token_ids, "_HELD", held)
        kept = []
        for ids in texts:
            kept.append(store.add(ids))
            assert not read or kept[0] == texts[0], "also while more are added"
        assert kept == texts
        assert [list(map(type, ids)) for ids in kept] == [[int] * len(ids) for ids in texts]
        assert [store.add(ids) for ids in kept] == texts
        file = store.file
        assert (file is None) == (max(np.cumsum([0, *map(len, texts)])) < held)
        if file is not None:
            assert np.fromfile(file, np.int32).tolist() == [i for ids in texts for i in ids]
            elsewhere = TokenFile(file)
            assert [TokenIds(elsewhere, ids.start, len(ids)) for ids in kept] == texts


def test_ids_behave_as_a_list_of_integers() -> None:
    ids = TokenIds(np.arange(9, dtype=np.int32), 2, 4)
    plain = [2, 3, 4, 5]
    assert ids == plain
    assert plain == ids
    assert ids != [2, 3, 4]
    assert ids != [2, 3, 4, 6]
    assert ids != "2345"
    assert ids != 2
    assert (ids[0], ids[-1], ids[1:3], [*ids, 7]) == (2, 5, [3, 4], [*plain, 7])
    assert repr(ids) == repr(plain)
    assert np.array(ids, dtype=np.int64).tolist() == plain
    assert (max(ids), 3 in ids, bool(TokenIds(ids.array, 0, 0))) == (5, True, False)


@pytest.mark.usefixtures("few")
def test_the_file_is_gone_with_the_store(tmp_path: Path) -> None:
    store = TokenStore(str(tmp_path))
    kept = [store.add(ids) for ids in TEXTS]
    assert len(files(tmp_path)) == 2, "ids and their lock"
    del store
    gc.collect()
    assert kept == TEXTS, "its texts need it"
    kept.clear()
    gc.collect()
    assert files(tmp_path) == []


@pytest.mark.usefixtures("few")
def test_files_of_killed_processes_are_removed_and_those_in_use_are_not(tmp_path: Path) -> None:
    folder, here = tmp_path / ".tokens", platform.node()
    folder.mkdir()
    names = [f"{here}-killed.int32", f"{here}-other.int32", "another machine-1.int32"]
    for name in names:
        (folder / name).write_bytes(b"1234")
    with FileLock(folder / f"{here}-other.lock"):
        store = TokenStore(str(tmp_path))
        kept = [store.add(ids) for ids in TEXTS]
        again = TokenStore(str(tmp_path))
        others = [again.add(ids) for ids in TEXTS]
        assert kept == others == TEXTS
    found = files(tmp_path)
    assert names[0] not in found
    assert {names[1], names[2]} <= set(found)
    assert len([name for name in found if name.endswith(".int32")]) == 4


@pytest.mark.usefixtures("few")
def test_a_file_that_was_cut_off_gives_no_shorter_text(tmp_path: Path) -> None:
    store = TokenStore(str(tmp_path))
    kept = [store.add(ids) for ids in TEXTS]
    assert store.file is not None
    os.truncate(store.file, 4)
    with pytest.raises(UserError, match=r"\.int32 ends before the token ids .* do the run again"):
        list(kept[-1])


@pytest.mark.usefixtures("few")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = TokenStore(str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"file cannot be written \(.+\); give another folder"):
        store.add(range(9))


def request_of(texts: list[list[int]], store: TokenStore) -> Request:
    examples = [Example(f"d{n}", store.add(ids)) for n, ids in enumerate(texts) if ids]
    names = [example.document for example in examples]
    config = Config(data=DataConfig("text"))
    return Request(config, [0], form_batches(examples, 20), names, "run", [])


def inline(packed: bytes, tmp_path: Path) -> bool:
    (tmp_path / "packed.npz").write_bytes(packed)
    with np.load(tmp_path / "packed.npz", allow_pickle=False) as arrays:
        return "ids" in arrays


@pytest.mark.usefixtures("few")
def test_ranks_get_the_file_and_find_the_same_batches(tmp_path: Path) -> None:
    request = request_of(TEXTS, TokenStore(str(tmp_path)))
    packed = request.to_bytes()
    assert not inline(packed, tmp_path)
    again = Request.from_bytes(packed)
    assert again == request
    tensors = [batch.tensors(0, Side.left, 0).tokens.tolist() for batch in again.batches]
    lists = [Batch(b.members, [[*ids] for ids in b.ids]) for b in request.batches]
    assert tensors == [batch.tensors(0, Side.left, 0).tokens.tolist() for batch in lists]


@pytest.mark.usefixtures("few")
def test_ranks_on_other_machines_get_the_ids_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_of(TEXTS, TokenStore(str(tmp_path)))
    for name, size in (("WORLD_SIZE", "4"), ("LOCAL_WORLD_SIZE", "2")):
        monkeypatch.setenv(name, size)
    packed = request.to_bytes()
    assert inline(packed, tmp_path)
    assert Request.from_bytes(packed) == request
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert not inline(request.to_bytes(), tmp_path)


@pytest.mark.usefixtures("few")
def test_texts_of_several_stores_are_packed_as_they_are(tmp_path: Path) -> None:
    first, second = (TokenStore(str(tmp_path)) for _ in range(2))
    texts = [first.add(TEXTS[0]), second.add(TEXTS[3]), [3, 4]]
    assert store_of(texts) is store_of(texts[1:]) is store_of(texts[2:]) is store_of([]) is None
    assert store_of(texts[:1]) is first
    request = Request(Config(data=DataConfig("text")), [0], [Batch([0, 1, 2], texts)], [], "", [])
    packed = request.to_bytes()
    assert inline(packed, tmp_path)
    assert Request.from_bytes(packed) == request
