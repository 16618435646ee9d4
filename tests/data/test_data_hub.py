"""Data sets and models come from the Hub whole, at the revision asked for, or not at all."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from probe.data import Document, fingerprint
from tests.hub import Hub, hub_environment
from tests.tiny_models import save_tiny

SUBJECTS, SPLITS = ("anatomy", "prehistory", "virology"), ("test", "dev")
FEATURES = """
  - name: question
    dtype: string
  - name: subject
    dtype: string
  - name: choices
    sequence: string
  - name: answer
    dtype:
      class_label:
        names:
          '0': A
          '1': B
          '2': C
          '3': D
"""

# One process for everything: its imports are what takes time.
SCRIPT = """
import json
import sys

import torch

from probe.config import Config, DataConfig, InitConfig, InitKind, ModelConfig, SubjectConfig
from probe.data import fingerprint, load_documents
from probe.errors import UserError
from probe.models import load_tokenizer, load_trunk, model_fingerprint

found = {}


def note(name, function):
    try:
        found[name] = function()
    except UserError as error:
        found[name] = {"error": str(error)}
    except Exception as error:
        found[name] = {"traceback": f"{type(error).__name__}: {error}"}


def texts(subjects=None, **data):
    subject = SubjectConfig(name="chosen", mmlu=subjects) if subjects else None
    documents = load_documents(Config(data=DataConfig(**data), subject=subject))
    listed = [[d.name, d.text, d.subject, d.answer] for d in documents]
    return {"documents": listed, "fingerprint": fingerprint(documents)}


def trunk(**model):
    loaded = load_trunk(ModelConfig(**model), InitConfig(), torch.device("cpu"))
    return loaded.norm.weight.tolist()


def commit(kind="pretrained", **model):
    return model_fingerprint(ModelConfig(**model), InitConfig(kind=InitKind(kind)))


for name, function, arguments in json.load(sys.stdin):
    note(name, lambda: {"texts": texts, "trunk": trunk, "commit": commit}[function](**arguments))
