"""A run is named by everything that changes its matrices, and by nothing else."""

import copy
import os
import re
import subprocess
import sys
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import probe
from probe.cli.keys import Key, keys
from probe.config import (
    AverageConfig,
    Config,
    DataConfig,
    InitKind,
    LayersConfig,
    Matmul,
    ModelConfig,
    Scheme,
    Selection,
    Site,
    SubjectConfig,
    Weight,
    average_name,
    data_name,
    layers_name,
    model_name,
    run_folder,
)
from probe.config.run_name import computed
from tests.config.compositions import TEXT, composed

# Keys that change no matrix. A new key stands in the name of a run unless it is entered here.
WITHOUT_EFFECT = {
    *(
        key.name
        for key in keys(Config)
        # Measures are redone from the matrices, and figures drawn.
        if key.name.startswith(("tracking.", "launch.", "measures.", "figures."))
    ),
    "runtime.device",
    "runtime.checkpoint_minutes",
    "model.device_map",
    "model.pickle",
    "init.seed",  # where the weights are trained
    "null.seed",  # where nothing is shifted
    "output",  # a folder above
    "overwrite",
}
IN_NAME = [key for key in keys(Config) if key.name not in WITHOUT_EFFECT]
NOT_IN_NAME = [key for key in keys(Config) if key.name in WITHOUT_EFFECT]
ROOT = Path(probe.__file__).parent.parent
NAME = re.compile(r"(?P<readable>[^/]+/[^/]+/[^/]+)-(?P<hash>[0-9a-f]{8})")


BASE = composed()


def folder(config: Config) -> str:
    """Return a run's folder, relative to `output`."""
    return run_folder(config).relative_to(config.output).as_posix()


def changed(config: Config, **values: Any) -> Config:
    """Copy a configuration with other values, `model__dtype=…` for model.dtype."""
    config = copy.deepcopy(config)
    for name, value in values.items():
        *parents, last = name.split("__")
        part: Any = config
        for parent in parents:
            part = getattr(part, parent)
        assert hasattr(part, last)
        setattr(part, last, value)
    return config


def current(config: Config, name: str) -> Any:
    """Return the value of a dotted key."""
    part: Any = config
    for word in name.split("."):
        part = getattr(part, word)
    return part


def another(key: Key, value: Any) -> Any:
    """Return a value of the key's type other than `value`."""
    kinds = get_args(key.kind) or (key.kind,)
    if key.name == "layers.index":
        return 5
    if isinstance(value, Enum):
        return next(member for member in type(value) if member is not value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, list):
        return [*value, "more"]
    return (value or 0) + 7 if int in kinds else f"{value}x"


@pytest.mark.parametrize("key", IN_NAME, ids=lambda key: key.name)
def test_whatever_changes_the_matrices_changes_the_name(key: Key) -> None:
    base = changed(BASE, layers__selection=Selection.single, layers__index=3)
    value = another(key, current(base, key.name))
    assert folder(changed(base, **{key.name.replace(".", "__"): value})) != folder(base)


@pytest.mark.parametrize("key", NOT_IN_NAME, ids=lambda key: key.name)
def test_whatever_does_not_change_the_matrices_keeps_the_name(key: Key) -> None:
    value = another(key, current(BASE, key.name))
    assert folder(changed(BASE, **{key.name.replace(".", "__"): value})) == folder(BASE)


def test_the_name_covers_the_seed_of_random_weights_only() -> None:
    random = changed(BASE, init__kind=InitKind.random)
    assert folder(changed(random, init__seed=1)) != folder(random)
    assert folder(changed(BASE, init__seed=1)) == folder(BASE)


def test_the_name_covers_the_seed_of_shifts_only_where_there_are_shifts() -> None:
    shifted = changed(BASE, null__shifts=2)
    assert folder(changed(shifted, null__seed=1)) != folder(shifted)
    assert folder(changed(BASE, null__seed=1)) == folder(BASE)


def test_the_name_covers_the_precision_of_products_only_where_it_is_not_the_usual_one() -> None:
    usual, tf32, bf16x3 = (changed(BASE, runtime__matmul=matmul) for matmul in Matmul)
    assert len({folder(config) for config in (usual, tf32, bf16x3)}) == 3
    # Results from before there was a choice are found again.
    assert "matmul" not in computed(usual)


