"""Every mistake on the command line costs one line, which names the nearest right word."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from probe.cli import compose_config, compose_job, read_arguments
from probe.config import Config
from probe.errors import UserError
from tests.config.compositions import ASSETS

# Mistakes in the words themselves, found without composing anything.
WORDS = [
    # groups
    ("modle=gpt2", r"^unknown group or key 'modle'; did you mean 'model'\?$"),
    ("models=gpt2", r"'models'; did you mean 'model'\?$"),
    ("Model=gpt2", r"'Model'; did you mean 'model'\?$"),
    ("layer=12", r"'layer'; did you mean 'layers'\?$"),
    ("avrage=mean", r"'avrage'; did you mean 'average'\?$"),
    ("subjects=law", r"'subjects'; did you mean 'subject'\?$"),
    ("trackng=none", r"'trackng'; did you mean 'tracking'\?$"),
    ("experment=average_100", r"'experment'; did you mean 'experiment'\?$"),
    ("model/gpt2=1", r"'model/gpt2'; did you mean 'model'\?$"),
    ("zzz=1", r"^unknown group or key 'zzz'; choose from average, data, .*tracking$"),
    ("=1", r"^unknown group or key ''; choose from average, data, "),
    # options
    ("model=gtp2", r"^model=gtp2 is unknown; did you mean 'gpt2'\?$"),
    ("model=GPT2", r"^model=GPT2 is unknown; "),
    ("model=qwen", r"^model=qwen is unknown; choose from qwen0\.5b, .*, qwen3-8b-base$"),
    ("model=Qwen3", r"^model=Qwen3 is unknown; choose from qwen3-0\.6b, .*, qwen3-8b-base$"),
    ("model=", r"^model= is unknown; choose from galactica125m, .*, gpt2, .*tiny, or a folder or "),
    (
        "model=mistral",
        r"^model=mistral is unknown; choose from galactica125m, .*tiny, or a folder or a "
        r"repository: model=\./DIR, model=ORG/NAME$",
    ),
    ("model=llama", r"^model=llama is unknown; choose from llama3\.2-1b, llama3\.2-3b$"),
    ("model=a/b/c", r"^model=a/b/c is neither a folder with a config\.json nor ORG/NAME; give "),
    ("data=mine.jsonl", r"^data=mine\.jsonl does not exist; give a file, a folder or a pattern"),
    ("data=a/b/c", r"^data=a/b/c does not exist; give a file, a folder or a pattern of files$"),
    (
        "data=org/name",
        r"^data=org/name does not exist; for a data set on the Hub write data=hub data\.id=org/n",
    ),
    ("model={a:1}", r"^model=\{a:1\} is unknown; choose from galactica125m, .*, gpt2"),
    ("data=mmul", r"^data=mmul is unknown; did you mean 'mmlu'\?$"),
    ("data=openwebtxt", r"did you mean 'openwebtext'\?$"),
    ("average=partition", r"did you mean 'partitioned'\?$"),
    ("average=[mean]", r"did you mean 'mean'\?$"),
    ("init=untrained", r"^init=untrained is unknown; did you mean 'pretrained'\?$"),
    ("tracking=wand", r"did you mean 'wandb'\?$"),
    ("runtime=gpu", r"^runtime=gpu is unknown; did you mean 'cpu'\?$"),
    ("launch=many", r"^launch=many is unknown; choose from auto, single$"),
    ("experiment=average100", r"did you mean 'average_100'\?$"),
    ("data=mmlu subject=psycology", r"^subject=psycology is unknown; did you mean 'psychology'\?$"),
    ("data=mmlu subject=moral_dispute", r"did you mean 'moral_disputes'\?$"),
    ("subject=quantum_gravity", r"^subject=quantum_gravity is unknown; "),
    # groups set to nothing
    ("model=null", r"^model=null is unknown; choose from galactica125m, .*, gpt2"),
    ("experiment=null", r"^experiment=null is unknown; "),
    # keys
    ("model.pth=x", r"^unknown key 'model\.pth'; did you mean 'model\.path'\?$"),
    ("model.idd=x", r"did you mean 'model\.id'\?$"),
    ("data.limt=3", r"^unknown key 'data\.limt'; did you mean 'data\.limit'\?$"),
    ("data.maxtokens=3", r"did you mean 'data\.max_tokens'\?$"),
    ("average.part=3", r"did you mean 'average\.parts'\?$"),
    ("runtime.tokenbudget=9", r"did you mean 'runtime\.token_budget'\?$"),
    ("launch.processes=2", r"did you mean 'launch\.num_processes'\?$"),
    ("tracking.tag=x", r"did you mean 'tracking\.tags'\?$"),
    ("limit=3", r"^unknown group or key 'limit'; did you mean 'data\.limit'\?$"),
    ("limt=3", r"^unknown group or key 'limt'; did you mean 'data\.limit'\?$"),
    ("path=x", r"^unknown group or key 'path'; did you mean 'data\.path' or 'model\.path'\?$"),
    ("dat.limit=3", r"^unknown key 'dat\.limit'; did you mean 'data\.limit'\?$"),
    ("outputs=x", r"did you mean 'output'\?$"),
    ("overwrit=true", r"did you mean 'overwrite'\?$"),
    ("Site=mlp", r"did you mean 'site'\?$"),
    (
        "data.zzz=3",
        r"^unknown key 'data\.zzz'; choose from data\.answer, .*, data\.cut, .*data\.window$",
    ),
    ("measures.densty=0.1", r"did you mean 'measures\.density'\?$"),
    ("null.shift=2", r"did you mean 'null\.shifts'\?$"),
    ("model.id.deeper=3", r"did you mean 'model\.id'\?$"),
    ("subject.nme=law", r"did you mean 'subject\.name'\?$"),
    # signs that Hydra has for other programs
    ("+data.limit=3", r"^\+data\.limit=3 adds nothing new; leave out the \+$"),
    ("+data=mmlu", r"^\+data=mmlu adds nothing new; leave out the \+$"),
    ("+layers=12", r"^\+layers=12 adds nothing new; leave out the \+$"),
    ("+new.key=3", r"^unknown key 'new\.key'"),
    ("+data.limt=3", r"^unknown key 'data\.limt'; did you mean 'data\.limit'\?$"),
    ("++new.key=3", r"^unknown key 'new\.key'"),
    ("++data.limt=3", r"^unknown key 'data\.limt'; did you mean 'data\.limit'\?$"),
    ("~model", r"^~model would remove a key; set it to null or false instead$"),
    ("~data.limit", r"^~data\.limit would remove a key; set it to null or false instead$"),
    ("~tracking=wandb", r"^~tracking=wandb would remove a key"),
    # words that cannot be read
    ("data", r"^cannot read the argument 'data'; write key=value$"),
    ("mmlu", r"^cannot read the argument 'mmlu'; write key=value$"),
    ("model.id", r"^cannot read the argument 'model\.id'; write key=value$"),
    ("a=b=[", r"^cannot read the argument 'a=b=\['"),
    ("layers=[0", r"^cannot read the argument 'layers=\[0'"),
    ("layers=0,", r"^cannot read the argument 'layers=0,'"),
    ("layers=foo(1)", r"^cannot read the argument 'layers=foo\(1\)'"),
    ("data.=1", r"^cannot read the argument 'data\.=1'"),
    (
        "data.limit=a=b",
        r"^cannot read the argument 'data\.limit=a=b'; data\.limit must be an integer or null$",
    ),
    ("site=a=b", r"^cannot read the argument 'site=a=b'; site must be one of residual, "),
    ("data.shuffle=a=b", r"; data\.shuffle must be true or false$"),
    ("init=a=b", r"^cannot read the argument 'init=a=b'; choose from pretrained, random$"),
    # flags
    ("--foo", r"--foo.*; --help lists the flags$"),
    ("-x", r"-x.*; --help lists the flags$"),
    ("model=gpt2 --multi-run", r"--multi-run.*; --help lists the flags$"),
    ("--cfg", r"--cfg.*expected one argument; --help lists the flags$"),
    ("--cfg jobs", r"--cfg.*invalid choice: 'jobs'"),
    ("--config-dir", r"--config-dir.*expected one argument; --help lists the flags$"),
    ("--config-dir no/such/folder", r"^--config-dir no/such/folder is not a folder$"),
    ("--config-dir=no/such/folder", r"^--config-dir no/such/folder is not a folder$"),
    ("--rerun", r"^--rerun needs the folder of a run, and \S+ has no overrides\.yaml$"),
    (
        "--rerun no/such/run",
        r"^--rerun needs the folder of a run, and no/such/run has no overrides",
    ),
    (
        "--rerun=no/such/run",
        r"^--rerun needs the folder of a run, and no/such/run has no overrides",
    ),
    # sweeps
    (
        "layers=0,6",
        r"gives several values; add -m to sweep over them, or write one list, 'layers=\[0,6\]'$",
    ),
    ("layers=range(0,4)", r"gives several values; add -m to sweep over them$"),
    ("layers=each,middle", r"^layers=each,middle gives several values; add -m to sweep over them$"),
    ("data.limit=1,2", r"^data\.limit=1,2 gives several values; add -m to sweep over them"),
    ("tracking.tags=a,b", r"or write one list, 'tracking\.tags=\[a,b\]'$"),
    ("init.seed=0,1", r"^init\.seed=0,1 gives several values; add -m to sweep over them$"),
    ("data.path=a,b", r"or quote the value twice: 'data\.path=\"a,b\"'$"),
    ("model=gpt2,tiny", r"^model=gpt2,tiny gives several values; add -m to sweep over them$"),
    ("subject=glob(*)", r"^subject=glob\(\*\) gives several values; add -m to sweep over them$"),
    (
        "-m model=gpt2,tyni",
        r"^model=tyni is unknown; choose from|^model=tyni .*did you mean 'tiny'",
    ),
    ("-m layers=each,midle", r"^layers=midle is unknown; did you mean 'middle'\?$"),
    ("-m model=glob(x*)", r"^model=glob\(x\*\) matches no option$"),
    ("-m data.limit=interval(1,10)", r"data\.limit=interval\(1,10\)"),
    ("-m layers=interval(0,1)", r"layers=interval\(0,1\)"),
    # layers
    ("layers=midle", r"^layers=midle is unknown; did you mean 'middle'\?$"),
    (
        "layers=last",
        r"^layers=last is unknown; (choose from all, cross, each, full, middle, sin|did you mean)",
    ),
    (
        "layers=",
        r"^layers= is unknown; choose from all, cross, each, full, middle, single, or numbers: ",
    ),
    ("-m layers=0,3,middle", r"^layers=0,3,middle mixes numbers and middle; sweep over one kind"),
    ("-m layers=each,[0,1]", r"mixes numbers and each; sweep over one kind at a time$"),
    ("layers=010", r"^layers=010 must be a number from 0 up or a list of them$"),
    # a part of the tree
    ("launch.=2", r"^cannot read the argument 'launch\.=2'"),
]
# Mistakes that show when the configuration is composed and checked.
VALUES = [
    # values of a few
    (
        "site=mpl",
        r"^site=mpl is not one of residual, residual_raw, .*; did you mean 'mlp'\?$",
    ),
    ("model.dtype=bf16", r"^model\.dtype=bf16 is not one of .*; did you mean 'bfloat16'\?$"),
    ("model.dtype=null", r"^model\.dtype\S* is not one of float32, bfloat16, float16$"),
    ("tracking.mode=onlin", r"did you mean 'online'\?$"),
    ("data.shuffle=perhaps", r"^data\.shuffle=perhaps is not one of true, false$"),
    # types
    ("data.limit=abc", r"^data\.limit=abc must be an integer or null \(Examples to keep"),
    ("data.min_tokens=null", r"^data\.min_tokens\S* must be an integer \(Drop examples with fewer"),
    (
        "data.perplexity=[1,a]",
        r"^data\.perplexity\[1\]=a has the wrong type for data\.perplexity \(Keep",
    ),
    ("output=null", r"^output\S* must be a string \(Folder under which"),
    (
        "tracking.tags=x",
        r"^tracking\.tags\S* must be a list of strings \(Additional tags for the run\)$",
    ),
    (
        "data.perplexity=99",
        r"^data\.perplexity\S* must be a list of numbers or null \(Keep examples between two",
    ),
    (
        "data.perplexity=[0.01,0.99]",
        r"percentiles go from 0 to 100, so give data\.perplexity=\[1,99\]$",
    ),
    ("measures.density=true", r"^measures\.density=True must be a fraction above 0"),
    (
        "data.perplexity=[99,1]",
        r"^data\.perplexity=\[99\.0, 1\.0\] must be two percentiles from 0 ",
    ),
    ("measures.density_rule=pair", r"is not one of pairs, paper; did you mean 'pairs'\?$"),
    (
        "measures.density=2",
        r"^measures\.density=2 must be a fraction above 0 and up to 1, or a list of them",
    ),
    ("-m measures.density=0.1,2", r"^measures\.density=2 must be a fraction above 0 and up to 1"),
    ("measures.density=[0.1,0.1]", r"names a density twice; name each once$"),
    ("null.shifts=-1", r"^null\.shifts=-1 is too small; give 0 or more$"),
    # layers
    (
        "layers=-1",
        r"^layers\S*=-1 must be a layer number from 0 up or a list of them, e\.g\. layers=12",
    ),
    ("layers=[]", r"must be a layer number from 0 up or a list of them"),
    ("layers=[3,3]", r"names a layer twice; name each once$"),
    ("-m layers=0,-1", r"=-1 must be a layer number"),
    ("layers=single", r"^layers=single needs layer numbers; give e\.g\. layers=12"),
    # what an option needs
    ("model=local", r"^the model has neither path nor id; give model\.path=DIR or model\.id="),
    ("model=local model.path=no/such", r"^model\.path=no/such is not a model folder"),
    ("data=text", r"^data=text needs texts; give data\.path=, a file, a folder or a pattern$"),
    ("data=text data.path=no/such.txt", r"^data\.path=no/such\.txt does not exist$"),
    ("data.path=???", r"^data\.path is missing; give data\.path=…  \(Local file, folder"),
    ("data.limit=0", r"^data\.limit=0 is too small; give 1 or more$"),
    # subjects
    (
        "data=openwebtext subject=law",
        r"^this data set has no subjects; leave subject= out, or use",
    ),
    ("data=openwebtext subject.name=law", r"^this data set has no subjects; "),
    ("-m data=sample,openwebtext subject=law", r"^this data set has no subjects; "),
    # Hydra's own part
    ("++model=gpt2", r"\+\+model=gpt2"),
    ("data.path=${nope}", r"nope.* not found"),
    ("hydra=3", r"hydra"),
    ("hydra.foo=1", r"hydra\.foo"),
    ("hydra/launcher=nope", r"^hydra/launcher=nope is not installed; pip install .*cluster"),
    ("hydra.searchpath=3", r"hydra\.searchpath must be a list"),
]


def compose_all(words: Sequence[str]) -> None:
    """Read and compose a command line, as the program does before it starts Hydra."""
    arguments = read_arguments(words, Config)
    for job in arguments.jobs:
        compose_config(job, Config, arguments.flags.config_dir)


def refusal(words: Sequence[str]) -> str:
    """Return what a command line is refused with."""
    with pytest.raises(UserError) as refused:
        compose_all(words)
    return str(refused.value)


def expect(message: str, pattern: str) -> None:
    """Check that a message is one line of one sentence, and says this."""
    assert re.search(pattern, message), message
    assert message == message.strip()
    assert len(message.splitlines()) == 1
    assert not re.search(r"Traceback|Error\b|object at 0x|choose from $", message), message


@pytest.mark.parametrize(("words", "pattern"), WORDS, ids=[words for words, _ in WORDS])
def test_a_mistyped_word_costs_one_line(words: str, pattern: str) -> None:
    with pytest.raises(UserError) as refused:
        read_arguments(words.split(" "), Config)
    expect(str(refused.value), pattern)


@pytest.mark.parametrize(("words", "pattern"), VALUES, ids=[words for words, _ in VALUES])
def test_a_value_that_cannot_work_costs_one_line(words: str, pattern: str) -> None:
    expect(refusal(words.split(" ")), pattern)


@pytest.mark.parametrize(
    "word", ["data.perplexity=[1,a]", "data.perplexity=99", "hydra.foo=1", "site=mpl"]
)
def test_a_mistake_is_told_in_a_debugger_too(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """There OmegaConf's errors have causes, and some are their own."""
    expected = refusal([word])
    monkeypatch.setenv("OC_CAUSE", "1")
    assert refusal([word]) == expected


