"""Command lines become the overrides that Hydra is given, and one job for every value."""

from pathlib import Path

import pytest

from probe.cli import compose_config, compose_job, read_arguments
from probe.cli.arguments import Arguments
from probe.config import Config, Selection, run_folder
from probe.config.subjects import subject_options


def read(words: str) -> Arguments:
    """Read a command line, split at blanks."""
    return read_arguments(words.split(), Config)


@pytest.mark.parametrize(
    ("words", "overrides"),
    [
        ("layers=12", ["layers=single", "layers.index=12"]),
        ("layers=0", ["layers=single", "layers.index=0"]),
        ("layers=[3,7]", ["layers=single", "layers.index=[3,7]"]),
        ("layers=each", ["layers=each"]),
        ("layers=single layers.index=4", ["layers=single", "layers.index=4"]),
        (
            "model=gpt2 layers=12 site=mlp",
            ["model=gpt2", "layers=single", "layers.index=12", "site=mlp"],
        ),
        ("data.limit=12", ["data.limit=12"]),
        ("data.limit=null", ["data.limit=null"]),
        ("experiment=average_100", ["experiment=average_100"]),
        ("hydra.run.dir=x", ["hydra.run.dir=x"]),
    ],
)
def test_layer_numbers_are_written_out_for_hydra(words: str, overrides: list[str]) -> None:
    arguments = read(words)
    assert arguments.overrides == overrides
    assert arguments.jobs == [overrides]


@pytest.mark.parametrize(
    ("words", "indices"),
    [
        ("-m layers=0,6,12", ["0", "6", "12"]),
        ("layers=0,6 -m", ["0", "6"]),
        ("model=tiny -m layers=0,6", ["0", "6"]),
        ("--multirun layers=0,6 data.limit=2", ["0", "6"]),
        ("-m layers=range(0,4)", ["0", "1", "2", "3"]),
        ("-m layers=range(3)", ["0", "1", "2"]),
        ("-m layers=range(1,6,2)", ["1", "3", "5"]),
        ("-m layers=choice(2,5)", ["2", "5"]),
        ("-m layers=[0,1],[2,3]", ["[0,1]", "[2,3]"]),
        ("-m layers=3,[0,1]", ["3", "[0,1]"]),
        ("-m layers=5", ["5"]),
    ],
)
def test_a_sweep_over_layers_has_a_job_for_each(words: str, indices: list[str]) -> None:
    jobs = read(words).jobs
    found = [next(word for word in job if word.startswith("layers.index=")) for job in jobs]
    assert found == [f"layers.index={index}" for index in indices]
    assert all("layers=single" in job for job in jobs)


def test_a_sweep_over_kinds_of_layers_stays_one_of_options() -> None:
    assert read("-m layers=each,middle").jobs == [["layers=each"], ["layers=middle"]]


def test_a_pattern_finds_the_kinds_of_layers() -> None:
    assert read("-m layers=glob(*) layers.index=3").jobs == [
        [f"layers={kind}", "layers.index=3"]
        for kind in ("all", "cross", "each", "full", "middle", "single")
    ]


def test_a_pattern_finds_subjects() -> None:
    expected = [name for name in subject_options() if name.endswith("_psychology")]
    assert len(expected) == 2
    assert read("-m subject=glob(*_psychology) data=mmlu").jobs == [
        [f"subject={name}", "data=mmlu"] for name in expected
    ]


def test_every_value_of_every_sweep_is_in_some_job() -> None:
    jobs = read("-m model=tiny,gpt2 layers=0,6,12 init=pretrained,random").jobs
    assert jobs[0] == ["model=tiny", "layers=single", "layers.index=0", "init=pretrained"]
    assert len(jobs) == 1 + 1 + 2 + 1
    used = {word for job in jobs for word in job}
    assert used >= {"model=gpt2", "layers.index=6", "layers.index=12", "init=random"}


def test_hydra_is_given_the_sweep_itself() -> None:
    arguments = read("-m layers=0,6 init=pretrained,random")
    assert arguments.overrides == ["layers=single", "layers.index=0,6", "init=pretrained,random"]
    assert arguments.flags.multirun


def test_an_empty_command_line_is_one_job_without_overrides() -> None:
    arguments = read_arguments([], Config)
    assert arguments.overrides == []
    assert arguments.jobs == [[]]
    assert not arguments.flags.multirun


def test_flags_may_stand_anywhere() -> None:
    for words in (
        "--cfg job model=gpt2 layers=3",
        "model=gpt2 --cfg job layers=3",
        "model=gpt2 layers=3 -c job",
    ):
        arguments = read(words)
        assert arguments.flags.cfg == "job"
        assert arguments.overrides == ["model=gpt2", "layers=single", "layers.index=3"]


