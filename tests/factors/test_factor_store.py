"""What is written by all ranks is read back example by example, small and nearly exact."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from probe import api
from probe.api import Config, ExampleActivations, FactorStore, UserError
from probe.factors import Factor, shards, write
from probe.factors.shards import ShardWriter
from probe.factors.store import INDEX, pack, unpack
from tests import reference
from tests.factors.series import Series, activations, topology
from tests.tiny_models import save_tiny

SUBJECTS = ("river", "sand", "sea")


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
        'data.template="{text}"', "data.min_tokens=4", "layers=[0,2]",
        "runtime.token_budget=150", "runtime.device=cpu", "tracking=none",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def config(words: list[str]) -> Config:
    return api.compose(*words)


@pytest.fixture(scope="module")
def read(config: Config) -> list[ExampleActivations]:
    return sorted(api.iterate(config), key=lambda example: example.example)


@pytest.fixture(scope="module")
def store(config: Config, tmp_path_factory: pytest.TempPathFactory) -> FactorStore:
    return api.write_factors(config, tmp_path_factory.mktemp("store"))


def test_factors_are_the_correlations_of_every_example(
    store: FactorStore, read: list[ExampleActivations]
) -> None:
    assert len(store) == len(read) == 7
    assert (store.layers, store.n_neurons) == ((0, 2), 16)
    for example in read:
        assert torch.equal(store.tokens(example.example), example.tokens)
        for layer, series in example.layers.items():
            factor = store.factor(example.example, layer)
            assert factor.series.shape == series.shape
            expected = reference.example_correlation(series.numpy())
            np.testing.assert_allclose(factor.dense(), expected, atol=1e-3)


def test_examples_know_where_they_come_from(
    store: FactorStore, read: list[ExampleActivations]
) -> None:
    for number, (record, example) in enumerate(zip(store.examples, read, strict=True)):
        assert record.example == number
        assert record.document == record.group == example.document
        assert record.n_tokens == len(example.tokens)
        assert record.labels["subject"] == SUBJECTS[number % 3]
    assert set(store.fingerprints) == {"model", "data"}
    assert store.computed["site"] == "residual"


def test_batches_are_in_the_order_asked_for_and_padded(store: FactorStore) -> None:
    found = list(store.batches(2, [6, 0, 3, 1, 5], size=2))
    assert [numbers for numbers, _ in found] == [[6, 0], [3, 1], [5]]
    for numbers, batch in found:
        alone = [store.factor(number, 2) for number in numbers]
        assert torch.equal(batch.series, Factor.stack(alone).series)


@pytest.mark.usefixtures("one_process")
def test_any_number_of_ranks_and_shards_gives_the_same_factors(
    config: Config, words: list[str], store: FactorStore, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A limit of one byte writes every example into a shard of its own."""
    with monkeypatch.context() as patch:
        patch.setattr(write, "ShardWriter", lambda *place: ShardWriter(*place, 1))
        many = api.write_factors(config, tmp_path / "many")
    assert len({record.shard for record in many.examples}) == 7
    ranks = api.write_factors(api.compose(*words, "launch.num_processes=2"), tmp_path / "ranks")
    assert {record.shard for record in ranks.examples} == {
        shards.shard_name(rank, 0) for rank in (0, 1)
    }
    for other in (many, ranks):
        for number in range(7):
            assert torch.equal(store.tokens(number), other.tokens(number))
            for layer in store.layers:
                one, two = (s.factor(number, layer).series for s in (store, other))
                # Series of one example are the same to the last bit; its model's are to 1e-6.
                torch.testing.assert_close(one, two, rtol=0, atol=1e-3)


def test_factors_are_found_again_unless_they_are_others(
    config: Config, words: list[str], store: FactorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "run_ranks", lambda *_: pytest.fail("the model was run"))
    again = api.write_factors(config, store.folder)
    assert again.examples == store.examples
    with pytest.raises(
        UserError, match=r"has the factors of another configuration \(layers differ\); give another"
    ):
        api.write_factors(api.compose(*words, "layers=1"), store.folder)


def test_an_interrupted_try_leaves_no_factors_and_does_not_disturb_the_next(
    config: Config, store: FactorStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(ShardWriter):
        def flush(self) -> None:
            if self._shard == 2:
                raise KeyboardInterrupt
            super().flush()

    with monkeypatch.context() as patch:
        patch.setattr(write, "ShardWriter", lambda *place: Full(*place, 1))
        with pytest.raises(KeyboardInterrupt):
            api.write_factors(config, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(UserError, match=r"has no factors: no factors\.json; write_factors\("):
        api.open_factors(tmp_path)
    api.write_factors(config, tmp_path)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == sorted(path.name for path in store.folder.iterdir())


def test_what_is_not_there_is_named(store: FactorStore) -> None:
    with pytest.raises(UserError, match=r"has no layer 1; it has 0, 2$"):
        store.factor(0, 1)
    for number in (7, -1):
        with pytest.raises(UserError, match=rf"has no example {number}; it has 0 to 6$"):
            store.batch([0, number], 2)


def test_damage_is_seen_when_factors_are_opened(config: Config, tmp_path: Path) -> None:
    api.write_factors(config, tmp_path)
    [shard] = tmp_path.glob("*.safetensors")
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    with pytest.raises(UserError, match="is missing or truncated; write the factors again"):
        api.open_factors(tmp_path)
    shard.unlink()
    with pytest.raises(UserError, match="is missing or truncated; write the factors again"):
        api.open_factors(tmp_path)
    (tmp_path / INDEX).write_text("{")
    with pytest.raises(UserError, match=r"factors\.json is not JSON; write the factors again"):
        api.open_factors(tmp_path)


def test_a_disk_that_is_too_small_is_refused_before_the_model_is_run(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(UserError, match=r"^the factors need .* GB, but .* has 1e-06 GB free; use"):
        api.write_factors(config, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_activation_that_is_not_finite_is_named(words: list[str], tmp_path: Path) -> None:
    folder = save_tiny("gpt2", tmp_path / "gpt2")
    weights = load_file(folder / "model.safetensors")
    [name] = [name for name in weights if name.endswith("h.1.mlp.c_proj.bias")]
    weights[name][3] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    broken = [word for word in words if not word.startswith("model.path")]
    with pytest.raises(UserError, match=r"^example \d .*has an activation .*not finite in layer 2"):
        api.write_factors(api.compose(*broken, f"model.path={folder}"), tmp_path / "store")
    assert not list(tmp_path.glob("store/*"))
    with pytest.raises(UserError, match=r"^example \d .*has an activation .*not finite in layer 2"):
        list(api.iterate(*broken, f"model.path={folder}"))


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
def test_factors_take_a_fraction_of_the_disk_of_matrices(
    n_neurons: int, times: int, tmp_path: Path
) -> None:
    n_tokens, examples = 512, 3
    writer = ShardWriter(tmp_path, rank=0)
    generator = torch.Generator().manual_seed(0)
    for example in range(examples):
        series = torch.randn(1, n_tokens, n_neurons, generator=generator)
        packed, _ = pack(series, torch.ones(1, n_tokens, dtype=torch.bool))
        writer.add(example, torch.arange(n_tokens), {12: packed[0]})
    writer.flush()
    written = sum(file.stat().st_size for file in tmp_path.iterdir())
    np.save(tmp_path / "matrix.npy", np.zeros((n_neurons, n_neurons), np.float32))
    matrices = examples * (tmp_path / "matrix.npy").stat().st_size
    assert matrices > times * written
