"""Data sets and models come from the Hub whole, at the revision asked for, or not at all."""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from probe.data import Document, fingerprint
from probe.data.choices import question_document
from tests.hub import Hub, hub_environment
from tests.tiny_models import save_tiny
from tests.warm import Warm

SUBJECTS, SPLITS = ("anatomy", "prehistory", "virology"), ("test", "dev")
# Streams are read some megabytes at a time, once to see what the rows are like.
SHARD_BYTES, SHARD_ROWS = 40_000_000, 2000
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
import itertools
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


def texts(subjects=None, take=None, **data):
    subject = SubjectConfig("chosen", mmlu=subjects, mmlu_pro=subjects) if subjects else None
    documents = load_documents(Config(data=DataConfig(**data), subject=subject))
    taken = list(itertools.islice(documents, take))
    listed = [[d.name, d.text, d.subject, d.answer, d.turns, d.labels] for d in taken]
    return {"documents": listed, "fingerprint": fingerprint(documents)}


def again(**data):
    documents = load_documents(Config(data=DataConfig(**data)))
    return [[d.name for d in documents] for _ in range(2)]


def trunk(**model):
    loaded = load_trunk(ModelConfig(**model), InitConfig(), torch.device("cpu"))
    return loaded.norm.weight.tolist()


def commit(kind="pretrained", **model):
    return model_fingerprint(ModelConfig(**model), InitConfig(kind=InitKind(kind)))


for name, function, arguments in json.load(sys.stdin):
    note(name, lambda: globals()[function](**arguments))
