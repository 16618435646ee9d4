"""conf/ and the schema fit each other: every file composes, and every key is typed and known."""

import dataclasses
import re
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.cli.keys import keys
from probe.config import (
    CONF,
    SOURCES,
    Config,
    Cut,
    DataConfig,
    DensityRule,
    DType,
    FigureFormat,
    Figures,
    InitKind,
    Matmul,
    Mode,
    Scheme,
    Selection,
    Side,
    Site,
    Weight,
    check,
    from_plain,
    group_options,
    run_folder,
    to_plain,
)
from probe.errors import UserError
from tests.config.compositions import (
    OPTIONS,
    TINY,
    TOGETHER,
    composed,
    leaves,
    option_name,
    option_words,
    words_together,
    written,
)

SCHEMA = {key.name: key for key in keys(Config)}
ENUMERATIONS = (
    Cut, DensityRule, DType, FigureFormat, Figures, InitKind, Matmul, Mode, Scheme, Selection, Side,
    Site, Weight,
)  # fmt: skip
ROOT = yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))
each_option = pytest.mark.parametrize("file", OPTIONS, ids=option_name)


def enumerations(value: Any) -> list[Enum]:
    """Collect the enumeration members of nested dataclasses."""
    if dataclasses.is_dataclass(value):
        parts = [getattr(value, field.name) for field in dataclasses.fields(value)]
        return [member for part in parts for member in enumerations(part)]
    return [value] if isinstance(value, Enum) else []


def test_conf_lies_beside_or_inside_the_package() -> None:
    package = Path(run_folder.__code__.co_filename).resolve().parent.parent
    assert CONF.is_absolute()
    assert CONF in (package / "conf", package.parent / "conf")
    assert (CONF / "config.yaml").is_file()


@each_option
def test_every_option_composes_to_typed_values_that_pass_the_checks(file: Path) -> None:
    config = composed(*words_together(file))
    check(config)
    assert type(config) is Config
    assert type(config.data) is DataConfig
    assert type(config.model.dtype) is DType
    assert len(enumerations(config)) == sum(key.kind in ENUMERATIONS for key in SCHEMA.values())
    assert not any(value == "???" for value in leaves(to_plain(config)).values())


@each_option
def test_every_key_of_every_file_is_a_key_of_the_schema(file: Path) -> None:
    assert set(written(file)) <= set(SCHEMA)


@each_option
def test_every_value_of_a_file_reaches_the_configuration(file: Path) -> None:
    given_on_line = {word.partition("=")[0] for word in option_words(file)}
    values = leaves(to_plain(composed(*words_together(file))))
    for name, value in written(file).items():
        if name not in given_on_line:
            assert values[name] == value, name


@pytest.mark.parametrize("file", [files[0] for files in TOGETHER], ids=option_name)
def test_every_composition_survives_plain_types(file: Path) -> None:
    config = composed(*words_together(file))
    plain = to_plain(config)
    again = from_plain(plain)
    assert again == config
    assert to_plain(again) == plain
    assert run_folder(again) == run_folder(config)


def test_the_default_composition_survives_plain_types() -> None:
    assert from_plain(to_plain(composed())) == composed()


@given(
    text=st.text(st.characters(codec="utf-8"), max_size=12),
    limit=st.none() | st.integers(-(2**40), 2**40),
    index=st.none() | st.integers(0, 99) | st.lists(st.integers(0, 99), max_size=4),
    dtype=st.sampled_from(DType),
    selection=st.sampled_from(Selection),
    flag=st.booleans(),
)
@settings(derandomize=True, database=None, deadline=None, max_examples=20)
def test_values_survive_plain_types(
    text: str, limit: int | None, index: Any, dtype: DType, selection: Selection, flag: bool
) -> None:
    config = Config()
    config.data = DataConfig(source="text", name=text, path=text, limit=limit, shuffle=flag)
    config.model.dtype = dtype
    config.layers.selection = selection
    config.layers.index = index
    config.tracking.tags = [text]
    assert from_plain(to_plain(config)) == config


def test_plain_values_are_of_json_types_only() -> None:
    kinds = {type(value) for value in leaves(to_plain(composed("layers=[3,7]"))).values()}
    assert kinds <= {str, int, float, bool, list, type(None)}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data.limit", "many"),
        ("model.dtype", "float64"),
        ("site", "mpl"),
        ("tracking.enabled", "perhaps"),
        ("data.nonsense", 1),
    ],
)
def test_plain_types_that_do_not_fit_the_schema_are_refused(name: str, value: Any) -> None:
    plain = to_plain(composed())
    *parents, last = name.split(".")
    part = plain
    for parent in parents:
        part = part[parent]
    part[last] = value
    with pytest.raises(UserError, match=rf"^(unknown key )?{name}"):
        from_plain(plain)


