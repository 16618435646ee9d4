"""Every key says when it is read, and what is typed and not read costs one line."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from experiments.hubs.settings import HubsConfig
from experiments.intervene.settings import InterveneConfig
from experiments.multifractal.settings import MultifractalConfig
from experiments.networks.settings import NetworksConfig
from experiments.neuron_graphs.settings import NeuronGraphsConfig
from experiments.subjects.settings import SubjectsConfig
from experiments.task_mapping.settings import TaskMappingConfig
from probe.cli import compose_job, compose_jobs, overlay, read_arguments
from probe.config import SOURCES, Config, DataConfig, StudyConfig, SubjectConfig
from probe.config.needs import NEEDS, Need
from probe.config.subjects import subject_options
from probe.data import SOURCES as READERS
from probe.data import load_documents
from probe.entry.study import study
from probe.errors import UserError
from tests.config.compositions import TEXT, TINY

LINES = '{"text": "one", "a": "two"}\n'
MMLU = "question,choice0,choice1,choice2,choice3,answer\nWhat?,a,b,c,d,1\n"
PRO = '{"question": "What?", "options": ["a", "b"], "answer_index": 1, "category": "law"}\n'
TRUTH = '{"question": "Is it?", "correct_answers": ["Yes"], "incorrect_answers": ["No"]}\n'


class Watched(DataConfig):
    """A data set's keys, which notes those that are read."""

    def __getattribute__(self, name: str) -> Any:
        if name in {one.name for one in fields(DataConfig)}:
            READ.add(f"data.{name}")
        return super().__getattribute__(name)


READ: set[str] = set()


def content(source: str, folder: Path) -> Path:
    """Write a text of a data set, and return what data.path= is for it."""
    if source == "mmlu":
        (folder / "law_test.csv").write_text(MMLU)
        return folder
    file = folder / "mine.jsonl"
    file.write_text({"mmlu_pro": PRO, "truthfulqa": TRUTH}.get(source, LINES))
    return file


@pytest.mark.parametrize("source", READERS)
def test_a_reader_reads_the_keys_that_it_names_and_no_other(source: str, tmp_path: Path) -> None:
    """Those of the Hub's repositories are read in one place for all, `probe.data.hub`."""
    of_files = SOURCES[source] & {f"data.{name}" for name in ("path", "split", "column")}
    path = str(content(source, tmp_path)) if "data.path" in SOURCES[source] else None
    split = {"sample": "passages", "tasks": "all"}.get(source, "test")
    template = "{text}" if source == "table" else None
    data = Watched(source=source, path=path, split=split, template=template, column="text")
    subject = SubjectConfig("law", mmlu=["law"], mmlu_pro=["law"], sample=["law"])
    READ.clear()
    assert load_documents(Config(data=data, subject=subject))
    READ.difference_update({"data.source", "data.name"})
    in_vain = {"data.streaming", "data.id"}  # of a file, both say that it is none of the Hub's
    assert READ - in_vain <= SOURCES[source]
    assert "data.path" not in of_files or "data.path" in READ
    assert "data.template" not in SOURCES[source] or "data.template" in READ


def test_every_reader_names_its_keys() -> None:
    assert SOURCES.keys() == READERS.keys()
    names = {f"data.{one.name}" for one in fields(DataConfig)} | {
        f"subject.{one.name}" for one in fields(SubjectConfig)
    }
    assert frozenset().union(*SOURCES.values()) <= names
    assert len(subject_options()) > 3


