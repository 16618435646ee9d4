"""Sessions and ranks of any number and end add up to what one would have, no batch twice."""

import errno
import json
import logging
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.config import Coefficient, NullConfig, Scheme, Side, Sinks
from probe.distributed import Ranks
from probe.errors import UserError
from probe.examples.batches import Batch
from probe.examples.request import Request
from probe.examples.share import deal
from probe.examples.sinks import with_sinks
from probe.extraction.accumulator import Accumulator
from probe.extraction.checkpoints import Keeper, find, keep
from probe.extraction.checkpoints.file import check
from tests.extraction.test_accumulator import LAYERS, NEURONS, Texts
from tests.extraction.test_out_of_memory import LENGTHS, SCHEMES, request_of, same

steady = settings(derandomize=True, database=None, deadline=None, max_examples=20)
CPU = torch.device("cpu")
KINDS = [("layer", scheme, std) for scheme, std in SCHEMES] + [
    (kind, scheme, False) for kind in ("cross", "full") for scheme in (Scheme.mean, Scheme.fisher)
]


class KilledError(BaseException):
    """The process is gone."""


def job(kind: str = "layer", scheme: Scheme = Scheme.mean, std: bool = False) -> tuple[
    Texts, Request
]:  # fmt: skip
    texts = Texts(LENGTHS)
    texts.series[1][3][:, 2] = 0.1  # its correlations are undefined
    request = request_of(texts, scheme, std, kind)
    runtime = replace(request.config.runtime, token_budget=60, checkpoint_minutes=0.0)
    members = [[m, ids, b.cell] for b in request.batches for m, ids in zip(b.members, b.ids)]  # noqa: B905
    batches = [Batch([m], [ids], cell) for m, ids, cell in members]
    return texts, replace(request, batches=batches, config=replace(request.config, runtime=runtime))


class Session:
    """One start of the program with some ranks, which work one after the other."""

    def __init__(self, texts: Texts, request: Request, folder: Path, size: int = 1) -> None:
        self.texts = texts
        self.request = replace(request, checkpoints=find(folder, request, "model"), run=str(folder))
        self.totals = [Accumulator(self.request, NEURONS, CPU) for _ in range(size)]
        self.keepers = [
            Keeper(self.request, Ranks(index, size, CPU), totals)
            for index, totals in enumerate(self.totals)
        ]

    def read(self, rank: int, batch: Batch) -> None:
        tensors = batch.tensors(0, Side.left, 0)
        for layer in LAYERS:
            x = torch.full((*tensors.keep.shape, NEURONS), 3.0)
            for row, member in enumerate(batch.members):
                x[row][tensors.keep[row]] = torch.from_numpy(self.texts.series[layer][member])
            self.totals[rank].consume(batch, tensors, layer, x)
        assert self.keepers[rank].note(batch, 2 if batch.members == [3] else 1)

    def go(self, most: list[int]) -> "Session":
        """Let every rank read its first batches."""
        hands = deal(self.request.left, len(self.totals))
        for rank, (hand, n) in enumerate(zip(hands, most, strict=True)):
            with self.keepers[rank]:
                for batch in hand[:n]:
                    self.read(rank, batch)
        return self

    def end(self) -> dict[str, torch.Tensor]:
        """Let them read all, and add up."""
        self.go([len(self.request.left)] * len(self.totals))
        whole, *others = self.totals
        for totals in others:
            whole.merge(totals.state())
        return {**whole.state(), **whole.finish().to_tensors()}


def batches_in(folder: Path) -> list[int]:
    return sorted(number for file in folder.iterdir() for number in check(file)[0].batches)


@pytest.fixture(autouse=True)
def _always_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keep, "_RARE", 0)


@pytest.mark.parametrize(("kind", "scheme", "std"), KINDS)
def test_all_kinds_of_sums_go_on_with_any_number_of_ranks(
    kind: str, scheme: Scheme, std: bool, tmp_path: Path
) -> None:
    texts, request = job(kind, scheme, std)
    expected = Session(texts, request, tmp_path / "alone").end()
    folder = tmp_path / "kept"
    Session(texts, request, folder).go([2])
    assert len(batches_in(folder)) == 2
    Session(texts, request, folder, 2).go([0, 2])
    assert len(batches_in(folder)) == 4
    last = Session(texts, request, folder, 3)
    assert last.request.checkpoints is not None
    assert last.request.checkpoints.sessions == 2
    same(last.end(), expected)
    assert expected["counts"][-1] == 1
    assert batches_in(folder) == list(range(len(request.batches)))


