"""Every promise of SECURITY.md, kept."""

import ast
import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

import probe
from probe.cli import read_arguments
from probe.cli.keys import keys
from probe.config import Config, ModelConfig, SubjectConfig, check, run_folder
from probe.config.schema import InitConfig
from probe.errors import UserError
from probe.models import load_config, load_language_model, load_tokenizer, load_trunk
from probe.runs.load import load_topology
from probe.system.secrets import hide
from tests.run_folders import save_run
from tests.tiny_models import save_tiny
from tests.topologies import random_correlations, topology_of
from tests.warm import Warm

ROOT = Path(probe.__file__).resolve().parent.parent
CPU = torch.device("cpu")

# No pickle.

PICKLING = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
UNPICKLING = {"torch.load", "torch.save", "pandas.read_pickle", "yaml.load", "yaml.unsafe_load"}
RUNNING = {"eval", "exec", "os.system", "os.popen"}


def weaknesses(source: str) -> list[str]:
    """List imports and calls that pickle, or that run a text."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        found += [name for name in names if name.split(".")[0] in PICKLING]
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            allowed = {k.arg: ast.unparse(k.value) for k in node.keywords}
            if name in UNPICKLING | RUNNING or name.endswith("_object_list"):
                found.append(name)
            if name in ("np.load", "np.save") and allowed.get("allow_pickle") != "False":
                found.append(name)
            if allowed.get("shell") == "True" or allowed.get("weights_only") == "False":
                found.append(name)
    return found


@pytest.mark.parametrize("folder", ["probe", "experiments", "benchmarks"])
def test_no_source_pickles_or_runs_a_text(folder: str) -> None:
    files = [*(ROOT / folder).rglob("*.py")]
    found = {str(file): weaknesses(file.read_text(encoding="utf-8")) for file in files}
    assert len(found) > 9
    assert {file: weak for file, weak in found.items() if weak} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from joblib import load", "import torch\ntorch.load('x')", "np.load('x')",
        "np.load('x', allow_pickle=True)", "eval('x')", "subprocess.run('x', shell=True)",
        "torch.distributed.broadcast_object_list([])",
    ],
)  # fmt: skip
def test_the_search_finds_what_it_is_for(source: str) -> None:
    assert len(weaknesses(source)) == 1


def test_a_matrix_of_objects_is_refused_and_not_unpickled(tmp_path: Path) -> None:
    run = save_run(tmp_path, topology_of(random_correlations(4, 0)))
    ran = tmp_path / "ran"
    array = np.array([[Evil(ran)]], dtype=object)
    np.save(next((run / "topology").glob("*.npy")), array, allow_pickle=True)
    with pytest.raises(UserError, match=r"has a corrupt matrix \(.*; repeat the run$"):
        load_topology(run)
    assert not ran.exists()


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.file,)


@pytest.fixture
def pickled(tmp_path: Path) -> Path:
    """Keep a model's weights as a pickle only."""
    model = save_tiny("llama", tmp_path / "model")
    torch.save(load_file(model / "model.safetensors"), model / "pytorch_model.bin")
    (model / "model.safetensors").unlink()
    return model


@pytest.mark.parametrize("whole", [False, True])
def test_pickled_weights_are_refused_unless_asked_for(pickled: Path, whole: bool) -> None:
    def load(model: ModelConfig) -> torch.nn.Module:
        return load_language_model(model, CPU) if whole else load_trunk(model, InitConfig(), CPU)

    model = ModelConfig(path=str(pickled))
    with pytest.raises(UserError) as refused:
        load(model)
    assert str(refused.value) == (
        f"model=model: {pickled} has no weights in safetensors; convert them (load and "
        "save_pretrained in transformers), or give model.pickle=true to read pickled ones, "
        "tensors only"
    )
    assert load(replace(model, pickle=True)) is not None