def test_keys_that_are_younger_than_a_run_are_in_its_name_only_where_they_say_something() -> None:
    # What `python -m probe` was named before there were any of them.
    assert folder(BASE) == "tiny/sample/all-mean-2750e006"
    young = {"generate": 8, "temperature": 0.5, "part": "generated", "answer": "label"}
    assert young.keys().isdisjoint(computed(BASE)["data"])
    for name, value in young.items():
        assert computed(changed(BASE, **{f"data__{name}": value}))["data"][name] == value


def test_every_key_without_effect_is_a_key() -> None:
    assert {key.name for key in keys(Config)} >= WITHOUT_EFFECT


def test_output_is_the_folder_above() -> None:
    assert run_folder(changed(BASE, output="/else/where")) == Path("/else/where") / folder(BASE)
    assert run_folder(BASE).parts[0] == "outputs"


def test_a_subject_is_in_the_name_and_all_is_not() -> None:
    assert BASE.subject is not None
    law = changed(BASE, subject__name="law")
    assert folder(BASE).split("/")[1] == "sample"
    assert folder(law).split("/")[1] == "sample-law"
    assert folder(changed(BASE, subject=None)).split("/")[1] == "sample"


@pytest.mark.parametrize(
    ("words", "readable"),
    [
        (
            ["model=qwen0.5b", "data=mmlu", "subject=psychology"],
            "qwen0.5b/mmlu-psychology/all-mean",
        ),
        (["layers=12", "average=partitioned"], "tiny/sample/layer12-mean-3parts"),
        (["layers=[3,7]", "site=mlp"], "tiny/sample/layer3-7-mlp-mean"),
        (["layers=middle", "site=attention"], "tiny/sample/middle-attention-mean"),
        (["layers=each", "average=fisher", "init=random"], "tiny/sample/each-fisher-random"),
        (["average=single", "average.example=4"], "tiny/sample/all-mean-example4"),
        (["model=hub", "model.id=EleutherAI/pythia-70m"], "pythia-70m/sample/all-mean"),
        (["data=text", f"data.path='{TEXT}'"], "tiny/sample/all-mean"),
    ],
)
def test_the_readable_part_says_what_was_composed(words: list[str], readable: str) -> None:
    named = NAME.fullmatch(folder(composed(*words)))
    assert named is not None
    assert named["readable"] == readable


words = st.text("abcdefghijklmnopqrstuvwxyzABC0123456789_.", min_size=1, max_size=10).filter(
    lambda word: word.strip(".") != ""
)


@st.composite
def configurations(draw: st.DrawFn) -> Config:
    """Draw configurations that differ in all that names can show."""
    config = copy.deepcopy(BASE)
    config.model = ModelConfig(id=f"{draw(words)}/{draw(words)}", name=draw(st.none() | words))
    config.data = DataConfig(
        source="text", path=f"{draw(words)}.txt", limit=draw(st.none() | st.just(9))
    )
    config.subject = draw(st.none() | words.map(lambda word: SubjectConfig(name=word)))
    config.layers.selection = draw(st.sampled_from(Selection))
    config.layers.index = draw(st.integers(0, 30) | st.lists(st.integers(0, 30), min_size=1))
    config.site = draw(st.sampled_from(Site))
    config.average = AverageConfig(
        scheme=draw(st.sampled_from(Scheme)),
        weight=draw(st.sampled_from(Weight)),
        parts=draw(st.integers(1, 5)),
        example=draw(st.none() | st.integers(0, 5)),
    )
    config.init.kind = draw(st.sampled_from(InitKind))
    return config


@given(config=configurations())
@settings(derandomize=True, database=None, deadline=None, max_examples=60)
def test_every_name_has_the_documented_form(config: Config) -> None:
    data = data_name(config.data)
    if config.subject is not None and config.subject.name != "all":
        data = f"{data}-{config.subject.name}"
    random = "-random" if config.init.kind is InitKind.random else ""
    site = r"(-residual_raw|-mlp|-mlp_output|-attention|-embedding)?"
    layers = rf"(all|each|middle|cross|full|(layer|cross|full)\d+(-\d+)*){site}"
    average = r"(mean|fisher|pooled)(-tokens|-examples)?(-\d+parts)?(-example\d+)?"
    form = rf"outputs/{re.escape(model_name(config.model))}/{re.escape(data)}/"
    assert re.fullmatch(rf"{form}{layers}-{average}{random}-[0-9a-f]{{8}}", str(run_folder(config)))


@given(pair=st.tuples(configurations(), configurations()))
@settings(derandomize=True, database=None, deadline=None, max_examples=30)
def test_copies_have_one_name_and_different_runs_two(pair: tuple[Config, Config]) -> None:
    one, other = pair
    assert run_folder(copy.deepcopy(one)) == run_folder(one)
    if one.model.id != other.model.id or one.average != other.average or one.site != other.site:
        assert run_folder(one) != run_folder(other)


