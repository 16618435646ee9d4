"""Texts are what was typed, paths and repositories are options, and advice works when followed."""

import re
import shlex
from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

import pytest

from probe import __version__
from probe.__main__ import main
from probe.cli import compose_job, compose_jobs, overlay, read_arguments
from probe.cli.text_words import quoted
from probe.config import Config, model_name, run_folder
from probe.errors import UserError
from tests.config.compositions import TEXT, TINY, composed

TABLE = ["data=table", f"data.path={TEXT}"]


@pytest.mark.parametrize(
    "text",
    [
        "1234e56", "1_000", "true", "1e5", "nan", "0x10", "-1", "it's", "a=b", "Who's {title}?",
        "{title}", "[a]", "{a:1}", "~user", "a;b", "a#b", "(a)", "a!b", "<x>", "C:\\x", "a b",
        "{title} costs ${y}, it's said", 'say "hi"', "né 日本", "f(x)", "'half", "[half",
    ],
)  # fmt: skip
def test_a_text_is_what_was_typed(text: str) -> None:
    words = [*TABLE, f"data.template={text}", f"model.blocks={text}"]
    if "," in text:  # which separates the values of a sweep
        config = compose_job(words)
    else:
        config = compose_job(["-m", *words])
        assert read_arguments(words, Config) == replace(
            read_arguments(["-m", *words], Config), flags=ANY
        )
    assert (config.data.template, config.model.blocks) == (text, text)
    assert overlay(composed("data.limit=3"), [f"model.blocks={text}"]).model.blocks == text


def test_null_still_means_null_and_quotes_are_no_part_of_a_text() -> None:
    assert compose_job(["model.revision=null", "model=gpt2"]).model.revision is None
    assert compose_job(["model.blocks='null'"]).model.blocks == "null"
    assert compose_job(['model.blocks="1e5"']).model.blocks == "1e5"


def test_texts_in_a_list_are_what_was_typed() -> None:
    words = [*TABLE, "data.template={text}", "data.answer=text"]
    assert compose_job([*words, "data.choices=[true,1e5]"]).data.choices == ["true", "1e5"]
    assert compose_job([*words, "data.choices=[it's,a=b]"]).data.choices == ["it's", "a=b"]
    assert compose_job([*words, "data.choices=['a,b',c]"]).data.choices == ["a,b", "c"]


def test_texts_of_a_sweep_are_what_was_typed() -> None:
    jobs = read_arguments(["-m", "model.revision=1234e56,step1,1_0", "model=pythia70m"], Config)
    revisions = [config.model.revision for config in compose_jobs(jobs, Config)]
    assert revisions == ["1234e56", "step1", "1_0"]


@pytest.mark.parametrize("written", ["~/out", '"~/out"', "'~/out'"])
def test_the_home_folder_is_meant_by_its_sign(
    written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "out").write_text("one")
    assert compose_job([f"output={written}"]).output == str(tmp_path / "out")
    config = compose_job(["data=text", "data.path=~/*"])
    assert config.data.path == str(tmp_path / "*")
    assert compose_job(["data=~/out"]).data.path == str(tmp_path / "out")


# Words that are refused with advice that is a word itself.
ADVISED = [
    "data.path=a,b.txt",
    "model.blocks=a,b",
    "tracking.tags=a,b",
    "layers=0,6",
    "measures.density=0.1,0.2",
    "data.perplexity=1,99",
    "model.blocks=${y}",
    'model.blocks="cost ${y}"',
    "output=${oc.nope:x}",
    "foo=a=b",
]


def answer_to(word: str) -> str:
    try:
        compose_job([word])
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("word", ADVISED)
def test_advice_works_when_it_is_followed(word: str) -> None:
    with pytest.raises(UserError) as refused:
        compose_job([word])
    message = str(refused.value)
    advice = re.search(r"(?:write|one list,|quote the value twice:) ('.*)$", message)
    assert advice is not None, message
    [advised] = shlex.split(advice[1])
    # What it means may still be wrong, but it can be read.
    assert not re.search("cannot read|several values|nterpolation|quote", answer_to(advised))


def test_a_quoted_text_is_read_as_it_is() -> None:
    for text in ("a\\", 'a\\"b', "${a}", "\\${a}", "'"):
        if "\\$" not in text:
            assert compose_job([f"model.blocks={quoted(text)}"]).model.blocks == text


def made(folder: Path) -> Path:
    """Make a folder that looks like a model's."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


def test_a_model_is_named_by_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    mine = made(tmp_path / "models" / "mine")
    for word in (f"model={mine}", "model=./models/mine", "model=models/mine", "model=~/models/mine",
                 f"model.path={mine}"):  # fmt: skip
        config = compose_job([word])
        assert (model_name(config.model), config.model.id) == ("mine", None)
        assert Path(str(config.model.path)).resolve() == mine
        assert run_folder(config) == run_folder(compose_job(["model=local", f"model.path={mine}"]))
    for word in ("model=EleutherAI/pythia-160m", "model.id=EleutherAI/pythia-160m"):
        config = compose_job([word])
        assert (config.model.id, config.model.path) == ("EleutherAI/pythia-160m", None)
        assert model_name(config.model) == "pythia-160m"
    assert model_name(compose_job(["model=gpt2", "model.id=me/tuned"]).model) == "tuned"
    assert model_name(compose_job(["model=gpt2", f"model.path={mine}"]).model) == "gpt2"
    assert model_name(compose_job([f"model.path={mine}", "model.name=my"]).model) == "my"
    laid = overlay(compose_job(["data.limit=3"]), [f"model.path={mine}"])
    assert (model_name(laid.model), laid.model.id, laid.data.limit) == ("mine", None, 3)
    assert model_name(overlay(compose_job([]), ["model.id=me/tuned"]).model) == "tuned"


def test_texts_are_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my texts").mkdir()
    for name in ("my texts/a=b,c.txt", "mine.jsonl"):
        Path(name).write_text('{"text": "one"}\n')
    for path in ("mine.jsonl", "./mine.jsonl", "my texts", "my texts/a=b,c.txt", "my texts/*.txt"):
        config = compose_job([f"data={path}"])
        assert (config.data.source, config.data.path, config.subject) == ("text", path, None)
        same = compose_job(["data=text", f"data.path={quoted(path)}"])
        assert run_folder(config) == run_folder(same)
        assert overlay(compose_job(["data=mmlu"]), [f"data={path}"]).data.path == path
    assert run_folder(compose_job(["data=my texts/*.txt"])).parts[2] == "my texts"


def test_a_sweep_takes_paths_and_tells_them_as_typed() -> None:
    words = ["-m", f"model=tiny,{TINY},org/name", f"data=sample,{TEXT}"]
    arguments = read_arguments(words, Config)
    configs = compose_jobs(arguments, Config)
    assert {(one.model.path, one.model.id) for one in configs} == {
        (None, "bundled/tiny"), (str(TINY), None), (None, "org/name"),
    }  # fmt: skip
    told = {word for job in arguments.jobs for word in arguments.as_typed(job)}
    assert told == {"model=tiny", f"model={TINY}", "model=org/name", "data=sample", f"data={TEXT}"}
    again = [compose_jobs(read_arguments(arguments.as_typed(job), Config), Config)[0]
             for job in arguments.jobs]  # fmt: skip
    assert again == configs


def test_the_version_is_the_programs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["probe", "--version"])
    with pytest.raises(SystemExit) as end:
        main()
    assert (end.value.code, capsys.readouterr().out) == (0, f"probe {__version__}\n")