# What is typed, and what is said of it.
IN_VAIN = [
    ("data.path={text}", "data.path={text} has no effect with data=sample; give data={text}"),
    ("data=sample data.path={text}", "data.path={text} has no effect with data=sample"),
    ("data.id=foo/bar", "data.id=foo/bar has no effect with data=sample; give data=hub, mbpp, "),
    ("data.config=foo", "data.config=foo has no effect with data=sample; give data=hub, mbpp, "),
    ("data.revision=abc", "data.revision=abc has no effect with data=sample; give data=hub, "),
    ("data.column=nope", "data.column=nope has no effect with data=sample; give data=hub, mbpp, "),
    ("data.template={{x}}", "data.template={{x}} has no effect with data=sample; give data=table"),
    ("data=mmlu data.config=all", "data.config=all has no effect with data=mmlu; give data=hub, "),
    ("data=mmlu data.column=a", "data.column=a has no effect with data=mmlu; give data=hub, "),
    ("data=text data.path={text} data.id=a/b", "data.id=a/b has no effect with data=text; give "),
    ("data=mbpp data.path={text} data.id=a/b", "data.id=a/b has no effect with data.path={text}; "),
    (
        "data=mbpp data.path={text} data.split=train",
        "data.split=train has no effect on {text}, which is read whole; give a folder with splits",
    ),
    (
        "data=text data.path=mine.txt data.column=a",
        "data.column=a has no effect on mine.txt, which has no columns; give another file",
    ),
    ("data=tasks subject=law", "this data set has no subjects; leave subject= out"),
    ("data=text data.path={text} subject=law", "this data set has no subjects; leave subject= "),
    ("data=mmlu subject.sample=[law]", "subject.sample=[law] has no effect with data=mmlu"),
    ("data.window=64", "data.window=64 has no effect with data.cut=whole; give data.cut=tokens"),
    ("data.cut=tokens data.max_words=9", "data.max_words=9 has no effect with data.cut=tokens; "),
    ("data.seed=3", "data.seed=3 has no effect with data.shuffle=false; give data.shuffle=true"),
    ("layers=each layers.index=[1,2]", "layers.index=[1,2] has no effect with layers=each; give"),
    ("layers=middle layers.index=0", "layers.index=0 has no effect with layers=middle; give lay"),
    ("layers.index=3", "layers.index=3 has no effect with layers=all; give layers=3 or layers=["),
    ("average=single average.weight=token", "average.weight=token has no effect with average.ex"),
    ("init.seed=3", "init.seed=3 has no effect with init=pretrained; give init=random"),
    ("data.sinks=keep data.drop_norm=20", "data.drop_norm=20.0 has no effect with data.sinks=keep"),
    ("null.seed=3", "null.seed=3 has no effect with null.shifts=0; give null.shifts=1"),
    ("model=local model.path={tiny} model.id=a/b", "model.id=a/b has no effect with model.path=/"),
    ("model.path={tiny} model.revision=abc", "model.revision=abc has no effect with model.path="),
    ("model=tiny model.path={tiny}", "model=tiny has no effect with model.path; give model={tiny}"),
    ("model.mlp=mlp", "model.mlp=mlp has no effect with site=residual; give site=mlp_output"),
    ("model.revision=x", "model.revision=x has no effect on bundled/tiny, which comes with the pr"),
    ("figures=none figures.format=pdf", "figures.format=pdf has no effect with figures=none"),
    ("figures=none figures.dpi=300", "figures.dpi=300 has no effect with figures=none; give fig"),
    ("figures=none figures.max_r=0.3", "figures.max_r=0.3 has no effect with figures=none; giv"),
    ("tracking=none tracking.project=p", "tracking.project=p has no effect with tracking=none; "),
    ("tracking=none tracking.tags=[a,b]", "tracking.tags=[a,b] has no effect with tracking=none"),
    ("-m layers=each,middle layers.index=3", "layers.index=3 has no effect with layers=each; "),
    ("-m data=sample,mmlu data.column=a", "data.column=a has no effect with data=sample; "),
]
READ_INDEED = [
    "data=text data.path={text} data.column=a",
    "data=hub data.id=org/name data.revision=abc data.config=x data.split=train data.column=a",
    "data=mmlu data.path={tiny} data.split=dev",
    "tracking.project=p tracking.mode=offline",
    "tracking=none tracking.project=probe",
    "data.window=null data.column=text data.path=null",
    "data=wikitext data.cut=paragraphs data.window=null data.max_words=9",
    "layers=cross layers.index=[1,2]",
    "layers=3 init=random init.seed=3",
    "-m init=pretrained,random init.seed=3",
    "-m layers=each,cross layers.index=[1,2]",
    "model=gpt2 model.path={tiny}",
    "site=mlp layers=each model.mlp_output=mlp.down_proj",
    "data.shuffle=true data.seed=3 null.shifts=1 null.seed=2",
    "experiment=partitioned_100 layers.index=6",
    "figures=summary figures.format=pdf",
    "model=gpt2 model.revision=main",
    "-m figures=none,all figures.format=pdf",
    "-m figures=none,all figures.dpi=300 figures.max_r=0.3",
]


def compose(words: Sequence[str]) -> None:
    compose_jobs(read_arguments(words, Config), Config)


def filled(words: str) -> list[str]:
    return [word.format(text=TEXT, tiny=TINY) for word in words.split()]