@pytest.mark.parametrize("correlation", list(Coefficient))
def test_topologies_without_sinks_go_on_too(correlation: Coefficient, tmp_path: Path) -> None:
    texts, request = job(scheme=Scheme.fisher)
    config = replace(
        request.config,
        data=replace(request.config.data, sinks=Sinks.both, drop_norm=1.3),
        average=replace(request.config.average, correlation=correlation),
    )
    matrices = with_sinks(request.matrices, Sinks.both)
    request = replace(request, config=config, matrices=matrices)
    first = request.matrices[0].name
    expected = Session(texts, request, tmp_path / "alone").end()
    assert not torch.equal(expected[f"matrix/{first}"], expected[f"matrix/{first}_without_sinks"])
    folder = tmp_path / "kept"
    Session(texts, request, folder).go([2])
    Session(texts, request, folder, 2).go([0, 2])
    same(Session(texts, request, folder, 3).end(), expected)


@pytest.mark.parametrize("tries", [5, pytest.param(20, marks=pytest.mark.campaign)])
def test_however_the_sessions_end_no_batch_is_lost_or_counted_twice(
    tmp_path_factory: pytest.TempPathFactory, tries: int
) -> None:
    @settings(steady, max_examples=tries)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        end_sessions(tmp_path_factory, data)

    check()