def test_layer_numbers_reach_the_configuration_as_numbers() -> None:
    one = compose_job(["layers=12"])
    assert (one.layers.selection, one.layers.index) == (Selection.single, 12)
    assert compose_job(["layers=[3,7]"]).layers.index == [3, 7]


def test_the_last_of_two_words_wins() -> None:
    config = compose_job(["model=gpt2", "data.limit=3", "model=tiny", "data.limit=4"])
    assert config.model.name == "tiny"
    assert config.data.limit == 4


def test_a_kind_of_layers_after_numbers_takes_their_place() -> None:
    again = compose_job(["layers=12", "layers=each"])
    assert run_folder(again) == run_folder(compose_job(["layers=each"]))


MADE_BY = ["model=gpt2", "data.limit=3", "layers=single", "layers.index=[3,7]"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Make the folder of a run that had three overrides."""
    folder = tmp_path / "a run"
    folder.mkdir()
    (folder / "overrides.yaml").write_text("".join(f"- {word}\n" for word in MADE_BY))
    return folder


def test_rerun_takes_the_overrides_that_made_a_run(run: Path) -> None:
    arguments = read_arguments(["--rerun", str(run)], Config)
    assert arguments.overrides == [
        "model=gpt2",
        "data.limit=3",
        "layers=single",
        "layers.index=[3,7]",
    ]
    config = compose_config(arguments.jobs[0])
    assert config.model.name == "gpt2"
    assert config.layers.index == [3, 7]


def test_rerun_puts_the_runs_overrides_first_so_that_new_ones_win(run: Path) -> None:
    arguments = read_arguments(["model=tiny", "--rerun", str(run), "data.limit=5"], Config)
    assert arguments.overrides == [*MADE_BY, "model=tiny", "data.limit=5"]
    config = compose_config(arguments.jobs[0])
    assert config.model.name == "tiny"
    assert config.data.limit == 5


def test_rerun_can_be_swept(run: Path) -> None:
    arguments = read_arguments(["-m", "--rerun", str(run), "init=pretrained,random"], Config)
    assert [job[-1] for job in arguments.jobs] == ["init=pretrained", "init=random"]
    assert all(job[0] == "model=gpt2" for job in arguments.jobs)


def test_rerun_of_a_run_without_overrides_is_the_default_run(tmp_path: Path) -> None:
    (tmp_path / "overrides.yaml").write_text("[]\n")
    assert read_arguments(["--rerun", str(tmp_path)], Config).jobs == [[]]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Make a folder of options laid out like conf/."""
    for file, text in {
        "model/mine.yaml": "name: mine\nid: org/mine\ndtype: bfloat16\n",
        "data/mine.yaml": "defaults: [/subject@_global_.subject: law, _self_]\nsource: mmlu\n",
        "experiment/mine.yaml": "# @package _global_\ndata:\n  limit: 9\n",
    }.items():
        (tmp_path / "own" / file).parent.mkdir(parents=True)
        (tmp_path / "own" / file).write_text(text)
    return tmp_path / "own"


def test_options_of_ones_own_compose_with_those_of_conf(own: Path) -> None:
    words = ["--config-dir", str(own), "model=mine", "data=mine", "experiment=mine", "layers=each"]
    arguments = read_arguments(words, Config)
    config = compose_config(arguments.jobs[0], Config, arguments.flags.config_dir)
    assert config.model.id == "org/mine"
    assert config.model.dtype == "bfloat16"
    assert config.subject is not None
    assert config.subject.name == "law"
    assert config.data.limit == 9
    assert config.layers.selection is Selection.each


def test_a_relative_folder_of_options_is_found_from_the_current_one(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own.parent)
    arguments = read_arguments(["--config-dir=own", "model=mine"], Config)
    assert (
        compose_config(arguments.jobs[0], Config, arguments.flags.config_dir).model.name == "mine"
    )


def test_a_pattern_finds_options_of_ones_own(own: Path) -> None:
    arguments = read_arguments(["-m", "--config-dir", str(own), "model=glob(m*)"], Config)
    assert arguments.jobs == [["model=mine"]]


def test_options_of_ones_own_are_forgotten_by_the_next_command_line(own: Path) -> None:
    read_arguments(["--config-dir", str(own), "model=mine"], Config)
    with pytest.raises(ValueError, match="model=mine is unknown"):
        read_arguments(["model=mine"], Config)
