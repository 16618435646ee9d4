"""The stand-in of the Hub serves what unmodified `transformers` and `datasets` load."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import pyarrow
import pyarrow.parquet
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

from tests.hub import Hub, hub_environment
from tests.warm import Warm

MODEL, MMLU, PLAIN = "Tiny/Qwen2", "Tiny/mmlu", "Tiny/plain"
REVISIONS = ("main", "step1000")
CONFIGS = ("astronomy", "virology")
SPLITS = ("test", "validation", "dev")
TEXT = "Which planet, né?"

ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
WIDTH = 4
MODEL_CONFIG = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "vocab_size": len(ALPHABET),
    "hidden_size": WIDTH,
    "intermediate_size": WIDTH,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "num_key_value_heads": 1,
    "tie_word_embeddings": True,
}
LINEAR = ["self_attn." + name for name in ("q_proj", "k_proj", "v_proj", "o_proj")]
LINEAR += ["mlp." + name for name in ("gate_proj", "up_proj", "down_proj")]
SHAPES: dict[str, tuple[int, ...]] = {
    "embed_tokens.weight": (len(ALPHABET), WIDTH),
    "norm.weight": (WIDTH,),
    **{f"layers.0.{name}.weight": (WIDTH, WIDTH) for name in LINEAR},
    **{f"layers.0.{name}.bias": (WIDTH,) for name in LINEAR[:3]},
    "layers.0.input_layernorm.weight": (WIDTH,),
    "layers.0.post_attention_layernorm.weight": (WIDTH,),
}

LOAD = f"""
import json
from datasets import load_dataset
from huggingface_hub import HfApi, HfFileSystem
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError
from transformers import AutoConfig, AutoModel, AutoTokenizer

found = {{}}
for revision in {REVISIONS}:
    config = AutoConfig.from_pretrained("{MODEL}", revision=revision)
    tokenizer = AutoTokenizer.from_pretrained("{MODEL}", revision=revision)
    model = AutoModel.from_pretrained("{MODEL}", revision=revision)
    weights = {{name: values.tolist() for name, values in model.state_dict().items()}}
    found[revision] = [config.marker, tokenizer({TEXT!r})["input_ids"], weights]
for name in {CONFIGS}:
    for split in {SPLITS}:
        found[f"{{name}} {{split}}"] = list(load_dataset("{MMLU}", name, split=split))
found["plain"] = list(load_dataset("{PLAIN}", split="test"))
"""

ASK = f"""
api = HfApi()
shas = [api.model_info("{MODEL}", revision=name).sha for name in {REVISIONS}]
found["model shas"] = shas
found["data set sha"] = api.dataset_info("{MMLU}").sha
found["by sha"] = AutoConfig.from_pretrained("{MODEL}", revision=shas[1]).marker
found["files"] = api.list_repo_files("{MMLU}", repo_type="dataset")
paths = ["README.md", "none", "virology"]
infos = api.get_paths_info("{MMLU}", paths, repo_type="dataset")
found["paths"] = [info.path for info in infos]
readme = "datasets/{MMLU}/README.md"
found["range"] = HfFileSystem().cat_file(readme, start=4, end=11).decode()
found["errors"] = []
for repo, revision in (("Tiny/none", "main"), ("{MODEL}", "none")):
    try:
        api.model_info(repo, revision=revision)
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        found["errors"].append(type(error).__name__)
    try:
        AutoConfig.from_pretrained(repo, revision=revision)
    except OSError as error:
        found["errors"].append(type(error.__cause__).__name__)
