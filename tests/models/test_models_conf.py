"""The models of conf/ are named as they are called, and set up as the paper's code sets them up."""

from pathlib import Path

import pytest
import yaml

from probe.config import CONF, ModelConfig, Side, run_folder
from tests.config.compositions import composed

# Those that stand for a model of the user's own, or come with probe.
OTHERS = {"hub", "local", "tiny"}
FILES = {f.stem: f for f in sorted((CONF / "model").glob("*.yaml")) if f.stem not in OTHERS}
# One model, two names.
ALIAS, ORIGINAL = "qwen2.5-0.5b", "qwen0.5b"
PAPER = [
    *(f"openai-community/gpt2{size}" for size in ("", "-medium", "-large")),
    *(f"EleutherAI/pythia-{size}" for size in ("160m", "410m", "1.4b", "2.8b", "6.9b", "12b")),
    "Qwen/Qwen1.5-0.5B",
    "Qwen/Qwen2-0.5B",
    *(f"Qwen/Qwen2.5-{size}B" for size in ("0.5", "1.5", "3", "7", "14")),
    *(f"Qwen/Qwen2.5-{size}B-Instruct" for size in ("0.5", "1.5", "3", "7", "14")),
]
each_file = pytest.mark.parametrize("file", FILES.values(), ids=FILES)


def model(name: str) -> ModelConfig:
    """Read a file; that its values reach the configuration is tested with every other file."""
    content = yaml.safe_load(FILES[name].read_text(encoding="utf-8"))
    if "defaults" in content:
        return model(content["defaults"][0])
    return ModelConfig(**content | {"padding_side": Side(content["padding_side"])})


def id_of(name: str) -> str:
    return str(model(name).id)


@pytest.mark.parametrize("repository", PAPER)
def test_every_model_of_the_paper_is_there(repository: str) -> None:
    assert repository in {id_of(name) for name in FILES}


def test_no_model_is_there_twice_but_by_its_alias() -> None:
    ids = [id_of(name) for name in FILES if name != ALIAS]
    assert len(set(ids)) == len(ids)


@each_file
def test_a_model_is_called_as_its_file(file: Path) -> None:
    wanted = ORIGINAL if file.stem == ALIAS else file.stem
    assert model(file.stem).name == wanted


@each_file
def test_a_name_is_the_hubs_in_small_letters(file: Path) -> None:
    def plain(name: str) -> str:
        return name.lower().replace("-", "").replace("0425", "").removesuffix("pt")

    if file.stem != ORIGINAL:
        assert plain(file.stem) == plain(id_of(file.stem).partition("/")[2])


@each_file
def test_all_but_gpt2_are_padded_on_the_left(file: Path) -> None:
    right = id_of(file.stem).startswith("openai-community/gpt2")
    assert model(file.stem).padding_side is (Side.right if right else Side.left)


@each_file
def test_those_trained_to_follow_instructions_are_asked_in_their_chat_template(file: Path) -> None:
    repository = id_of(file.stem)
    # Qwen3's are, unless their name says base; the other families' say so where they are.
    follows = repository.endswith("-Instruct") or (
        repository.startswith("Qwen/Qwen3-") and not repository.endswith("-Base")
    )
    assert model(file.stem).chat is follows


@each_file
def test_a_file_says_where_a_licence_must_be_accepted(file: Path) -> None:
    repository = id_of(file.stem)
    gated = repository.startswith(("meta-llama/", "google/"))
    said = f"accept the licence at https://huggingface.co/{repository}, then `hf auth login`"
    assert (said in file.read_text(encoding="utf-8")) is gated


@each_file
def test_a_file_says_where_a_model_is_not_the_papers(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert ("Not in the paper" in text) is (id_of(file.stem) not in PAPER)


def test_an_alias_names_the_same_runs() -> None:
    runs = {run_folder(composed(f"model={name}", "data=mmlu")) for name in (ALIAS, ORIGINAL)}
    assert len(runs) == 1


def test_a_checkpoint_of_a_training_is_a_run_of_its_own() -> None:
    at_step = composed("model=pythia14m", "model.revision=step1000")
    assert at_step.model.revision == "step1000"
    assert run_folder(at_step) != run_folder(composed("model=pythia14m"))