@pytest.mark.parametrize("key", ["model", "data", "tracking", "runtime"])
def test_a_part_of_the_tree_takes_options_and_keys_only(key: str) -> None:
    expect(refusal([f"{key}.nonsense_of_mine=1"]), rf"choose from {key}\.|did you mean '{key}\.")


def test_the_subjects_named_are_not_those_of_another_group() -> None:
    assert "gpt2" not in refusal(["data=mmlu", "subject=qqq"])


def test_a_quoted_option_is_the_option() -> None:
    assert compose_job(["model='gpt2'"]).model.name == "gpt2"


def test_a_folder_that_is_no_model_is_refused() -> None:
    expect(refusal(["model=local", f"model.path='{ASSETS}'"]), r"it has no config\.json$")


def test_a_run_whose_overrides_are_broken_is_refused(tmp_path: Path) -> None:
    (tmp_path / "overrides.yaml").write_text("a: [\n")
    expect(refusal(["--rerun", str(tmp_path)]), r"overrides\.yaml")


def test_a_run_whose_overrides_are_no_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "overrides.yaml").write_text("data: 3\n")
    expect(refusal(["--rerun", str(tmp_path)]), r"overrides\.yaml")


def test_mistakes_in_the_overrides_of_an_old_run_are_found_too(tmp_path: Path) -> None:
    (tmp_path / "overrides.yaml").write_text("- model=gtp2\n")
    expect(refusal(["--rerun", str(tmp_path)]), r"did you mean 'gpt2'\?$")


