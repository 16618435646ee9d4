"""What all ranks write is read back piece by piece: the same activations, small where asked for."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

import probe
from probe import api
from probe.api import Config, ExampleActivations, SeriesStore, UserError
from probe.extraction.loop import Loop
from probe.models import load_tokenizer
from probe.series import find, write
from probe.series.factor import Factor, pack, unpack
from probe.series.shards import ShardWriter
from probe.series.stored import INDEX, widen
from tests import reference
from tests.series.drawn_series import Series, activations, topology
from tests.tiny_models import save_tiny

SUBJECTS = ("river", "sand", "sea")
# Relative error of rounding to 11 and to 8 significant bits.
ROUNDING = {"float32": 0.0, "float16": 2**-11, "bfloat16": 2**-8}


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Say what to read: seven texts with labels, in several batches."""
    folder = tmp_path_factory.mktemp("texts")
    model = save_tiny("gpt2", folder / "gpt2")
    rows = [
        {"text": "sand " * (k % 3) + f"boat {k} " * (4 + k), "subject": SUBJECTS[k % 3]}
        for k in range(7)
    ]
    texts = folder / "texts.jsonl"
    texts.write_text("\n".join(map(json.dumps, rows)))
    return [
        "model=local", f"model.path={model}", "data=table", f"data.path={texts}",
        'data.template="{text}"', "data.min_tokens=4", "layers=[0,2]", f"output={folder}",
        "runtime.token_budget=150", "runtime.device=cpu", "tracking=none",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def config(words: list[str]) -> Config:
    return api.compose(*words)


@pytest.fixture(scope="module")
def read(config: Config) -> list[ExampleActivations]:
    return sorted(api.iterate(config), key=lambda example: example.example)


@pytest.fixture(scope="module")
def store(config: Config) -> SeriesStore:
    return api.series(config)


def in_small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write every batch into a shard of its own."""
    monkeypatch.setattr(write, "ShardWriter", lambda *place: ShardWriter(*place, limit=1))


@pytest.mark.parametrize("dtype", ROUNDING)
def test_what_is_read_is_what_the_model_computed(
    config: Config, read: list[ExampleActivations], dtype: str, tmp_path: Path
) -> None:
    store = api.series(config, folder=tmp_path, dtype=dtype)
    assert (len(store), store.layers, store.widths, store.dtype) == (
        7, (0, 2), {0: 16, 2: 16}, dtype,
    )  # fmt: skip
    for example in read:
        assert np.array_equal(store.tokens(example.example), example.tokens.numpy())
        for layer, expected in example.layers.items():
            found = store.read(example.example, layer)
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, expected.numpy(), rtol=ROUNDING[dtype], atol=1e-7)


def test_every_bfloat16_is_widened_as_torch_does_it() -> None:
    bits = np.arange(1 << 16, dtype=np.uint16)
    expected = torch.from_numpy(bits).view(torch.bfloat16).float().numpy()
    np.testing.assert_array_equal(widen(bits), expected)


def test_examples_know_where_they_come_from(
    store: SeriesStore, read: list[ExampleActivations]
) -> None:
    for number, (record, example) in enumerate(zip(store.examples, read, strict=True)):
        assert record.example == number
        assert record.document == record.group == example.document
        assert record.n_tokens == len(example.tokens)
        assert record.labels["subject"] == SUBJECTS[number % 3]
    assert set(store.fingerprints) == {"model", "data"}
    assert store.computed["site"] == "residual"
    units = [(layer, neuron) for layer in (0, 2) for neuron in range(16)]
    assert store.units.tolist() == [list(unit) for unit in units]


def test_parts_of_a_text_are_found_among_the_stored_tokens(tmp_path: Path) -> None:
    words = ["data.split=questions", "data.limit=3", "layers=0", "tracking=none"]
    tokenizer = load_tokenizer(api.compose().model)
    for skip in (0, 7):
        store = api.series(*words, f"data.skip_first={skip}", f"output={tmp_path}")
        for one in store.examples:
            start, stop = one.spans["question"]
            found = tokenizer.decode(store.tokens(one.example)[start:stop])
            question = api.documents(*words)[one.example].text.split("\nA) ")[0]
            assert question.endswith(found)
            assert start == max(0, 5 - skip)  # "Question: " is five tokens
            assert len(found) > len(question) - 30


@given(
    n_tokens=st.integers(1, 400),
    layers=st.sampled_from([None, [2], [2, 0]]),
    examples=st.none() | st.permutations(range(7)).map(lambda order: order[:4]),
)
@settings(derandomize=True, database=None, deadline=None, max_examples=20)
def test_blocks_are_all_tokens_by_all_units(
    store: SeriesStore, n_tokens: int, layers: list[int] | None, examples: list[int] | None
) -> None:
    expected = np.concatenate(
        [
            np.concatenate([store.read(number, layer) for layer in layers or [0, 2]], axis=1)
            for number in examples or range(7)
        ]
    )
    blocks = list(store.blocks(n_tokens, layers, examples))
    assert [len(block) for block in blocks[:-1]] == [n_tokens] * (len(blocks) - 1)
    np.testing.assert_array_equal(np.concatenate(blocks), expected)


def test_a_layer_is_correlated_from_the_disk(store: SeriesStore, words: list[str]) -> None:
    layer = store.layer(2, [4, 1, 6])
    expected = reference.topology([[store.read(number, 2) for number in (4, 1, 6)]], "mean")
    np.testing.assert_allclose(api.correlate(layer).matrix, expected, atol=1e-6)
    np.testing.assert_array_equal(layer[1], store.read(1, 2))
    assert layer[1:].examples == (1, 6)
    [whole] = api.extract(*words[:7], "layers=2", *words[8:])
    np.testing.assert_allclose(api.correlate(store.layer(2)).matrix, whole.matrix, atol=1e-6)


@pytest.mark.processes
def test_reading_imports_no_torch(store: SeriesStore) -> None:
    read = f"api.open_series({str(store.folder)!r}).read(0, 2).size"
    code = f"import sys; from probe import api; print({read}, 'torch' in sys.modules)"
    root = str(Path(probe.__file__).parents[1])
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": root},
    )  # fmt: skip
    assert result.stdout.split() == [str(16 * store.examples[0].n_tokens), "False"]


@pytest.mark.parametrize("standardised", [False, True])
def test_factors_are_the_correlations_of_every_example(
    config: Config, read: list[ExampleActivations], standardised: bool, tmp_path: Path
) -> None:
    store = api.series(
        config,
        folder=tmp_path,
        dtype="float16" if standardised else "float32",
        standardised=standardised,
    )
    for example in read:
        for layer, series in example.layers.items():
            factor = Factor.read(store, example.example, layer)
            assert factor.series.shape == series.shape
            expected = reference.example_correlation(series.numpy())
            tolerance = 1e-3 if standardised else 1e-6
            np.testing.assert_allclose(factor.dense(), expected, atol=tolerance)


def test_any_number_of_shards_holds_the_same_series(
    config: Config, store: SeriesStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_small_shards(monkeypatch)
    many = api.series(config, folder=tmp_path)
    assert len({record.shard for record in many.examples}) > 2
    for number in range(7):
        assert np.array_equal(store.tokens(number), many.tokens(number))
        for layer in store.layers:
            assert np.array_equal(store.read(number, layer), many.read(number, layer))


@pytest.mark.usefixtures("warm_ranks")
def test_any_number_of_ranks_writes_the_same_series(
    words: list[str], store: SeriesStore, tmp_path: Path
) -> None:
    ranks = api.series(api.compose(*words, "launch.num_processes=2"), folder=tmp_path)
    assert len({record.shard for record in ranks.examples}) == 2
    for number in range(7):
        for layer in store.layers:
            one, two = store.read(number, layer), ranks.read(number, layer)
            np.testing.assert_allclose(one, two, rtol=0, atol=1e-6)


def test_series_are_found_again_unless_they_are_others(
    config: Config, words: list[str], store: SeriesStore, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    given = api.series(config, folder=tmp_path)
    monkeypatch.setattr(find, "run_ranks", lambda *_: pytest.fail("the model was run"))
    assert api.series(config).examples == store.examples
    assert api.series(api.compose(*words, "average=fisher")).folder == store.folder
    assert api.series(config, folder=tmp_path).examples == given.examples
    with pytest.raises(
        UserError, match=r"has other series \(layers differ\); give another folder, or remove it$"
    ):
        api.series(api.compose(*words, "layers=1"), folder=tmp_path)
    with pytest.raises(UserError, match=r"has other series \(dtype, standardised differ\)"):
        api.series(config, folder=tmp_path, dtype="float16", standardised=True)
    ranked = api.compose(*words, "average.correlation=spearman")
    assert api.series(ranked).folder == store.folder
    with pytest.raises(UserError, match="standardised series are those of Pearson's r, and"):
        api.series(ranked, standardised=True)


def test_outdated_series_under_output_are_replaced(
    words: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = api.compose(*words, f"output={tmp_path}")
    before = api.series(config)
    index = before.folder / INDEX
    older = index.read_text().replace(before.fingerprints["data"], "0" * 64)
    index.write_text(older)
    caplog.set_level("INFO")
    assert api.series(config).fingerprints == before.fingerprints
    assert "has outdated series (data differ), which are replaced" in caplog.text


def test_overwrite_reads_again_what_was_there_before_this_process(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, run_ranks = [], find.run_ranks
    monkeypatch.setattr(find, "run_ranks", lambda *own: (runs.append(own[0]), run_ranks(*own))[1])
    config = api.compose(*words, f"output={tmp_path}")
    for overwrite, before, times in [(0, 0, 1), (1, 0, 1), (1, 1, 2), (1, 0, 2), (0, 1, 2)]:
        if before:
            find._seen.clear()
        api.series(config, f"overwrite={bool(overwrite)}")
        assert len(runs) == times


@pytest.mark.parametrize("ending", [KeyboardInterrupt, OSError])
def test_what_was_read_before_an_interruption_is_not_read_again(
    config: Config, store: SeriesStore, ending: type[BaseException], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The second batch is cut short: its examples are read again, those of the first are not."""
    in_small_shards(monkeypatch)
    reads: Counter[int] = Counter()
    add = ShardWriter.add

    def cut_short(self: ShardWriter, example: int, *rest: Any) -> None:
        reads[example] += 1
        if len(list(tmp_path.glob("series-*"))) == 1 and sum(reads.values()) < 7:
            raise ending("cut short")
        add(self, example, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(ShardWriter, "add", cut_short)
        with pytest.raises(ending):
            api.series(config, folder=tmp_path)
    first = set(reads)
    [shard] = tmp_path.glob("series-*")
    with pytest.raises(UserError, match=r"has no series: no series\.json; api\.series\(config, fo"):
        api.open_series(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(ShardWriter, "add", lambda *own: (reads.update([own[1]]), add(*own))[-1])
        again = api.series(config, folder=tmp_path)
    assert shard in tmp_path.iterdir()
    assert sorted(reads) == list(range(7))
    [cut] = [number for number, times in reads.items() if times == 2]
    assert cut in first
    for number in range(7):
        assert np.array_equal(again.read(number, 2), store.read(number, 2))


def test_a_signal_is_deferred_until_whole_batches_are_kept(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shards are large, so that nothing would have been written yet."""
    batches = Loop.batches
    # A process that a shell has put into the background ignores Ctrl-C.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupted(self: Loop, *given: Any, **more: Any) -> Any:
        for number, batch in enumerate(batches(self, *given, **more)):
            if number == 1:
                signal.raise_signal(signal.SIGINT)
            yield batch

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "batches", interrupted)
        with pytest.raises(KeyboardInterrupt):
            api.series(config, folder=tmp_path)
    signal.signal(signal.SIGINT, previous)
    [shard] = tmp_path.glob("series-*")
    assert not (tmp_path / INDEX).exists()
    assert len(api.series(config, folder=tmp_path)) == 7
    assert shard.is_file()


def test_other_shards_under_output_and_unfinished_ones_are_removed(
    words: list[str], store: SeriesStore, tmp_path: Path
) -> None:
    """A folder under `output` is named by its series: others are of older weights or texts."""
    config = api.compose(*words, f"output={tmp_path}")
    folder = tmp_path / store.folder.relative_to(words[7].removeprefix("output="))
    folder.mkdir(parents=True)
    save_file({"x": torch.zeros(1)}, folder / "series-0000009.safetensors", {"of": "other"})
    (folder / "series-0000008.safetensors").write_bytes(b"damaged")
    (folder / ".series-0000007.safetensors.1.part").write_bytes(b"half")
    assert api.series(config).folder == folder
    left = sorted(path.name for path in folder.iterdir())
    assert left == sorted(path.name for path in store.folder.iterdir())


def test_a_folder_with_anything_else_is_refused_and_kept(config: Config, tmp_path: Path) -> None:
    mine = tmp_path / "series-mine.safetensors"
    save_file({"x": torch.zeros(1)}, mine)
    with pytest.raises(UserError, match=r"has files that are not of these series, such as series-"):
        api.series(config, folder=tmp_path)
    assert mine.is_file()
    with pytest.raises(UserError, match=r"mine\.safetensors is a file; give another place"):
        api.series(config, folder=mine)


def test_a_damaged_store_under_output_is_written_again(
    words: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = api.compose(*words, f"output={tmp_path}")
    before = api.series(config)
    expected = before.read(3, 2)
    [shard] = before.folder.glob("*.safetensors")
    shard.write_bytes(shard.read_bytes()[:-1])
    np.testing.assert_array_equal(api.series(config).read(3, 2), expected)
    assert "is missing or truncated" in caplog.text


def test_what_is_read_is_what_lies_there_now(
    words: list[str], read: list[ExampleActivations], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Files of one name follow each other: other weights, other layouts, nothing."""
    other = api.series(*words, "init=random", folder=tmp_path)
    other.read(3, 2)
    shutil.rmtree(tmp_path)
    with pytest.raises(UserError, match="was removed; remove the folder, and write"):
        other.read(3, 2)
    now = api.series(*words, folder=tmp_path)
    np.testing.assert_array_equal(now.read(3, 2), read[3].layers[2])
    with pytest.raises(UserError, match="was replaced; open the series again"):
        other.read(3, 2)
    shutil.rmtree(tmp_path)
    in_small_shards(monkeypatch)
    split = api.series(*words, folder=tmp_path)
    for example in read:
        np.testing.assert_array_equal(split.read(example.example, 2), example.layers[2])
    with pytest.raises(UserError, match=r"was re(placed|moved)"):
        [now.read(number, 2) for number in range(7)]


def test_what_is_not_there_is_named(store: SeriesStore) -> None:
    with pytest.raises(UserError, match=r"^n_tokens=0 is no block; give 1 or more$"):
        next(store.blocks(0))
    with pytest.raises(UserError, match=r"has no layer 1; it has 0, 2$"):
        store.read(0, 1)
    for number in (7, -1):
        with pytest.raises(UserError, match=rf"has no example {number}; it has 0 to 6$"):
            store.read(number, 2)


def test_what_is_no_path_is_told(config: Config) -> None:
    with pytest.raises(UserError, match=r"^5 is no folder of series; give its path, e\.g\. api"):
        api.open_series(5)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"^\[\] is no folder of series; give its path, e\.g\. api"):
        api.series(config, folder=[])


def test_an_unknown_type_is_told(config: Config, tmp_path: Path) -> None:
    with pytest.raises(
        UserError,
        match=r"^dtype='float61' is not one of float32, float16, bfloat16; did you mean 'float16'",
    ):
        api.series(config, folder=tmp_path, dtype="float61")


def test_damage_is_seen_when_series_are_opened(config: Config, tmp_path: Path) -> None:
    api.series(config, folder=tmp_path)
    [shard] = tmp_path.glob("*.safetensors")
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    with pytest.raises(UserError, match="is missing or truncated; remove the folder, and write"):
        api.open_series(tmp_path)
    shard.unlink()
    with pytest.raises(UserError, match="is missing or truncated; remove the folder, and write"):
        api.open_series(tmp_path)
    (tmp_path / INDEX).write_text("{")
    with pytest.raises(UserError, match=r"series\.json is not JSON; remove the folder, and write"):
        api.open_series(tmp_path)


def test_a_disk_that_is_too_small_is_refused_before_the_model_is_run(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(UserError, match=r"^the series need .* GB, but .* has 1e-06 GB free; use"):
        api.series(config, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def with_bias(value: float, folder: Path) -> str:
    """Save a model whose layer 1 adds a value to neuron 3, and say where it is."""
    saved = save_tiny("gpt2", folder)
    weights = load_file(saved / "model.safetensors")
    [name] = [name for name in weights if name.endswith("h.1.mlp.c_proj.bias")]
    weights[name][3] = value
    save_file(weights, saved / "model.safetensors", metadata={"format": "pt"})
    return f"model.path={saved}"


@pytest.mark.parametrize("standardised", [False, True])
def test_an_activation_that_is_not_finite_is_named(
    words: list[str], standardised: bool, tmp_path: Path
) -> None:
    broken = [word for word in words if not word.startswith("model.path")]
    broken.append(with_bias(float("nan"), tmp_path / "gpt2"))
    with pytest.raises(UserError, match=r"^example \d .*has an activation .*not finite in layer 2"):
        api.series(api.compose(*broken), folder=tmp_path / "store", standardised=standardised)
    assert not list(tmp_path.glob("store/*"))
    with pytest.raises(UserError, match=r"^example \d .*has an activation .*not finite in layer 2"):
        list(api.iterate(*broken))


def test_an_activation_beyond_half_precision_is_told(words: list[str], tmp_path: Path) -> None:
    large = [word for word in words if not word.startswith("model.path")]
    large += [with_bias(1e6, tmp_path / "gpt2"), "layers=1"]
    with pytest.raises(
        UserError, match=r"has an activation too large for float16 in layer 1; use bfloat16 or fl"
    ):
        api.series(api.compose(*large), folder=tmp_path / "store", dtype="float16")
    assert (
        np.abs(
            api.series(api.compose(*large), folder=tmp_path / "b", dtype="bfloat16").read(0, 1)
        ).max()
        > 9e5
    )


@st.composite
def drawn(draw: st.DrawFn) -> Series:
    """Draw series of which one token may be hundreds of times as large (an attention sink)."""
    n_neurons = draw(st.integers(2, 24))
    series = activations(
        draw(st.integers(0, 99)), draw(st.integers(16, 200)), n_neurons, draw(st.integers(0, 2))
    )
    sink = draw(st.sampled_from([0, 30, 300]))
    varies = series.max(axis=0) > series.min(axis=0)
    series[0, varies] += (sink * np.random.default_rng(0).standard_normal(varies.sum())).astype("f")
    return series


@given(series=drawn())
@settings(derandomize=True, database=None, deadline=None, max_examples=60)
def test_half_precision_moves_no_correlation_by_more_than_a_thousandth(series: Series) -> None:
    keep = torch.ones(1, len(series), dtype=torch.bool)
    packed, finite = pack(torch.from_numpy(series).unsqueeze(0), keep)
    assert finite.all()
    factor = Factor(unpack(packed[0]))
    np.testing.assert_allclose(factor.dense(), topology(series), atol=1e-3)
    assert factor.series.square().sum(dim=0).sub(factor.defined.float()).abs().max() < 1e-6


def test_padding_is_stored_as_nothing() -> None:
    series = torch.from_numpy(np.stack([activations(k, 40, 6) for k in range(2)]))
    keep = torch.ones(2, 40, dtype=torch.bool)
    keep[1, :15] = False
    packed, _ = pack(series, keep)
    assert not packed[1, :15].any()
    np.testing.assert_allclose(
        Factor(unpack(packed[1])).dense(), topology(series[1, 15:].numpy()), atol=1e-3
    )


@pytest.mark.parametrize(("n_neurons", "times"), [(896, 3), (3584, 10)])
def test_series_take_a_fraction_of_the_disk_of_matrices(
    n_neurons: int, times: int, tmp_path: Path
) -> None:
    n_tokens, examples = 512, 3
    writer = ShardWriter(tmp_path, "test", minutes=60)
    tokens: NDArray[np.int64] = np.arange(n_tokens)
    for example in range(examples):
        writer.add(example, tokens, {12: np.zeros((n_tokens, n_neurons), np.float16)})
    writer.end_batch()
    writer.flush()
    written = sum(file.stat().st_size for file in tmp_path.iterdir())
    np.save(tmp_path / "matrix.npy", np.zeros((n_neurons, n_neurons), np.float32))
    matrices = examples * (tmp_path / "matrix.npy").stat().st_size
    assert matrices > times * written