def end_sessions(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    texts, request = job(*data.draw(st.sampled_from(KINDS[:1] + KINDS[4:6])))
    root = tmp_path_factory.mktemp("sessions")
    folder = root / "kept"
    there: set[int] = set()
    for _ in range(data.draw(st.integers(1, 3))):
        size = data.draw(st.integers(1, 3))
        session = Session(texts, request, folder, size)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(keep, "_RARE", data.draw(st.sampled_from([0, 1e12])))
            session.go([0] * size)
            kill(patch, data)
            for rank in data.draw(st.permutations(range(size))):
                most = data.draw(st.integers(0, 5))
                try:
                    for batch in deal(session.request.left, size)[rank][:most]:
                        session.read(rank, batch)
                except KilledError:
                    continue
        # What is to be added has no batch twice, and all that was there.
        kept = find(folder, request, "model")
        assert max(Counter(kept.batches).values(), default=1) == 1
        assert there <= set(kept.batches)
        there = set(kept.batches)
    expected = Session(texts, request, root / "alone").end()
    last = Session(texts, request, folder, data.draw(st.integers(1, 3)))
    same(last.end(), expected)


def kill(patch: pytest.MonkeyPatch, data: st.DataObject) -> None:
    """Kill a rank in the middle of writing: before or after a file has its name, or a removal."""
    step = data.draw(st.sampled_from(["none", "replace", "replaced", "unlink"]))
    after = data.draw(st.integers(0, 3))
    calls = Counter[str]()
    replace_file, unlink = Path.replace, Path.unlink

    def replaced(path: Path, target: Path) -> None:
        calls["replace"] += 1
        if step == "replace" and calls["replace"] > after:
            raise KilledError
        replace_file(path, target)
        if step == "replaced" and calls["replace"] > after:
            raise KilledError

    def unlinked(path: Path, missing_ok: bool = False) -> None:
        if step == "unlink" and path.suffix != ".part":
            calls["unlink"] += 1
            if calls["unlink"] > after:
                raise KilledError
        unlink(path, missing_ok)

    patch.setattr(Path, "replace", replaced)
    patch.setattr(Path, "unlink", unlinked)


def test_files_do_not_grow_in_number(tmp_path: Path) -> None:
    texts, request = job()
    for _ in range(6):
        Session(texts, request, tmp_path, 2).go([1, 0])
        assert len(list(tmp_path.iterdir())) == 1
    assert len(batches_in(tmp_path)) == 6


def test_nothing_is_kept_without_a_folder(tmp_path: Path) -> None:
    texts, request = job()
    session = Session(texts, request, tmp_path)
    keeper = Keeper(request, Ranks(0, 1, CPU), session.totals[0])
    with keeper:
        assert keeper.note(request.batches[0], 1)
    assert list(tmp_path.iterdir()) == []


# Files that are not what they should be.


def test_files_that_overlap_are_not_added_twice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    texts, request = job()
    expected = Session(texts, request, tmp_path / "alone").end()
    kept = tmp_path / "one"
    Session(texts, request, kept).go([3])
    Session(texts, request, tmp_path / "two", 2).go([0, 4])
    [other] = (tmp_path / "two").iterdir()
    other.rename(kept / other.name)
    assert set(check(kept / other.name)[0].batches) & {0, 1, 2}
    caplog.clear()
    same(Session(texts, request, kept, 2).end(), expected)
    said = f"{kept / 'session1-rank0.safetensors'} is ignored: others have batches of it"
    assert f"{said}; 9 of 13 examples are still to be done" in caplog.messages


@pytest.mark.parametrize("way", ["flipped", "truncated"])
def test_a_damaged_file_is_left_out_by_name(
    way: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    texts, request = job()
    expected = Session(texts, request, tmp_path / "alone").end()
    folder = tmp_path / "kept"
    Session(texts, request, folder, 2).go([2, 3])
    damaged = folder / "session1-rank1.safetensors"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 4
    damaged.write_bytes(content if way == "flipped" else content[:-100])
    caplog.clear()
    caplog.set_level(logging.INFO, logger="probe")
    session = Session(texts, request, folder)
    assert caplog.messages == [
        f"{damaged} is ignored: its content does not match its sha256; 11 of 13 examples are "
        "still to be done",
        "resuming: 2 of 13 examples are already done",
    ]
    same(session.end(), expected)
    assert [file.name for file in folder.iterdir()] == ["session2-rank0.safetensors"]


def test_a_damaged_file_does_not_give_its_name_away(tmp_path: Path) -> None:
    texts, request = job()
    Session(texts, request, tmp_path).go([2])
    [file] = tmp_path.iterdir()
    file.write_bytes(b"")
    Session(texts, request, tmp_path).go([1])
    assert batches_in(tmp_path) == [0]
    assert not file.exists()
    assert len(find(tmp_path, request, "model").batches) == 1


def test_sums_of_something_else_are_refused(tmp_path: Path) -> None:
    texts, request = job()
    Session(texts, request, tmp_path).go([2])
    config, first = request.config, request.batches[0]
    other = replace(config, null=NullConfig(shifts=1, seed=4))
    texts_of = [Batch(first.members, [[7, *ids[1:]] for ids in first.ids], first.cell)]
    for changed, model, said in [
        (replace(request, config=other), "model", "null.seed was 0 then and is 4 now"),
        (request, "sha256 b", "the model was model then and is sha256 b now"),
        (replace(request, batches=texts_of + request.batches[1:]), "model",
         "the batches' texts was [0-9a-f]{64} then"),
        (replace(request, matrices=request.matrices[:1]), "model", "the matrices was"),
    ]:  # fmt: skip
        with pytest.raises(UserError, match=f"holds sums of another run: {said}") as caught:
            find(tmp_path, changed, model)
        assert "start afresh with overwrite=true, or move the folder" in str(caught.value)
    runtime = replace(config.runtime, device="cuda:1", checkpoint_minutes=3.0)
    again = replace(request, config=replace(config, runtime=runtime))
    assert len(find(tmp_path, again, "model").batches) == 2


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be written \(.*\); give another folder with out"):
        find(tmp_path / "file" / "kept", job()[1], "model")


# When.


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_checkpoints_are_rare_where_they_take_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts, request = job()
    runtime = replace(request.config.runtime, checkpoint_minutes=1.0)
    request = replace(request, config=replace(request.config, runtime=runtime))
    clock, seconds = Clock(), 0.1
    written = []

    def slow(*_: object) -> None:
        clock.now += seconds
        written.append(clock.now)

    monkeypatch.setattr(keep, "_RARE", 100)
    monkeypatch.setattr(keep, "time", SimpleNamespace(monotonic=clock))
    monkeypatch.setattr(keep, "write", slow)
    monkeypatch.setattr(Keeper, "_log_cost", lambda *_: None)
    session = Session(texts, request, tmp_path)
    with session.keepers[0]:
        for batch, pause, number in zip(
            request.batches, [59, 1, 59, 1, 61, 199, 1], [0, 1, 1, 2, 3, 3, 4], strict=False
        ):
            seconds = 2.0 if number == 3 else 0.1
            clock.now += pause
            session.read(0, batch)
            assert len(written) == number, (pause, number)


def test_a_full_disk_costs_a_warning_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    texts, request = job()
    expected = Session(texts, request, tmp_path / "alone").end()
    folder = tmp_path / "kept"
    session = Session(texts, request, folder)
    caplog.clear()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        session.go([3])
    assert list(folder.iterdir()) == []
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warned == [
        f"rank 0 cannot save its sums in {folder / 'session1-rank0.safetensors'} (No space left "
        "on device); the run continues and retries later"
    ]
    for batch in session.request.batches[3:]:
        session.read(0, batch)
    assert batches_in(folder) == list(range(len(request.batches)))
    same({**session.totals[0].state(), **session.totals[0].finish().to_tensors()}, expected)


def test_a_rank_that_does_not_see_the_folder_makes_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    texts, request = job()
    session = Session(texts, request, tmp_path / "kept", 2)
    (tmp_path / "kept").rmdir()
    session.go([0, 1])
    assert not (tmp_path / "kept").exists()
    assert "rank 1 cannot save its sums" in caplog.text
    assert "the folder is not there" in caplog.text


def test_what_is_kept_survives_being_packed(tmp_path: Path) -> None:
    texts, request = job()
    Session(texts, request, tmp_path).go([2])
    kept = replace(request, checkpoints=find(tmp_path, request, "model"))
    again = Request.from_bytes(kept.to_bytes())
    assert again.checkpoints == kept.checkpoints
    assert json.loads(json.dumps(again.checkpoints.of if again.checkpoints else None))
    assert [b.members for b in again.left] == [b.members for b in request.batches[2:]]