note("ids", lambda: load_tokenizer(ModelConfig(id="Tiny/llama"))("The river").input_ids)
print(json.dumps(found))
"""

MMLU = {"source": "mmlu", "id": "Tiny/mmlu"}
WEB = {"source": "openwebtext", "id": "Tiny/web", "split": "train"}
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "mmlu": ("texts", {**MMLU, "subjects": ["virology", "anatomy"]}),
    "mmlu dev": ("texts", {**MMLU, "subjects": ["virology"], "split": "dev"}),
    "mmlu without marketing": ("texts", {**MMLU, "subjects": ["virology", "marketing"]}),
    "web": ("texts", WEB),
    "web old": ("texts", {**WEB, "revision": "old"}),
    "web with nothing in a row": ("texts", {**WEB, "revision": "nulls"}),
    "web split": ("texts", {**WEB, "split": "tset"}),
    "web column": ("texts", {**WEB, "column": "txt"}),
    "web revision": ("texts", {**WEB, "revision": "none"}),
    "web id": ("texts", {**WEB, "id": "Tiny/none"}),
    "trunk": ("trunk", {"id": "Tiny/llama"}),
    "trunk step1000": ("trunk", {"id": "Tiny/llama", "revision": "step1000"}),
    "trunk revision": ("trunk", {"id": "Tiny/llama", "revision": "none"}),
    "trunk id": ("trunk", {"id": "Tiny/none"}),
    "commit": ("commit", {"id": "Tiny/llama"}),
    "commit step1000": ("commit", {"id": "Tiny/llama", "revision": "step1000"}),
    "commit random": ("commit", {"id": "Tiny/llama", "kind": "random"}),
}


@dataclass(frozen=True)
class Outcome:
    """What the process found, the requests it made, and what the Hub held."""

    found: dict[str, Any]
    requests: list[str]
    commits: dict[str, str]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    root = tmp_path_factory.mktemp("hub")
    for seed, revision in enumerate(("main", "step1000")):
        save_tiny("llama", root / "models/Tiny/llama" / revision, seed=seed)
    _write_mmlu(root / "datasets/Tiny/mmlu/main")
    web = {"main": ["one", " ", "two"], "old": ["before"], "nulls": ["one", None]}
    for revision, texts in web.items():
        folder = root / "datasets/Tiny/web" / revision / "data"
        _write_parquet(folder / "train-00000-of-00001.parquet", [{"text": t} for t in texts])
    calls = [[name, function, arguments] for name, (function, arguments) in CALLS.items()]
    with Hub(root) as hub:
        process = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env=hub_environment(hub, tmp_path_factory.mktemp("cache")),
            input=json.dumps(calls),
            stdout=subprocess.PIPE,
            text=True,
            timeout=120,
            check=True,
        )
        commits = {name: hub.snapshot("Tiny/llama", name).commit for name in ("main", "step1000")}
    return Outcome(json.loads(process.stdout.splitlines()[-1]), hub.requests, commits)


def documents(found: dict[str, Any]) -> list[Document]:
    assert "documents" in found, found
    return [Document(*fields) for fields in found["documents"]]


def test_mmlu_comes_subject_by_subject_with_every_shard(outcome: Outcome) -> None:
    assert documents(outcome.found["mmlu"]) == [
        Document(
            f"{subject}/{2 * shard + row}",
            f"Question: {subject} test {shard}{row}?\nA) w\nB) x\nC) y\nD) z\nAnswer:",
            subject,
            2 * shard + row,
        )
        for subject in ("virology", "anatomy")
        for shard in range(2)
        for row in range(2)
    ]


def test_only_the_chosen_subjects_of_mmlu_are_downloaded(outcome: Outcome) -> None:
    fetched = [request for request in outcome.requests if "/Tiny/mmlu/resolve/" in request]
    assert any("virology/test-00001-of-00002.parquet" in request for request in fetched)
    assert not any("prehistory" in request for request in fetched)
    assert not any("anatomy/dev" in request for request in fetched)


def test_another_split_of_mmlu_can_be_had(outcome: Outcome) -> None:
    (first, *rest) = documents(outcome.found["mmlu dev"])
    assert first.text.startswith("Question: virology dev 00?\n")
    assert len(rest) == 3


def test_a_subject_that_the_repository_lacks_is_not_left_out_in_silence(outcome: Outcome) -> None:
    assert "marketing" in outcome.found["mmlu without marketing"].get("error", "nothing was said")


def test_openwebtext_comes_without_its_empty_documents(outcome: Outcome) -> None:
    assert documents(outcome.found["web"]) == [
        Document("openwebtext/0", "one"),
        Document("openwebtext/2", "two"),
    ]
    assert documents(outcome.found["web with nothing in a row"]) == [
        Document("openwebtext/0", "one")
    ]


def test_a_data_revision_is_honoured(outcome: Outcome) -> None:
    assert documents(outcome.found["web old"]) == [Document("openwebtext/0", "before")]


def test_the_fingerprint_is_the_same_in_another_process(outcome: Outcome) -> None:
    for name in ("mmlu", "web"):
        assert outcome.found[name]["fingerprint"] == fingerprint(documents(outcome.found[name]))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("web split", ["Tiny/web", "split tset"]),
        ("web column", ["Tiny/web", "txt", "text"]),
        ("web revision", ["Tiny/web at none"]),
        ("web id", ["Tiny/none", "check name and network", "data.path="]),
        ("trunk revision", ["Tiny/llama at none"]),
        ("trunk id", ["Tiny/none", "check the name and the network", "model.path="]),
    ],
)
def test_what_the_hub_lacks_is_said_in_a_line(outcome: Outcome, call: str, said: list[str]) -> None:
    message = outcome.found[call].get("error", str(outcome.found[call]))
    assert all(part in message for part in said), message
    assert "traceback" not in outcome.found[call]
    assert "\n" not in message


def test_a_models_revisions_have_their_own_weights(outcome: Outcome) -> None:
    main, step1000 = outcome.found["trunk"], outcome.found["trunk step1000"]
    assert len(main) == len(step1000) == 16
    assert main != step1000


def test_the_hubs_commit_is_a_models_fingerprint(outcome: Outcome) -> None:
    found, commits = outcome.found, outcome.commits
    assert found["commit"] == f"commit {commits['main']}"
    assert found["commit step1000"] == f"commit {commits['step1000']}"
    assert found["commit random"] == f"commit {commits['main']}"


def test_the_tokenizer_comes_from_the_hub_too(outcome: Outcome) -> None:
    assert len(outcome.found["ids"]) > 1


def _write_mmlu(folder: Path) -> None:
    """Lay files and card out as cais/mmlu does."""
    info, configs = ["dataset_info:"], ["configs:"]
    for subject in SUBJECTS:
        info += [f"- config_name: {subject}", "  features:" + FEATURES.rstrip(), "  splits:"]
        configs += [f"- config_name: {subject}", "  data_files:"]
        for split in SPLITS:
            info += [f"  - name: {split}", "    num_bytes: 100", "    num_examples: 4"]
            configs += [f"  - split: {split}", f"    path: {subject}/{split}-*"]
            for shard in range(2):
                rows = [
                    {
                        "question": f"{subject} {split} {shard}{row}?",
                        "subject": subject,
                        "choices": ["w", "x", "y", "z"],
                        "answer": 2 * shard + row,
                    }
                    for row in range(2)
                ]
                _write_parquet(folder / subject / f"{split}-0000{shard}-of-00002.parquet", rows)
    card = "\n".join(["---", *info, *configs, "---", "# MMLU", ""])
    (folder / "README.md").write_text(card)


def _write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
