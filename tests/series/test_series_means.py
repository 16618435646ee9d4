"""Means of texts against means of what `iterate` reads, and no token on the disk."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest

from probe import api
from probe.api import Config, Factor, SeriesStore, UserError
from probe.extraction.loop import Loop
from probe.series import write
from probe.series.shards import ShardWriter
from probe.series.stored import INDEX
from tests.tiny_models import save_tiny


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("texts")
    model = save_tiny("gpt2", folder / "gpt2")
    rows = [{"text": "sand " * (k % 3) + f"boat {k} " * (1 + 3 * k)} for k in range(6)]
    texts = folder / "texts.jsonl"
    texts.write_text("\n".join(map(json.dumps, rows)))
    return [
        "model=local", f"model.path={model}", "data=text", f"data.path={texts}",
        "data.min_tokens=2", "layers=[0,2]", f"output={folder}", "runtime.token_budget=150",
        "runtime.device=cpu", "tracking=none",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def store(words: list[str]) -> SeriesStore:
    return api.series(*words, mean=True)


def expected(*given: str | Config) -> dict[int, dict[int, np.ndarray]]:
    return {
        one.example: {layer: x.double().numpy().mean(axis=0) for layer, x in one.layers.items()}
        for one in api.iterate(*given)
    }


def close(store: SeriesStore, means: dict[int, dict[int, np.ndarray]], rtol: float = 1e-6) -> None:
    assert len(store) == len(means)
    for example, layers in means.items():
        for layer, mean in layers.items():
            found = store.read(example, layer)
            assert found.shape == (1, 16)
            np.testing.assert_allclose(found[0], mean, rtol=rtol, atol=1e-7)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    "more", [[], ["data.skip_first=1"], ["data.generate=5", "data.part=generated"]], ids=len
)
@pytest.mark.parametrize("budget", [1, 4096])
def test_means_are_those_of_the_tokens_that_count(
    words: list[str], tmp_path: Path, side: str, more: list[str], budget: int
) -> None:
    given = [*words, *more, f"model.padding_side={side}", f"runtime.token_budget={budget}"]
    close(api.series(*given, folder=tmp_path / "means", mean=True), expected(*given))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_means_can_be_rounded(words: list[str], dtype: str) -> None:
    close(api.series(*words, dtype=dtype, mean=True), expected(*words), rtol=2**-8)


@pytest.mark.usefixtures("one_process")
def test_ranks_write_the_same_means(
    words: list[str], store: SeriesStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "ShardWriter", lambda *place: ShardWriter(*place, limit=1))
    several = api.series(*words, "launch.num_processes=3", folder=tmp_path, mean=True)
    assert len({one.shard for one in several.examples}) > 2
    for example in range(6):
        for layer in (0, 2):
            assert np.array_equal(several.read(example, layer), store.read(example, layer))


def test_no_token_is_on_the_disk_but_its_number(store: SeriesStore, words: list[str]) -> None:
    whole = api.series(*words)
    for one, usual in zip(store.examples, whole.examples, strict=True):
        assert one.n_tokens == usual.n_tokens
        assert np.array_equal(store.tokens(one.example), whole.tokens(one.example))
    tokens = sum(one.n_tokens for one in store.examples)
    bytes_on_disk = sum(file.stat().st_size for file in store.folder.glob("series-*"))
    assert bytes_on_disk < 4 * (6 * 32 + tokens) + 2000
    assert "mean-float32" in store.folder.name
    assert api.open_series(store.folder).mean
    assert not whole.mean


def test_means_are_read_as_blocks_of_texts(store: SeriesStore) -> None:
    blocks = list(store.blocks(4))
    assert [block.shape for block in blocks] == [(4, 32), (2, 32)]
    rows = [np.concatenate([store.read(k, 0), store.read(k, 2)], axis=1) for k in range(6)]
    assert np.array_equal(np.concatenate(blocks), np.concatenate(rows))


def test_an_interrupted_writing_of_means_goes_on(
    words: list[str], store: SeriesStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "ShardWriter", lambda *place: ShardWriter(*place, limit=1))
    read: list[int] = []
    batches = Loop.batches

    def noted(self: Loop, *given, **named):  # type: ignore[no-untyped-def]
        for batch, tensors in batches(self, *given, **named):
            read.extend(batch.members)
            if len(read) == 2:
                signal.raise_signal(signal.SIGINT)
            yield batch, tensors

    monkeypatch.setattr(Loop, "batches", noted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            api.series(*words, folder=tmp_path, mean=True)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not (tmp_path / INDEX).exists()
    again = api.series(*words, folder=tmp_path, mean=True)
    assert sorted(read) == list(range(6))
    for example in range(6):
        assert np.array_equal(again.read(example, 2), store.read(example, 2))


def test_means_and_tokens_are_not_taken_for_each_other(words: list[str], tmp_path: Path) -> None:
    api.series(*words, folder=tmp_path, mean=True)
    with pytest.raises(UserError, match=r"has other series \(mean differ\)"):
        api.series(*words, folder=tmp_path)


def test_stores_from_before_there_were_means_are_found_again(words: list[str]) -> None:
    store = api.series(*words)
    index = json.loads((store.folder / INDEX).read_text())
    del index["mean"]
    (store.folder / INDEX).write_text(json.dumps(index))
    written = {file: file.stat().st_mtime_ns for file in store.folder.glob("series-*")}
    again = api.series(*words)
    assert np.array_equal(again.read(3, 2), store.read(3, 2))
    assert written == {file: file.stat().st_mtime_ns for file in store.folder.glob("series-*")}


def test_a_mean_has_no_topology(store: SeriesStore, words: list[str]) -> None:
    with pytest.raises(UserError, match="has the means of texts, and a topology needs their tok"):
        Factor.read(store, 0, 2)
    with pytest.raises(UserError, match="the mean of a standardised series is 0; leave out one"):
        api.series(*words, standardised=True, mean=True)


def test_an_infinite_mean_is_named(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "_mean", lambda x, keep: x[:, :1] / 0)
    with pytest.raises(UserError, match=r"example \d .* has an activation too large for float32"):
        api.series(*words, "layers=1", mean=True)