note("ids", lambda: load_tokenizer(ModelConfig(id="Tiny/llama"))("The river").input_ids)
print(json.dumps(found))
"""

MMLU = {"source": "mmlu", "id": "Tiny/mmlu"}
WEB = {"source": "openwebtext", "id": "Tiny/web", "split": "train"}
CODE = {"source": "hub", "id": "Tiny/code", "config": "full", "split": "train"}
SHARDS = {"source": "hub", "id": "Tiny/shards", "split": "train", "streaming": True}
# What the cache must be enough for.
OFFLINE = ("mmlu", "web", "web old", "code", "pro", "wiki", "stream", "code config")
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
    "code": ("texts", {**CODE, "column": "code"}),
    "code config": ("texts", {**CODE, "column": "code", "config": "ful"}),
    "code no config": ("texts", {**CODE, "column": "code", "config": None}),
    "code list": ("texts", {**CODE, "column": "tests"}),
    "code number": ("texts", {**CODE, "column": "task_id"}),
    "code script": ("texts", {**CODE, "id": "Tiny/script", "column": "code"}),
    "pro": ("texts", {"source": "mmlu_pro", "id": "Tiny/pro", "subjects": ["computer science"]}),
    "truth": (
        "texts",
        {"source": "truthfulqa", "id": "Tiny/truth", "config": "generation", "split": "validation"},
    ),
    "wiki": ("texts", {"source": "wikitext", "id": "Tiny/wiki", "config": "two", "split": "test"}),
    "stream": ("texts", {**SHARDS, "take": 3}),
    "stream old": ("texts", {**WEB, "revision": "old", "streaming": True}),
    "stream twice": ("again", {**WEB, "streaming": True}),
    "stream wiki": (
        "texts",
        {
            "source": "wikitext",
            "id": "Tiny/wiki",
            "config": "two",
            "split": "test",
            "streaming": True,
            "take": 1,
        },
    ),
    "stream column": ("texts", {**WEB, "streaming": True, "column": "txt"}),
    "stream split": ("texts", {**SHARDS, "split": "tset"}),
    "stream id": ("texts", {**SHARDS, "id": "Tiny/none"}),
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
    sent: dict[str, int]
    offline: dict[str, Any]


@pytest.fixture(scope="module")
def outcome(libraries: Warm, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    root = tmp_path_factory.mktemp("hub")
    for seed, revision in enumerate(("main", "step1000")):
        save_tiny("llama", root / "models/Tiny/llama" / revision, seed=seed)
    _write_mmlu(root / "datasets/Tiny/mmlu/main")
    web = {"main": ["one", " ", "two"], "old": ["before"], "nulls": ["one", None]}
    for revision, texts in web.items():
        folder = root / "datasets/Tiny/web" / revision / "data"
        _write_parquet(folder / "train-00000-of-00001.parquet", [{"text": t} for t in texts])
    _write_others(root / "datasets/Tiny")
    with Hub(root) as hub:
        environment = hub_environment(hub, tmp_path_factory.mktemp("cache"))
        found = _run(libraries, list(CALLS), environment)
        commits = {name: hub.snapshot("Tiny/llama", name).commit for name in ("main", "step1000")}
        for name in ("web", "shards"):
            commits[name] = hub.snapshot(f"Tiny/{name}", kind="datasets").commit
    offline = _run(libraries, list(OFFLINE), environment | {"HF_HUB_OFFLINE": "1"})
    return Outcome(found, hub.requests, commits, dict(hub.sent), offline)


def _run(libraries: Warm, names: list[str], environment: dict[str, str]) -> dict[str, Any]:
    process = libraries.run(
        [sys.executable, "-c", SCRIPT],
        env=environment,
        input=json.dumps([[name, *CALLS[name]] for name in names]),
    )
    found: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return found


def documents(found: dict[str, Any]) -> list[Document]:
    assert "documents" in found, found
    return [
        Document(name, text, subject, answer, tuple((role, said) for role, said in turns), labels)
        for name, text, subject, answer, turns, labels in found["documents"]
    ]


def as_sent(question: Document) -> Document:
    """Leave out what the other process does not send, as it is no part of the fingerprint."""
    return replace(question, choices=(), parts=())


def test_mmlu_comes_subject_by_subject_with_every_shard(outcome: Outcome) -> None:
    assert documents(outcome.found["mmlu"]) == [
        as_sent(
            question_document(
                f"{subject}/{2 * shard + row}",
                f"{subject} test {shard}{row}?",
                ["w", "x", "y", "z"],
                2 * shard + row,
                subject,
            )
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
        ("web split", ["Tiny/web has no split 'tset'; its splits are train"]),
        ("web column", ["Tiny/web", "txt", "text"]),
        ("web revision", ["Tiny/web at none"]),
        ("web id", ["Tiny/none", "check the name and the network", "data.path="]),
        ("code config", ["Tiny/code, ful, split train", "['full', 'sanitized']"]),
        ("code no config", ["Tiny/code", "['full', 'sanitized']"]),
        ("code list", ["Tiny/code has list, not text, in column 'tests'", "text is in code"]),
        ("code number", ["Tiny/code has int, not text, in column 'task_id' of row 1"]),
        ("code script", ["Tiny/script", "scripts are no longer supported"]),
        ("stream column", ["Tiny/web", "no column 'txt'", "did you mean 'text'?"]),
        ("stream split", ["Tiny/shards has no split 'tset'; did you mean 'test'?"]),
        ("stream id", ["Tiny/none", "check the name and the network", "data.path="]),
        ("trunk revision", ["Tiny/llama at none"]),
        ("trunk id", ["Tiny/none", "model.path="]),
    ],
)
def test_what_the_hub_lacks_is_said_in_a_line(outcome: Outcome, call: str, said: list[str]) -> None:
    message = outcome.found[call].get("error", str(outcome.found[call]))
    assert all(part in message for part in said), message
    assert "traceback" not in outcome.found[call]
    assert "\n" not in message


def test_one_configuration_and_split_come_without_the_others(outcome: Outcome) -> None:
    assert documents(outcome.found["code"]) == [
        Document(f"code/{row}", f"full train {row}") for row in range(2)
    ]
    fetched = [request for request in outcome.requests if "/Tiny/code/resolve/" in request]
    assert any("full/train-" in request for request in fetched)
    assert not any(part in request for request in fetched for part in ("full/test", "sanitized"))


def test_mmlu_pro_comes_from_the_hub(outcome: Outcome) -> None:
    assert documents(outcome.found["pro"]) == [
        as_sent(
            question_document(
                "computer_science/8",
                "What?",
                ["a", "b", "c"],
                2,
                "computer science",
                {"question": "8", "source": "ours"},
            )
        )
    ]
    assert not any("data/validation" in request for request in outcome.requests)


def test_truthfulqa_comes_from_the_hub(outcome: Outcome) -> None:
    answers = [(d.text, d.labels["correct"]) for d in documents(outcome.found["truth"])]
    assert answers == [
        ("Question: Really? Answer: Yes.", True),
        ("Question: Really? Answer: No.", False),
    ]


def test_wikitext_comes_from_the_hub_article_by_article(outcome: Outcome) -> None:
    expected = [Document("wikitext/0", "= A =\n\na"), Document("wikitext/1", "= B =\n\nb")]
    assert documents(outcome.found["wiki"]) == expected
    assert documents(outcome.found["stream wiki"]) == expected[:1]


def test_a_stream_fetches_no_more_than_it_needs(outcome: Outcome) -> None:
    assert [d.name for d in documents(outcome.found["stream"])] == [
        f"shards/{number}" for number in range(3)
    ]
    paths = [request.partition("/resolve/")[2].partition("/")[2] for request in outcome.requests]
    assert "train-0.jsonl" in paths
    assert "train-1.jsonl" not in paths
    # Nor that file whole.
    assert outcome.sent["train-0.jsonl"] < SHARD_BYTES


def test_a_stream_honours_the_revision_and_can_be_read_again(outcome: Outcome) -> None:
    assert documents(outcome.found["stream old"]) == [Document("openwebtext/0", "before")]
    assert outcome.found["stream twice"] == [["openwebtext/0", "openwebtext/2"]] * 2


def test_a_streams_fingerprint_is_the_commit_that_it_is_read_from(outcome: Outcome) -> None:
    commit = outcome.commits["shards"]
    assert outcome.found["stream"]["fingerprint"] == f"Tiny/shards at commit {commit}"


@pytest.mark.parametrize("name", ["mmlu", "web", "web old", "code", "pro", "wiki"])
def test_what_was_fetched_once_is_there_without_the_hub(outcome: Outcome, name: str) -> None:
    assert outcome.offline[name] == outcome.found[name]


@pytest.mark.parametrize("name", ["stream", "code config"])
def test_what_was_not_fetched_is_missed_in_a_line(outcome: Outcome, name: str) -> None:
    message = outcome.offline[name].get("error", str(outcome.offline[name]))
    assert "could not be loaded from the Hub" in message
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


def _write_others(folder: Path) -> None:
    """Write tiny copies of other data sets, laid out as they are."""
    code = {"full": ("train", "test"), "sanitized": ("train", "test")}
    for config, splits in code.items():
        for split in splits:
            rows = [
                {"task_id": row, "code": f"{config} {split} {row}", "tests": ["assert"]}
                for row in range(2)
            ]
            _write_parquet(folder / f"code/main/{config}/{split}-00000-of-00001.parquet", rows)
    (folder / "code/main/README.md").write_text(_card(code))
    question = {"question": "What?", "options": ["a", "b", "c"], "answer_index": 2, "src": "ours"}
    categories = {7: "law", 8: "computer science"}
    for split in ("test", "validation"):
        rows = [
            {"question_id": number, "category": category, **question}
            for number, category in categories.items()
        ]
        _write_parquet(folder / f"pro/main/data/{split}-00000-of-00001.parquet", rows)
    answers = {"question": "Really?", "correct_answers": ["Yes."], "incorrect_answers": ["No."]}
    truth = folder / "truth/main/generation/validation-00000-of-00001.parquet"
    _write_parquet(truth, [{**answers, "category": "Myths"}])
    choices = folder / "truth/main/multiple_choice/validation-00000-of-00001.parquet"
    _write_parquet(choices, [{"question": "Really?"}])
    truthfulqa = {"generation": ("validation",), "multiple_choice": ("validation",)}
    (folder / "truth/main/README.md").write_text(_card(truthfulqa))
    lines = ["", " = A = \n", "", " a \n", "", " = B = \n", "", " b \n"]
    wiki = folder / "wiki/main/two/test-00000-of-00001.parquet"
    _write_parquet(wiki, [{"text": line} for line in lines])
    (folder / "wiki/main/README.md").write_text(_card({"two": ("test",)}))
    (folder / "script/main").mkdir(parents=True)
    (folder / "script/main/script.py").write_text("import datasets\n")
    (folder / "shards/main").mkdir(parents=True)
    for split, count in (("train", 2), ("test", 1)):
        for shard in range(count):
            text = "word " * (
                1 if (split, shard) != ("train", 0) else SHARD_BYTES // 5 // SHARD_ROWS
            )
            row = json.dumps({"text": text}) + "\n"
            (folder / f"shards/main/{split}-{shard}.jsonl").write_text(row * SHARD_ROWS)


def _card(configs: dict[str, tuple[str, ...]]) -> str:
    """Write a card, which also promises numbers of rows, not always the true ones."""
    info, files = ["dataset_info:"], ["configs:"]
    for config, splits in configs.items():
        info += [f"- config_name: {config}", "  splits:"]
        files += [f"- config_name: {config}", "  data_files:"]
        for split in splits:
            info += [f"  - name: {split}", "    num_bytes: 9", "    num_examples: 99"]
            files += [f"  - split: {split}", f"    path: {config}/{split}-*"]
    return "\n".join(["---", *info, *files, "---", "# Tiny", ""])


def _write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
