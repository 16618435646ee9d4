"""Words laid over a finished configuration set what they name, be it the default, and no more."""

from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.cli import compose_job, overlay
from probe.config import Config, key, to_plain
from probe.errors import UserError
from tests.config.compositions import TEXT, TINY, composed, leaves

# A configuration that is usual in next to nothing.
UNUSUAL = (
    "model=pythia70m", "model.dtype=bfloat16", "model.revision=step1000", "model.chat=true",
    "data=mmlu", "subject=psychology", "data.limit=9", "data.skip_first=2", "data.max_tokens=90",
    "data.perplexity=[5,95]", "data.shuffle=true", "layers=[1,3]", "average=fisher",
    "average.parts=2", "average.std=true", "init=random", "init.seed=4", "null.shifts=2",
    "measures.density=[0.1,0.3]", "tracking=none", "runtime=cpu",
    "runtime.token_budget=100", "site=attention", "output=there",
)  # fmt: skip


def changes(config: Config, *words: str) -> dict[str, Any]:
    """Lay words over a configuration, and return the keys that changed with their new values."""
    before, after = leaves(to_plain(config)), leaves(to_plain(overlay(config, words)))
    names = [*before, *(name for name in after if name not in before)]
    return {name: after.get(name) for name in names if before.get(name) != after.get(name)}


def test_keys_are_set_to_their_defaults_and_nothing_else_changes() -> None:
    defaults = {
        "model.dtype": "float32",
        "model.revision": None,
        "model.chat": False,
        "data.limit": None,
        "data.skip_first": 0,
        "data.perplexity": None,
        "average.std": False,
        "average.scheme": "mean",
        "init.kind": "pretrained",
        "measures.density": 0.1,
        "tracking.enabled": True,
        "runtime.device": "auto",
        "site": "residual",
        "output": "outputs",
    }
    usual = leaves(to_plain(composed()))
    assert {name: usual[name] for name in defaults} == defaults
    words = [f"{name}={'null' if value is None else value}" for name, value in defaults.items()]
    assert changes(composed(*UNUSUAL), *words) == defaults
    assert changes(composed(*UNUSUAL), words[0]) == {"model.dtype": "float32"}


def test_no_words_change_nothing_and_the_given_configuration_stays() -> None:
    config = composed(*UNUSUAL)
    before = deepcopy(config)
    assert overlay(config, []) == config
    other = overlay(config, ["average.parts=3", "layers=2", "data.perplexity=[1,99]"])
    assert (other.average.parts, other.layers.index, other.data.perplexity) == (3, 2, [1, 99])
    assert config == before


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        (["average=mean"], {"average.scheme": "mean", "average.parts": 1, "average.std": False}),
        (["init=pretrained"], {"init.kind": "pretrained", "init.seed": 0}),
        (["layers=all"], {"layers.selection": "all", "layers.index": None}),
        (["layers=3"], {"layers.index": 3}),
        (["runtime=auto"], {"runtime.device": "auto", "runtime.token_budget": 4096}),
        (["tracking=wandb"], {"tracking.enabled": True}),
        (
            ["model=gpt2", "model.chat=true"],
            {
                "model.name": "gpt2", "model.id": "openai-community/gpt2", "model.revision": None,
                "model.dtype": "float32", "model.padding_side": "right",
            },
        ),
        (
            ["model=local", f"model.path={TINY}", "model.dtype=bfloat16"],
            {
                "model.name": None, "model.id": None, "model.path": str(TINY), "model.chat": False,
                "model.revision": None, "model.padding_side": "right",
            },
        ),
        # What an option sets in other parts comes with it.
        (
            ["layers=full", "average.std=false", "null.shifts=0"],
            {
                "layers.selection": "full", "layers.index": None, "average.halves": False,
                "average.std": False, "null.shifts": 0,
            },
        ),
        (
            ["layers=cross", "average=mean", "null.shifts=0"],
            {
                "layers.selection": "cross", "layers.index": None, "average.halves": False,
                "average.scheme": "mean", "average.parts": 1, "average.std": False,
                "null.shifts": 0,
            },
        ),
    ],
)  # fmt: skip
def test_an_option_replaces_its_group(words: list[str], changed: dict[str, Any]) -> None:
    assert changes(composed(*UNUSUAL), *words) == changed


def test_an_option_sets_other_parts_to_their_defaults_too(tmp_path: Path) -> None:
    (tmp_path / "average").mkdir()
    (tmp_path / "average/plain.yaml").write_text(
        "# @package _global_\naverage: {scheme: mean}\ndata: {skip_first: 0}\ninit: {seed: 0}\n"
    )
    assert changes(composed(*UNUSUAL), "average=plain", "--config-dir", str(tmp_path)) == {
        "data.skip_first": 0, "average.scheme": "mean", "average.parts": 1, "average.std": False,
        "init.seed": 0,
    }  # fmt: skip