def test_pickled_code_is_not_run_even_if_pickled_weights_are_asked_for(
    pickled: Path, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    weights = {"model.norm.weight": Evil(ran)}
    torch.save(weights, pickled / "pytorch_model.bin")
    with pytest.raises((UserError, pickle.UnpicklingError)):
        load_trunk(ModelConfig(path=str(pickled), pickle=True), InitConfig(), CPU)
    assert not ran.exists()


# No code that comes with a model.


@pytest.fixture
def strange(tmp_path: Path) -> tuple[Path, Path]:
    """Make a model whose code writes a file when it is imported."""
    model, ran = save_tiny("llama", tmp_path / "strange"), tmp_path / "ran"
    config = json.loads((model / "config.json").read_text())
    config["model_type"] = "strange"
    config["auto_map"] = {"AutoConfig": "code.Config", "AutoModel": "code.Model"}
    (model / "config.json").write_text(json.dumps(config))
    (model / "code.py").write_text(
        f"open({str(ran)!r}, 'w')\nfrom transformers import LlamaConfig, LlamaModel\n"
        "class Config(LlamaConfig):\n    model_type = 'strange'\n"
        "class Model(LlamaModel):\n    config_class = Config\n"
    )
    return model, ran


def test_code_of_a_model_is_refused_in_one_line_and_not_run(strange: tuple[Path, Path]) -> None:
    path, ran = strange
    model = ModelConfig(path=str(path))
    for load in (load_config, lambda m: load_trunk(m, InitConfig(), CPU)):
        with pytest.raises(UserError) as refused:
            load(model)
        assert str(refused.value) == (
            f"model=strange: {path} comes with Python code of its own, which is not run; read it, "
            "and give model.trust_remote_code=true if you trust it"
        )
    assert not ran.exists()


def test_code_of_a_model_runs_if_asked_for(
    strange: tuple[Path, Path], libraries: Warm, tmp_path: Path
) -> None:
    path, ran = strange
    script = (
        "import sys; from probe.models import load_config; from probe.config import ModelConfig; "
        "load_config(ModelConfig(path=sys.argv[1], trust_remote_code=True))"
    )
    environment = os.environ | {"HF_MODULES_CACHE": str(tmp_path / "modules")}
    libraries.run([sys.executable, "-c", script, str(path)], env=environment, cwd=ROOT)
    assert ran.exists()


def test_code_of_a_tokenizer_is_not_run(strange: tuple[Path, Path]) -> None:
    path, ran = strange
    (path / "config.json").unlink()
    about = json.loads((path / "tokenizer_config.json").read_text())
    about |= {"tokenizer_class": "Strange", "auto_map": {"AutoTokenizer": ["code.Config", None]}}
    (path / "tokenizer_config.json").write_text(json.dumps(about))
    try:
        load_tokenizer(ModelConfig(path=str(path)))
    except UserError as error:
        assert "\n" not in str(error)  # noqa: PT017 - it may also be loaded by another class
    assert not ran.exists()


# Nothing outside of the output folder.

TEXTS = [key.name for key in keys(Config) if str in (key.kind, *getattr(key.kind, "__args__", ()))]
PARTS = st.lists(
    st.sampled_from(["..", ".", "/", "\\", "a", "~", "\0", "\n", "%2e", "C:", " ", "é", "$HOME"]),
    min_size=1, max_size=6,
).map("".join)  # fmt: skip


@settings(deadline=None, max_examples=400, derandomize=True)
@given(st.sampled_from([key for key in TEXTS if key != "output"]), PARTS | st.text(max_size=300))
def test_no_text_of_a_configuration_leads_out_of_the_output_folder(key: str, text: str) -> None:
    config = Config(model=ModelConfig(id="org/tiny"), subject=SubjectConfig(name="law"))
    config.data.source = "words"
    part, _, name = key.rpartition(".")
    setattr(getattr(config, part) if part else config, name, text)
    try:
        check(config)
    except UserError:
        return
    folder = run_folder(config)
    assert ".." not in folder.parts
    assert folder.parts[0] == "outputs"
    assert len(folder.parts) == 4
    assert not any(one.startswith(".") for one in folder.parts)


def test_the_keys_that_are_tried_are_those_that_hold_text() -> None:
    assert {"model.name", "data.name", "subject.name", "data.split", "tracking.project"} < set(
        TEXTS
    )


@pytest.mark.parametrize("key", ["model.name", "data.name", "subject.name"])
@pytest.mark.parametrize("name", ["../x", "a/b", "..", ".locks", "/etc", "a\\b", "x" * 300])
def test_a_name_that_is_no_folders_is_refused(key: str, name: str) -> None:
    config = Config(model=ModelConfig(id="org/tiny"), subject=SubjectConfig(name="law"))
    config.data.source = "words"
    part, _, field = key.partition(".")
    setattr(getattr(config, part), field, name)
    with pytest.raises(UserError) as refused:
        check(config)
    assert str(refused.value) == (
        f"{key}={name[:120]!r} cannot name a folder; give one of at most 120 bytes, without "
        f"slashes, control characters or a leading dot, e.g. {key}=mine"
    )


# No token anywhere.

HUB, KEY, OTHER = "hf_" + "Fake0Token" * 3, "0f1e2d3c4b" * 4, "not-a-real-password-at-all"


def test_no_token_is_in_any_file_or_word_of_a_run(libraries: Warm, tmp_path: Path) -> None:
    environment = os.environ | {
        "HF_TOKEN": HUB, "HUGGING_FACE_HUB_TOKEN": HUB, "WANDB_API_KEY": KEY,
        "MY_PASSWORD": OTHER, "HOME": str(tmp_path / "home"), "WANDB_SILENT": "true",
        "WANDB_BASE_URL": "http://127.0.0.1:9", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    for name in ("CACHE_DIR", "CONFIG_DIR", "DATA_DIR"):
        environment[f"WANDB_{name}"] = str(tmp_path / "home")
    here = tmp_path / "here"
    here.mkdir()
    git = ["git", "-c", "init.defaultBranch=main"]
    subprocess.run([*git, "init", "-q", str(here)], check=True)
    remote = f"https://me:{OTHER}@example.org/me/work.git"
    subprocess.run([*git, "-C", str(here), "remote", "add", "origin", remote], check=True)
    words = ["data.limit=3", "measures.rewired=0", "tracking.mode=offline", "runtime.device=cpu"]
    done = libraries.run([sys.executable, "-m", "probe", *words], env=environment, cwd=here)
    files = [file for file in (here / "outputs").rglob("*") if file.is_file()]
    assert any(file.suffix == ".wandb" for file in files)
    assert any(file.name == "probe.log" for file in files)
    told = [done.stdout.encode(), done.stderr.encode(), *(file.read_bytes() for file in files)]
    for secret in (HUB, KEY, OTHER):
        assert not any(secret.encode() in one for one in told)


@pytest.mark.parametrize(
    ("word", "key"),
    [
        (f"tracking.project={HUB}", "tracking.project"),
        (f"tracking.tags=[{HUB}]", "tracking.tags"),
        (f"model.id='https://me:{OTHER}@example.org/x'", "model.id"),
        (f"hydra.job.env_set.HF_TOKEN={HUB}", "hydra.job.env_set.HF_TOKEN"),
        (f"tracking.entity={KEY}", "tracking.entity"),
    ],
)
def test_a_token_in_a_value_is_refused_and_not_repeated(
    word: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    said = (
        f"{key} contains a token or password, which would be saved with the results; set HF_TOKEN "
        "or WANDB_API_KEY in the environment instead"
    )
    with pytest.raises(UserError) as refused:
        read_arguments([word], Config)
    assert str(refused.value) == said


def test_a_token_in_a_file_of_options_is_refused() -> None:
    config = Config(model=ModelConfig(id="org/tiny"))
    config.tracking.tags = [HUB]
    with pytest.raises(UserError, match=r"^tracking\.tags contains a token or password"):
        check(config)


def test_logs_hide_tokens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import logging

    from probe.system.logs import logging_to

    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with logging_to(tmp_path / "probe.log"):
        logging.getLogger("probe").warning("W&B was given up (key %s and %s)", KEY, HUB)
        logging.getLogger("urllib3").warning("no route to https://me:%s@host", OTHER)
    said = (tmp_path / "probe.log").read_text()
    assert "(key *** and ***)" in said
    assert "https://***@host" in said


@given(st.text(max_size=40))
def test_innocent_text_stays(text: str) -> None:
    if "@" not in text and "hf_" not in text:
        assert hide(text) == text
