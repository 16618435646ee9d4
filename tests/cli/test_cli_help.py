"""The help page holds every group, option and key, and is readable in a terminal."""

import re
from dataclasses import dataclass, field

import pytest

from probe.cli import help_page
from probe.cli.keys import Key, keys
from probe.config import Config, group_options, key

PAGE = help_page(Config, "python -m probe")
LINES = PAGE.splitlines()


def block(title: str) -> list[str]:
    """Return the lines under a title, up to the next empty one."""
    start = next(number for number, line in enumerate(LINES) if line.startswith(title)) + 1
    end = next((n for n, line in enumerate(LINES[start:], start) if not line), len(LINES))
    return LINES[start:end]


def entries(title: str) -> dict[str, str]:
    """Return the entries under a title, each with its text in one line."""
    found: dict[str, str] = {}
    for line in block(title):
        if re.match(r"  \S", line):
            name, _, text = line.strip().partition(" ")
            found[name] = text.strip()
        else:
            found[name] += f" {line.strip()}"
    return found


GROUPS = entries("Groups")
KEYS = entries("Keys")


def test_every_line_fits_a_hundred_columns() -> None:
    assert [line for line in LINES if len(line) > 100] == []
    assert not [line for line in LINES if line != line.rstrip()]


@pytest.mark.parametrize("group", [name for name, found in group_options().items() if found])
def test_every_group_lists_every_option(group: str) -> None:
    assert set(group_options()[group]) <= set(GROUPS[group].split())


def test_layer_numbers_are_shown_beside_the_options_of_layers() -> None:
    assert GROUPS["layers"].endswith("or numbers: layers=12, layers=[3,7]")


@pytest.mark.parametrize("one", list(keys(Config)), ids=lambda one: one.name)
def test_every_key_stands_with_its_sentence_and_its_choices(one: Key) -> None:
    assert KEYS[one.name].startswith(one.doc)
    for choice in one.choices:
        assert re.search(rf"\b{choice}\b", KEYS[one.name][len(one.doc) :]), choice


@pytest.mark.parametrize(
    ("name", "default"),
    [("runtime.token_budget", "4096"), ("output", "outputs")],
)
def test_keys_stand_with_their_defaults_as_the_title_says(name: str, default: str) -> None:
    assert re.search(rf"\b{default}\b", KEYS[name])


def test_nothing_but_keys_and_groups_is_listed() -> None:
    assert set(KEYS) == {one.name for one in keys(Config)}
    assert set(GROUPS) == {name for name, found in group_options().items() if found}


def test_every_flag_that_a_mistake_points_to_is_listed() -> None:
    flags = "\n".join(block("Flags"))
    for flag in ("-m, --multirun", "--cfg", "--config-dir", "--rerun", "-h, --help"):
        assert flag in flags


def test_examples_use_the_name_of_the_program() -> None:
    page = help_page(Config, "probe-it")
    assert page.splitlines()[0].startswith("probe-it  [group=option]")
    assert "python -m probe" not in page


def test_a_program_says_what_it_is_about_itself() -> None:
    page = help_page(Config, "python -m experiments.mine", "Measures mine with {program}.\n")
    assert "Measures mine with python -m experiments.mine." in page
    assert "Extracts the neural topology" not in page


@dataclass
class _Study:
    a_setting_with_a_very_long_name_of_its_own: int = key(3, "A setting of the study.")


@dataclass
class _StudyConfig(Config):
    study: _Study = field(default_factory=_Study)


def test_keys_that_a_study_adds_are_listed_apart_from_their_sentence() -> None:
    page = help_page(_StudyConfig, "python -m experiments.mine", "Measures mine.\n")
    assert "study.a_setting_with_a_very_long_name_of_its_own A setting of the study." in page
    assert max(map(len, page.splitlines())) <= 100