def test_an_option_of_ones_own_is_among_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mistral.yaml").write_text("name: mistral\n")
    words = ["--config-dir", str(tmp_path), "model=mistrall"]
    expect(refusal(words), r"^model=mistrall is unknown; did you mean 'mistral'\?$")


def test_an_unknown_key_in_ones_own_option_is_named_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("idd: org/name\n")
    words = ["--config-dir", str(tmp_path), "model=mine"]
    expect(refusal(words), r"^unknown key 'model\.idd'; did you mean 'model\.id'\?$")


def test_a_wrong_type_in_ones_own_option_is_said_like_one_on_the_command_line(
    tmp_path: Path,
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("id: org/name\ndtype: float23\n")
    words = ["--config-dir", str(tmp_path), "model=mine"]
    expect(refusal(words), r"^model\.dtype=float23 is not one of .*; did you mean 'float32'\?$")


def test_an_option_of_ones_own_that_is_no_yaml_costs_one_line(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("name: [\n")
    expect(refusal(["--config-dir", str(tmp_path), "model=mine"]), r"mine\.yaml")


def test_compose_job_refuses_a_sweep() -> None:
    with pytest.raises(UserError, match="these overrides are a sweep; give those of a single run"):
        compose_job(["-m", "layers=0,6"])


def test_compose_job_refuses_what_the_command_line_refuses() -> None:
    with pytest.raises(UserError, match="did you mean 'gpt2'"):
        compose_job(["model=gtp2"])