@pytest.mark.parametrize(("words", "said"), IN_VAIN, ids=[words for words, _ in IN_VAIN])
def test_what_is_typed_and_not_read_costs_one_line(
    words: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.txt").write_text("one")
    with pytest.raises(UserError) as refused:
        compose(filled(words))
    assert str(refused.value).startswith(said.format(text=TEXT, tiny=TINY))
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("words", READ_INDEED)
def test_what_is_read_is_let_through(words: str) -> None:
    compose(filled(words))


def test_every_need_names_keys_that_there_are() -> None:
    config = compose_job([])
    for name, need in NEEDS.items():
        for dotted in (name, need.of):
            part: Any = config
            for one in dotted.split("."):
                part = getattr(part, one)
        assert isinstance(need.met(config), bool)


def refused(call: Callable[[], object], said: str) -> None:
    with pytest.raises(UserError) as caught:
        call()
    assert str(caught.value).startswith(said)


def test_words_laid_over_a_configuration_are_read_or_refused() -> None:
    base = compose_job(["layers=each", "data.limit=3"])
    refused(lambda: overlay(base, ["layers.index=3"]), "layers.index=3 has no effect with layers=")
    refused(lambda: overlay(base, [f"data.path={TEXT}"]), f"data.path={TEXT} has no effect with")
    assert overlay(base, ["layers=3"]).layers.index == 3
    assert overlay(compose_job(["layers=3"]), ["layers.index=5"]).layers.index == 5


def own_option(folder: Path, name: str, text: str) -> list[str]:
    file = folder / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return ["--config-dir", str(folder), f"{file.parent.name}={file.stem}"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("data/mine", f"source: sample\nsplit: passages\npath: {TEXT}\n", "data.path="),
        ("data/mine", f"source: text\npath: {TEXT}\nid: a/b\n", "data.id=a/b has no effect with"),
        ("data/mine", f"source: text\npath: {TEXT}\nwindow: 9\n", "data.window=9 has no effect"),
        ("data/mine", f"source: text\npath: {TEXT}\nmax_words: 9\n", "data.max_words=9 has no"),
        ("model/mine", f"path: {TINY}\nid: a/b\n", "model.id=a/b has no effect with model.path="),
        ("layers/mine", "selection: each\nindex: 3\n", "layers.index=3 has no effect with layers="),
        (
            "experiment/mine", "# @package _global_\ndata:\n  path: a.parquet\n",
            "data.path=a.parquet has no effect with data=sample",
        ),
        (
            "experiment/mine", "# @package _global_\ninit:\n  seed: 4\n",
            "init.seed=4 has no effect with init=pretrained",
        ),
    ],
)  # fmt: skip
def test_what_a_file_of_ones_own_sets_in_vain_costs_one_line(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    refused(lambda: compose(own_option(tmp_path, name, text)), said)


def test_the_command_line_may_overrule_a_file_of_ones_own(tmp_path: Path) -> None:
    text = f"source: text\npath: {TEXT}\ncut: tokens\nwindow: 9\n"
    words = own_option(tmp_path, "data/mine", text)
    compose([*words, "data.limit=3"])
    compose([*words, "data.cut=paragraphs", "data.window=null"])
    compose([*own_option(tmp_path, "model/mine", "id: a/b\nname: mine\n"), f"model.path={TINY}"])


def test_the_words_of_a_run_that_is_repeated_are_read_or_overruled(tmp_path: Path) -> None:
    (tmp_path / "overrides.yaml").write_text("- layers=single\n- layers.index=[3,7]\n")
    compose(["--rerun", str(tmp_path)])
    compose(["--rerun", str(tmp_path), "layers=each"])
    (tmp_path / "overrides.yaml").write_text("- data.id=a/b\n")
    refused(lambda: compose(["--rerun", str(tmp_path)]), "data.id=a/b has no effect with data=samp")


def test_a_study_refuses_what_it_does_not_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for word, said in (
        (f"data.path={TEXT}", "has no effect with data=sample"),
        ("data.sinks=drop", "has no effect where nothing is averaged over tokens; give it to pyth"),
    ):
        monkeypatch.setattr("sys.argv", ["study", word])
        with pytest.raises(SystemExit):
            study("mine", StudyConfig, "experiments.hubs.task:run")
        assert f"probe: {word} {said}" in capsys.readouterr().err


OF_STUDIES = [
    (TaskMappingConfig, "study.draws=9", "study.draws=9 has no effect with study.effects=[]; give"),
    (TaskMappingConfig, "study.generate=false study.tokens=4", "study.tokens=4 has no effect with"),
    (TaskMappingConfig, "study.effects=[lesion] study.draws=9", ""),
    (NetworksConfig, "study.effects=[lesion] study.scale=[2]", "study.scale=[2.0] has no effect"),
    (NetworksConfig, "study.effects=[keep] study.treatment=mean study.draws=2", ""),
    (SubjectsConfig, "study.sweep=none study.unit=raw", "study.unit=raw has no effect with study."),
    (SubjectsConfig, "study.sweep=set study.unit=raw", ""),
    (MultifractalConfig, "model.dtype=bfloat16", "model.dtype=bfloat16 has no effect with init=pr"),
    (MultifractalConfig, "model.dtype=bfloat16 study.origin=random", ""),
    (MultifractalConfig, "model.dtype=float32", ""),
    (MultifractalConfig, "study.relative=3 study.threshold=9", "study.threshold=9.0 has no effect"),
    (NeuronGraphsConfig, "study.masked_model=a/b", "study.masked_model=a/b has no effect with stu"),
    (InterveneConfig, "study.select=[degree] study.seeds=9", "study.seeds=9 has no effect with st"),
    (InterveneConfig, "study.seeds=9", ""),
]


@pytest.mark.parametrize(
    ("schema", "words", "said"), OF_STUDIES, ids=[words for _, words, _ in OF_STUDIES]
)
def test_a_key_of_a_study_says_what_it_needs(
    schema: type[StudyConfig], words: str, said: str
) -> None:
    def composed() -> None:
        compose_jobs(read_arguments(words.split(), schema), schema)

    if said:
        refused(composed, said)
    else:
        composed()


def test_what_a_key_needs_names_keys_that_there_are() -> None:
    for schema in {one for one, _, _ in OF_STUDIES} | {HubsConfig}:
        config: Any = schema()
        texts = [one.metadata.get("needs") for one in fields(type(config.study))]
        for text in [*filter(None, texts), *schema.needs.values()]:
            assert isinstance(Need.declared(text).met(config), bool)