def test_every_folder_with_options_is_listed_as_a_group() -> None:
    folders = {file.parent.name for file in OPTIONS}
    assert set(group_options()) - {"hydra"} == folders | {"subject"}


def test_every_file_is_listed_as_an_option_of_its_group() -> None:
    listed = {(g, o) for g, options in group_options().items() for o in options if g != "subject"}
    assert listed == {(file.parent.name, file.stem) for file in OPTIONS}


def test_every_listed_group_has_options() -> None:
    assert [group for group, options in group_options().items() if not options] == []


def test_the_root_chooses_an_option_for_every_group() -> None:
    chosen = {group for entry in ROOT["defaults"] if isinstance(entry, dict) for group in entry}
    assert {file.parent.name for file in OPTIONS} <= chosen


def test_experiments_come_after_the_root_itself() -> None:
    order = [entry if isinstance(entry, str) else next(iter(entry)) for entry in ROOT["defaults"]]
    assert order[0] == "probe_schema"
    assert order.index("experiment") > order.index("_self_")


def test_the_root_sets_no_key_of_its_own() -> None:
    assert set(ROOT) == {"defaults", "hydra"}


def test_nothing_in_conf_instantiates_or_evaluates() -> None:
    for file in CONF.rglob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        assert "_target_" not in text, file
        assert "eval:" not in text, file


def test_every_key_has_a_sentence_of_documentation() -> None:
    for name, key in SCHEMA.items():
        assert re.fullmatch(r"\w.{9,}\.", key.doc), name


def test_every_key_with_few_values_lists_them() -> None:
    assert SCHEMA["site"].choices == [
        "residual",
        "residual_raw",
        "mlp",
        "mlp_output",
        "attention",
        "embedding",
    ]
    assert SCHEMA["data.shuffle"].choices == ["true", "false"]
    assert SCHEMA["data.limit"].choices == []


def test_keys_reach_into_optional_parts() -> None:
    assert {"subject.name", "subject.mmlu", "subject.sample"} <= set(SCHEMA)


def test_dataclass_docs_are_sentences() -> None:
    for part in (Config, *(type(p) for p in vars(composed()).values())):
        if dataclasses.is_dataclass(part):
            assert part.__doc__ is not None
            assert part.__doc__.endswith("."), part


def test_defaults_are_the_bundled_model_and_text_in_one_matrix() -> None:
    config = composed()
    assert (config.model.name, config.data.name) == ("tiny", "sample")
    assert config.layers.selection is Selection.all
    assert config.average.parts == 1
    assert config.subject is not None
    assert config.subject.name == "all"


@each_option
def test_models_are_loaded_in_float32_whatever_the_option(file: Path) -> None:
    assert composed(*words_together(file)).model.dtype is DType.float32


def test_data_without_subjects_composes_with_no_subject() -> None:
    assert composed("data=openwebtext").subject is None


@pytest.mark.parametrize("data", ["mmlu", "sample"])
def test_data_with_subjects_starts_with_all_of_them(data: str) -> None:
    subject = composed(f"data={data}").subject
    assert subject is not None
    assert subject.name == "all"
    assert len(subject.mmlu) == 57


def test_a_subject_reaches_the_top_of_the_configuration() -> None:
    subject = composed("data=mmlu", "subject=psychology").subject
    assert subject is not None
    assert subject.mmlu == ["high_school_psychology", "professional_psychology"]


def test_named_data_sets_take_a_path_for_machines_without_a_network() -> None:
    for file in OPTIONS:
        if file.parent.name == "data" and "data.path" in SOURCES[written(file)["data.source"]]:
            assert composed(*option_words(file), f"data.path='{TINY}'").data.path == str(TINY)


@pytest.mark.parametrize(
    ("words", "scheme", "parts", "example"),
    [
        (["average=mean"], "mean", 1, None),
        (["average=fisher"], "fisher", 1, None),
        (["average=pooled"], "pooled", 1, None),
        (["average=partitioned"], "mean", 3, None),
        (["average=single"], "mean", 1, 0),
        (["average=partitioned", "average.scheme=fisher"], "fisher", 3, None),
    ],
)
def test_averages_mean_what_their_names_say(
    words: list[str], scheme: str, parts: int, example: int | None
) -> None:
    average = composed(*words).average
    assert (average.scheme.value, average.parts, average.example) == (scheme, parts, example)


def test_published_experiments_take_a_hundred_passages() -> None:
    config = composed("experiment=partitioned_100")
    assert config.data.name == "openwebtext"
    assert config.data.limit == 100
    assert config.layers.index == 12
    assert config.average.parts == 3
    assert composed("experiment=average_100").layers.selection is Selection.all


def test_words_win_over_an_experiment() -> None:
    assert composed("experiment=average_100", "data.limit=7").data.limit == 7
    assert composed("experiment=average_100", "layers=each").layers.selection == "each"