def test_data_bring_their_subject() -> None:
    config = composed(*UNUSUAL)
    law = ["international_law", "jurisprudence", "professional_law"]
    other = overlay(config, ["subject=law"])
    assert other.subject is not None
    assert (other.subject.name, other.subject.mmlu, other.data) == ("law", law, config.data)
    other = overlay(config, ["data=mmlu_pro"])
    assert other.subject is not None
    assert (other.subject.name, other.data.limit) == ("all", None)
    other = overlay(config, ["subject=law", "data=mmlu_pro"])
    assert other.subject is not None
    assert other.subject.name == "law"
    plain = overlay(config, ["data=text", f"data.path='{TEXT}'"])
    assert (plain.subject, plain.data.id, plain.data.perplexity) == (None, None, None)
    assert overlay(plain, ["data=mmlu", "subject=law"]).subject == overlay(
        config, ["subject=law"]
    ).subject  # fmt: skip
    for word in ("subject=law", "subject.name=law"):
        with pytest.raises(UserError, match="this data set has no subjects; leave subject= out"):
            overlay(plain, [word])


def test_words_are_judged_by_the_whole_that_they_make() -> None:
    """Alone each of these would be refused, or mean something else."""
    config = composed("data.cut=tokens", "data.limit=4", "data.min_tokens=40", "average=fisher")
    assert changes(config, "data.window=64") == {"data.window": 64}
    assert changes(config, "data.max_tokens=50") == {"data.max_tokens": 50}
    with pytest.raises(UserError, match=r"data\.max_tokens=30 is below data\.min_tokens=40"):
        overlay(config, ["data.max_tokens=30"])
    with pytest.raises(UserError, match=r"average\.scheme=fisher needs examples of 4 tokens"):
        overlay(config, ["data.min_tokens=3"])


@dataclass
class Own:
    """Settings of a study."""

    shares: list[float] = key([0.5, 0.5], "Shares.")
    many: int = key(3, "How many.")


@dataclass
class StudyConfig(Config):
    """A study's configuration."""

    study: Own = field(default_factory=Own)


def test_a_study_keeps_its_own_settings() -> None:
    config = compose_job([*UNUSUAL, "study.shares=[0.2,0.8]", "study.many=7"], StudyConfig)
    assert isinstance(config, StudyConfig)
    other = overlay(config, ["model=gpt2", "study.many=3"])
    assert (other.study.shares, other.study.many, other.model.name) == ([0.2, 0.8], 3, "gpt2")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("data.limt=3", "unknown key 'data.limt'; did you mean 'data.limit'?"),
        ("model=gpt3", "model=gpt3 is unknown; did you mean 'gpt2'?"),
        ("+data.limit=3", "+data.limit=3 adds nothing new; leave out the +"),
        ("~model", "~model would remove a key; set it to null or false instead"),
        ("layers=1,2", "layers=1,2 gives several values; add -m to sweep over them, or write one "),
        ("layers=x", "layers=x is unknown"),
        ("study.many=3", "unknown key 'study.many'"),
        ("model=hub", "the model has neither path nor id; give model.path=DIR or model.id=ORG/NAM"),
        ("model.path=nowhere", "model.path=nowhere is "),
        ("experiment=average_100", "experiment= cannot be laid over another configuration; give "),
    ],
)
def test_mistakes_are_answered_as_on_the_command_line(word: str, message: str) -> None:
    with pytest.raises(UserError) as refused:
        overlay(composed(*UNUSUAL), [word])
    assert str(refused.value).startswith(message)


def test_a_sweep_is_refused() -> None:
    with pytest.raises(UserError, match="these overrides are a sweep; give those of a single run"):
        overlay(composed(), ["-m", "layers=1,2"])


WORDS = [
    "model.dtype=float32", "model.dtype=float16", "data.limit=null", "data.limit=3",
    "data.skip_first=0", "average.halves=true", "average.halves=false", "average.parts=1",
    "init.kind=pretrained", "init.seed=0", "null.shifts=0", "null.shifts=1", "site=residual",
    "measures.density=0.1", "measures.density=[0.2]", "tracking.tags=[]", "overwrite=false",
]  # fmt: skip


@settings(max_examples=8, deadline=None, derandomize=True, database=None)
@given(st.lists(st.sampled_from(WORDS), max_size=4), st.lists(st.sampled_from(WORDS), max_size=4))
def test_keys_laid_over_are_the_same_as_given_at_once(first: list[str], later: list[str]) -> None:
    assert overlay(composed(*first), later) == composed(*first, *later)
