"""Options that are kept, with keys laid over a copy, are what Hydra composes at once."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from experiments.hubs.settings import HubsConfig
from probe.cli import composition as module
from probe.cli.composition import composition
from probe.config import CONF, Config
from tests.config.compositions import TINY

_by_hydra = module._by_hydra


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, ...]]]:
    """Start with nothing kept, and note what Hydra is given."""
    given: list[tuple[str, ...]] = []

    def by_hydra(words: tuple[str, ...], schema: type[Config]) -> DictConfig:
        given.append(words)
        return _by_hydra(words, schema)

    monkeypatch.setattr(module, "_by_hydra", by_hydra)
    module._kept.cache_clear()
    yield given
    module._kept.cache_clear()


@pytest.mark.parametrize(
    ("words", "schema"),
    [
        ([], Config),
        (["data.limit=3", "site=mlp", "layers=each", "tracking.tags=[a,'b c']"], Config),
        (["data.limit=3", "data.limit=4", "data.limit=3"], Config),
        (["data=mmlu", "subject=law", "subject.name=mine", "output=there"], Config),
        (["experiment=average_100", "data.limit=7", "average.scheme=fisher"], Config),
        (["model=local", f"model.path={TINY}", "output=${model.path}/x"], Config),
        (["output=a", "study.rotations=7", "data.path=null"], HubsConfig),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else "",
)
def test_keys_over_options_are_what_hydra_makes_of_all_words(
    words: list[str], schema: type[Config]
) -> None:
    expected = _by_hydra(words, schema)
    for _ in range(2):  # as composed, and as kept
        found = composition(words, schema)
        assert OmegaConf.to_container(found) == OmegaConf.to_container(expected)
        assert OmegaConf.to_object(found) == OmegaConf.to_object(expected)
        assert OmegaConf.is_struct(found)
        found.data.limit = 99
        found.tracking.tags.append("no part of what is kept")


def test_keys_over_a_configuration_are_what_hydra_makes_of_them() -> None:
    base = OmegaConf.to_object(composition(["data=mmlu", "layers=single", "site=mlp"], Config))
    assert isinstance(base, Config)
    absent = ["~model", "~data", "~layers", "~average", "~init", "~figures", "~tracking",
              "~launch", "~runtime"]  # fmt: skip
    words = [*absent, "data.limit=3", "subject.name=mine", "layers.index=2"]
    found = composition(words, Config, base=base)
    expected = _by_hydra(words, base)
    assert OmegaConf.to_object(found) == OmegaConf.to_object(expected)
    assert OmegaConf.is_struct(found)
    assert (base.data.limit, found.data.limit) == (None, 3)


def test_options_are_composed_once(composed: list[tuple[str, ...]]) -> None:
    for words in (["data.limit=3"], ["data.limit=4", "site=mlp"], []):
        composition([*words, "model=gpt2"], Config)
    composition(["model=gpt2"], HubsConfig)  # which has other keys
    composition(["model=gpt2", "average=fisher"], Config)
    assert composed == [("model=gpt2",), ("model=gpt2",), ("model=gpt2", "average=fisher")]


def test_a_file_that_was_edited_or_added_is_read(
    composed: list[tuple[str, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = Path(shutil.copytree(CONF, tmp_path / "conf"))
    monkeypatch.setattr(module, "CONF", conf)
    assert composition(["average=fisher"], Config).average.parts == 1
    (conf / "average" / "fisher.yaml").write_text("scheme: fisher\nparts: 5\n")
    assert composition(["average=fisher"], Config).average.parts == 5
    (conf / "average" / "mine.yaml").write_text("parts: 7\n")
    assert composition(["average=mine"], Config).average.parts == 7
    assert len(composed) == 3