@pytest.mark.processes
def test_names_are_the_same_in_every_process() -> None:
    program = (
        "from probe.config import *; config = Config(); config.data.source = 'text';"
        "config.model.id = 'a/b'; print(run_folder(config))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    one, other = (process.communicate(timeout=60)[0] for process in processes)
    assert one == other
    assert one.startswith("outputs/b/text/all-mean-")


def test_relative_and_absolute_model_paths_give_one_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    names = {
        folder(changed(BASE, model=ModelConfig(path=str(path))))
        for path in (
            "models/mine",
            "./models/mine/",
            "models/../models/mine",
            tmp_path / "models/mine",
        )
    }
    assert len(names) == 1
    assert names.pop().startswith("mine/")


def test_relative_and_absolute_data_paths_give_one_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = {
        folder(changed(BASE, data=DataConfig(source="text", path=str(path))))
        for path in ("my texts.jsonl", "./my texts.jsonl", tmp_path / "my texts.jsonl")
    }
    assert len(names) == 1
    assert names.pop().split("/")[1] == "my texts"


def test_the_same_relative_path_in_another_folder_is_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = []
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        monkeypatch.chdir(tmp_path / place)
        names.append(folder(changed(BASE, data=DataConfig(source="text", path="text.txt"))))
    assert names[0] != names[1]


@pytest.mark.parametrize("index", [12, [3, 7]])
def test_layer_numbers_that_are_not_read_do_not_rename_a_run(index: Any) -> None:
    each = changed(BASE, layers=LayersConfig(Selection.each))
    assert folder(changed(each, layers__index=index)) == folder(each)


def test_one_layer_has_one_name_alone_or_in_a_list() -> None:
    assert folder(composed("layers=3")) == folder(composed("layers=[3]"))


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (ModelConfig(id="org/gpt2-xl"), "gpt2-xl"),
        (ModelConfig(id="gpt2"), "gpt2"),
        (ModelConfig(path="/models/llama"), "llama"),
        (ModelConfig(path="/models/llama/", id="org/other"), "llama"),
        (ModelConfig(path="/models/llama", name="short"), "short"),
    ],
)
def test_models_are_named_by_name_then_folder_then_id(model: ModelConfig, name: str) -> None:
    assert model_name(model) == name


def test_a_model_in_the_current_folder_is_named_by_that_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert model_name(ModelConfig(path=".")) == tmp_path.resolve().name


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (DataConfig(source="text", path="/texts/questions.jsonl"), "questions"),
        (DataConfig(source="text", path="/texts/questions.jsonl", name="mine"), "mine"),
        (DataConfig(source="mmlu"), "mmlu"),
        (DataConfig(source="text", path="/texts/v1.2.txt"), "v1.2"),
    ],
)
def test_data_are_named_by_name_then_file_then_source(data: DataConfig, name: str) -> None:
    assert data_name(data) == name


@pytest.mark.parametrize(
    ("average", "name"),
    [
        (AverageConfig(), "mean"),
        (AverageConfig(scheme=Scheme.fisher, parts=3), "fisher-3parts"),
        (AverageConfig(weight=Weight.token), "mean-tokens"),
        (AverageConfig(scheme=Scheme.pooled, weight=Weight.token), "pooled"),
        (AverageConfig(scheme=Scheme.pooled, weight=Weight.example), "pooled-examples"),
        (AverageConfig(example=0), "mean-example0"),
        (AverageConfig(Scheme.fisher, Weight.token, 2, 5), "fisher-tokens-2parts-example5"),
    ],
)
def test_averages_are_named_by_what_is_unusual(average: AverageConfig, name: str) -> None:
    assert average_name(average) == name


@pytest.mark.parametrize(
    ("layers", "site", "name"),
    [
        (LayersConfig(), Site.residual, "all"),
        (LayersConfig(Selection.each), Site.mlp, "each-mlp"),
        (LayersConfig(Selection.single, 12), Site.residual, "layer12"),
        (LayersConfig(Selection.single, [3, 7]), Site.attention, "layer3-7-attention"),
        (LayersConfig(Selection.single, 0), Site.embedding, "layer0-embedding"),
    ],
)
def test_layers_are_named_by_number_and_by_site(
    layers: LayersConfig, site: Site, name: str
) -> None:
    assert layers_name(changed(BASE, layers=layers, site=site)) == name