"""

PRINT = """
print(json.dumps(found))
"""


@dataclass
class Stock:
    """A folder for `Hub` and what the libraries are to load from it."""

    root: Path
    expected: dict[str, Any]


@pytest.fixture
def stock(tmp_path: Path) -> Stock:
    root = tmp_path / "hub"
    expected: dict[str, Any] = {}
    for marker, revision in enumerate(REVISIONS):
        expected[revision] = _write_model(root / "models" / MODEL / revision, marker)
    mmlu = root / "datasets" / MMLU / "main"
    for name in CONFIGS:
        for count, split in enumerate(SPLITS, start=2):
            rows = _rows(name, count)
            _write_parquet(mmlu / name / f"{split}-00000-of-00001.parquet", rows)
            expected[f"{name} {split}"] = rows
    (mmlu / "README.md").write_text(f"---\n{_card()}---\n# Tiny MMLU\n")
    rows = _rows("plain", 3)
    _write_parquet(root / "datasets" / PLAIN / "main/data/test-00000-of-00001.parquet", rows)
    return Stock(root, {**expected, "plain": rows})


def test_a_process_loads_all_then_again_offline(
    stock: Stock, libraries: Warm, tmp_path: Path
) -> None:
    with Hub(stock.root) as hub:
        environment = hub_environment(hub, tmp_path / "cache")
        online = _run(libraries, LOAD + ASK + PRINT, environment)
        shas = [hub.snapshot(MODEL, revision).commit for revision in REVISIONS]
        data_sha = hub.snapshot(MMLU, kind="datasets").commit

    assert len(set(shas)) == len(shas)
    assert online.pop("model shas") == shas
    assert online.pop("data set sha") == data_sha
    assert online.pop("by sha") == 1
    parquet = {f"{name}/{split}-00000-of-00001.parquet" for name in CONFIGS for split in SPLITS}
    assert set(online.pop("files")) == parquet | {"README.md"}
    assert online.pop("paths") == ["README.md", "virology"]
    assert online.pop("range") == "configs"
    assert online.pop("errors") == ["RepositoryNotFoundError"] * 2 + ["RevisionNotFoundError"] * 2
    assert online == stock.expected
    for sha in shas:
        assert hub.requests.count(f"GET /{MODEL}/resolve/{sha}/model.safetensors") == 1

    absent = f"cache/hub/models--{MODEL.replace('/', '--')}/.no_exist/{shas[0]}"
    assert (tmp_path / absent / "chat_template.jinja").exists()

    offline = _run(libraries, LOAD + PRINT, environment | {"HF_HUB_OFFLINE": "1"})
    assert offline == stock.expected


def test_environment_drops_what_steers_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steering = {"HF_HUB_OFFLINE", "HF_DATASETS_CACHE", "https_proxy", "TRANSFORMERS_OFFLINE"}
    for name in steering | {"UNRELATED"}:
        monkeypatch.setenv(name, "1")
    with Hub(tmp_path) as hub:
        environment = hub_environment(hub, tmp_path)
    assert environment["HF_ENDPOINT"] == hub.url
    assert environment["UNRELATED"] == "1"
    assert not steering & environment.keys()


def _write_model(folder: Path, marker: int) -> list[Any]:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({**MODEL_CONFIG, "marker": marker}))
    tokenizer = Tokenizer(models.BPE({char: i for i, char in enumerate(ALPHABET)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    random = numpy.random.default_rng(marker)
    weights = {name: random.normal(size=s).astype(numpy.float32) for name, s in SHAPES.items()}
    stored = {f"model.{name}": values for name, values in weights.items()}
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    values = {name: values.tolist() for name, values in weights.items()}
    return [marker, tokenizer.encode(TEXT).ids, values]


def _rows(subject: str, count: int) -> list[dict[str, Any]]:
    return [
        {
            "question": f"{subject} {count} {row}?",
            "subject": subject,
            "choices": [f"{letter}{row}" for letter in "ABCD"],
            "answer": row % 4,
        }
        for row in range(count)
    ]


def _write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def _card() -> str:
    # The layout of cais/mmlu's header.
    lines = ["configs:"]
    for name in CONFIGS:
        lines += [f"- config_name: {name}", "  data_files:"]
        for split in SPLITS:
            lines += [f"  - split: {split}", f"    path: {name}/{split}-*"]
    return "\n".join(lines) + "\n"


def _run(libraries: Warm, script: str, environment: dict[str, str]) -> dict[str, Any]:
    output = libraries.run([sys.executable, "-c", script], env=environment).stdout
    loaded: dict[str, Any] = json.loads(output.splitlines()[-1])
    return loaded
