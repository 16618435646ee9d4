"""What every study's frame refuses, shows and says, in one place."""

import inspect
import re
import runpy
import sys
from importlib import import_module
from typing import Any

import pytest

STUDIES = [
    "graph_probe", "hallucination", "hubs", "intervene", "matching", "multifractal", "networks",
    "neuron_graphs", "published_topologies", "subjects", "task_mapping", "train_tiny",
]  # fmt: skip
REFUSED = [
    *((study, "average=mean", "average") for study in STUDIES),
    *((study, "null.shifts=0", "null.shifts") for study in STUDIES),
    *((study, "measures.hubs=5", "measures.hubs") for study in STUDIES),
    ("hubs", "null.shifts=1", "study.shifts, study.rotations and study.inits are the null models"),
    ("neuron_graphs", "layers=3", "study.units says which neurons, e.g. study.units=4"),
    ("neuron_graphs", "init=random", "random weights are the control"),
    ("intervene", "init=random", "leave it out; an untrained model has no predictions to lose"),
    *(
        ("published_topologies", word, "leave it out; the published files fix it, and --help shows")
        for word in ("data.limit=3", "subject=law", "layers=each", "init=random", "site=mlp")
    ),
    ("task_mapping", "init=random", "random weights are a control"),
    ("task_mapping", "data.generate=4", "give study.tokens=, or study.generate=false"),
    ("task_mapping", "data.limit=4", "study.scans and study.prompts say how many are read"),
    *(
        ("multifractal", word, "leave it out; weights are measured, and no texts are read")
        for word in ("data.limit=3", "data=mmlu", "subject=law", "model.chat=true")
    ),
    ("multifractal", "layers=3", "leave it out; the network has all layers"),
    ("multifractal", "average.std=true", "study.samples is the number of networks to average over"),
    *(
        ("train_tiny", word, word.partition("=")[0])
        for word in ("model=gpt2", "data.limit=3", "init.seed=1", "runtime=cpu", "launch=single")
    ),
]  # fmt: skip
FORMER = [
    ("graph_probe", "study.random_inits", "study.inits"),
    ("graph_probe", "study.bootstrap", "study.repetitions"),
    ("hallucination", "study.random_inits", "study.inits"),
    ("hallucination", "study.fractions", "study.split"),
    ("matching", "study.fractions", "study.split"),
    ("matching", "study.layers", "study.gcn_layers"),
    ("subjects", "study.test_share", "study.split"),
]


def run(study: str, *words: str) -> None:
    """Run a study's command, which ends before anything is composed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [study, *words])
        patch.setattr("signal.signal", lambda *_: None)
        with pytest.raises(SystemExit):
            runpy.run_module(f"experiments.{study}", run_name="__main__", alter_sys=False)


@pytest.mark.parametrize("study", STUDIES)
def test_what_a_study_names_takes_what_it_is_called_with(study: str) -> None:
    """Functions are named as words, in which no type checker sees a missing parameter."""
    named: dict[str, Any] = {}

    def framed(name: str, schema: type[Any], task: str, **more: Any) -> None:
        named.update(more, schema=schema, task=task)
        assert name == study

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("probe.api.study", framed)
        runpy.run_module(f"experiments.{study}", run_name="__main__", alter_sys=False)
    for function in filter(None, (named["task"], named.get("look"))):
        module, _, name = function.partition(":")
        inspect.signature(getattr(import_module(module), name)).bind("config", "folder")


@pytest.mark.parametrize(("study", "word", "said"), REFUSED)
def test_what_a_study_does_not_read_is_refused(
    study: str, word: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(study, word)
    error = capsys.readouterr().err
    assert error.startswith(f"probe: {word.partition('=')[0]} has no effect here, leave it out")
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(("study", "old", "new"), FORMER)
def test_a_former_name_is_answered_with_the_new_one(
    study: str, old: str, new: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(study, f"{old}=1")
    assert capsys.readouterr().err == f"probe: {old} is called {new} now; write {new}=…\n"


@pytest.mark.parametrize("study", ["graph_probe", "intervene"])
def test_layers_are_a_key_of_the_program(study: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(study, "study.layers=3")
    error = capsys.readouterr().err
    assert error == "probe: unknown key 'study.layers'; write layers=…, as for any run\n"


@pytest.mark.parametrize("study", STUDIES)
def test_help_shows_what_a_study_reads(study: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(study, "--help")
    page = capsys.readouterr().out
    assert page.startswith(f"python -m experiments.{study}  [group=option] [key=value] ...\n")
    assert not re.search(r"^  (average|null|measures)[ .]", page, re.MULTILINE)
    assert re.search(r"^  study\.\w+ ", page, re.MULTILINE)
    by_default = " (here: layers=middle)" in " ".join(page.split())
    assert by_default is (study in ("graph_probe", "hallucination", "intervene", "matching"))
