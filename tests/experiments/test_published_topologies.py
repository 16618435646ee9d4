"""Every file of the rebuilt tree is what its name says, however often the work was interrupted."""

import csv
import io
import json
import logging
import random
import re
import runpy
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
import torch
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer

import experiments.published_topologies.passes as passes_module
import experiments.published_topologies.tree as tree_module
from experiments.published_topologies.passes import Pass, passes
from experiments.published_topologies.reference import compare, infer_scheme
from experiments.published_topologies.settings import (
    PublishedTopologies,
    PublishedTopologiesConfig,
    check,
)
from probe import api
from probe.api import InitConfig, UserError, View, compose
from tests.tiny_models import LINES, save_tiny

composed = cache(compose)
MODULE = "experiments.published_topologies"
LAYER, LAYERS, CONTEXT = 1, 3, 700
TEXTS, MANY, PERCENTILES = 5, 8, [10.0, 90.0]
PIECES = 11  # of the right length in the documents
SUBJECTS = {
    "disputes": ["moral_disputes"],
    "elementary_mathematics": ["elementary_mathematics"],
    "high_school_macroeconomics": ["high_school_macroeconomics"],
    "miscellaneous": ["miscellaneous"],
    "psychology": ["high_school_psychology", "professional_psychology"],
}
PASSES = [f"mmlu-{subject}" for subject in SUBJECTS] + [
    "openwebtext", "openwebtext-random-init", "openwebtext-many",
]  # fmt: skip
OPENWEBTEXT = [
    "all_layers/average_5/all_layers_avg_corr.npy",
    "all_layers/average_5_random_init/all_layers_avg_corr.npy",
    "all_layers/partitioned_5/all_layers_avg_corr_part1.npy",
    "all_layers/partitioned_5/all_layers_avg_corr_part2.npy",
    "all_layers/partitioned_5/all_layers_avg_corr_part3.npy",
    "layer1/average_5/layer_1_avg_corr_openwebtext-5.npy",
    "layer1/partitioned_5/layer_1_avg_corr_part1.npy",
    "layer1/partitioned_5/layer_1_avg_corr_part2.npy",
    "layer1/partitioned_5/layer_1_avg_corr_part3.npy",
    "layer1/partitioned_8/layer_1_avg_corr_part1.npy",
    "layer1/partitioned_8/layer_1_avg_corr_part2.npy",
    "layer1/partitioned_8/layer_1_avg_corr_part3.npy",
    "layer1/single_example/layer_1_avg_corr_openwebtext-1.npy",
]
MMLU = ["all_layers/all_layers_avg_corr.npy", "layer1/layer_1_avg_corr.npy"]
FILES = [f"mmlu/{subject}/{name}" for subject in SUBJECTS for name in MMLU] + [
    f"openwebtext/{name}" for name in OPENWEBTEXT
]
PARTS = {TEXTS: [range(0, 2), range(2, 4), range(4, 5)],
         MANY: [range(0, 3), range(3, 6), range(6, 8)]}  # fmt: skip
# One text's series of every layer, (n_tokens, n_neurons) each.
Series = list[NDArray[np.float32]]
# Called with the number of passes after which the process is lost; lists those that are done.
Extractions = Callable[[int | None], list[str]]


@dataclass(frozen=True)
class Inputs:
    """What a study reads: a model, questions, and documents."""

    model: Path
    mmlu: Path
    openwebtext: Path

    def words(self, output: Path) -> list[str]:
        """Say on the command line what to build, and where."""
        return [
            "model=local", f"model.path={self.model}", f"study.mmlu_path={self.mmlu}",
            f"study.openwebtext_path={self.openwebtext}", f"study.layer={LAYER}",
            f"study.texts={TEXTS}", f"study.many={MANY}", f"study.perplexity={PERCENTILES}",
            "runtime.device=cpu", "tracking=none", f"output={output}",
        ]  # fmt: skip


@dataclass(frozen=True)
class Ended:
    code: int
    said: list[str]


def words(count: int, seed: int) -> str:
    return " ".join(random.Random(seed).choices(" ".join(LINES).split(), k=count))


def write_questions(file: Path, seed: int, count: int = 3) -> None:
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["question", "choice0", "choice1", "choice2", "choice3", "answer"])
        for row in range(count):
            choices = [words(1 + choice, seed + row) for choice in range(4)]
            writer.writerow([words(6 + row, seed + 10 * row), *choices, row % 4])


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """Make a tiny model that reads long texts, and texts of which some are not to be taken."""
    place = tmp_path_factory.mktemp("inputs")
    model = save_tiny(
        "llama", place / "model", num_hidden_layers=LAYERS, max_position_embeddings=CONTEXT
    )
    settings = json.loads((model / "tokenizer_config.json").read_text())
    (model / "tokenizer_config.json").write_text(
        json.dumps(settings | {"model_max_length": CONTEXT})
    )
    (place / "mmlu").mkdir()
    for seed, subject in enumerate(name for names in SUBJECTS.values() for name in names):
        write_questions(place / "mmlu" / f"{subject}_test.csv", 100 * seed)
    documents = [words(120 + 10 * n, n) for n in range(9)]
    documents[2] = "too short"
    documents[4] = ""
    # Merging stops before 800 words: two good pieces around one that is too long.
    documents[6] = "\n\n".join([words(130, 50), words(30, 51), words(700, 52), words(140, 53)])
    documents += [words(125 + 10 * n, 60 + n) for n in range(3)]
    lines = "".join(json.dumps({"text": text}) + "\n" for text in documents)
    (place / "openwebtext.jsonl").write_text(lines)
    return Inputs(model, place / "mmlu", place / "openwebtext.jsonl")


@pytest.fixture(autouse=True, scope="module")
def _process() -> Iterator[None]:
    """Compose the same words once, and put back what entering changes."""
    root, handler = logging.getLogger(), signal.getsignal(signal.SIGTERM)
    handlers, level = list(root.handlers), root.level
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes_module, "compose", composed)
        yield
    signal.signal(signal.SIGTERM, handler)
    root.handlers[:] = handlers
    root.setLevel(level)


def enter(*given: str) -> Ended:
    """Run the study as `python -m` does, in this process."""
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(io.StringIO()) as said:
        patch.setattr(sys, "argv", [MODULE, *given])
        for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
            patch.delenv(name, raising=False)
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(MODULE, run_name="__main__", alter_sys=False)
    assert isinstance(ended.value.code, int)
    lines = [re.sub(r"^\d\d:\d\d:\d\d  ", "", line) for line in said.getvalue().splitlines()]
    return Ended(ended.value.code, lines)


@pytest.fixture(scope="module")
def built(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the tree."""
    output = tmp_path_factory.mktemp("built")
    ended = enter(*inputs.words(output))
    assert ended.code == 0, "\n".join(ended.said)
    [folder] = (output / "published_topologies").iterdir()
    assert ended.said[-1] == f"published_topologies is finished: {folder}"
    assert not [line for line in ended.said if "not 5" in line or "not 8" in line]
    return folder


def read(model: Path, texts: Sequence[str], trunk: Any) -> list[Series]:
    """Read every text by itself with plain transformers: what each block puts out."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    with torch.inference_mode():
        states = [
            trunk.eval()(
                torch.tensor([tokenizer(text)["input_ids"]]), output_hidden_states=True
            ).hidden_states[1:]
            for text in texts
        ]  # fmt: skip
    return [[layer[0].numpy() for layer in text] for text in states]


def pieces(inputs: Inputs) -> list[str]:
    """Choose the pieces of the documents, by the definitions."""
    tokenizer = AutoTokenizer.from_pretrained(inputs.model)
    cut: list[str] = []
    for line in inputs.openwebtext.read_text().splitlines():
        piece = ""
        for paragraph in json.loads(line)["text"].split("\n\n"):
            merged = f"{piece}\n\n{paragraph}" if piece else paragraph
            if piece and len(merged.split()) > 800:
                cut.append(piece)
                merged = paragraph
            piece = merged
        cut.append(piece)
    cut = [text for text in cut if 256 <= len(tokenizer(text)["input_ids"]) <= CONTEXT]
    assert len(cut) == PIECES, "two documents have none, one has two"
    model = AutoModelForCausalLM.from_pretrained(inputs.model).eval()
    loss = []
    for text in cut:
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        with torch.inference_mode():
            loss.append(float(model(ids, labels=ids).loss))
    low, high = np.percentile(np.exp(loss), PERCENTILES)
    kept = [text for text, value in zip(cut, np.exp(loss), strict=True) if low <= value <= high]
    assert kept[:TEXTS] != cut[:TEXTS], "the filter shows"
    assert MANY < len(kept) < len(cut)
    return kept


def questions(inputs: Inputs, subject: str) -> list[str]:
    """Write the prompts of a published folder's questions."""
    prompts = []
    for name in SUBJECTS[subject]:
        with (inputs.mmlu / f"{name}_test.csv").open(newline="") as stream:
            for row in csv.DictReader(stream):
                choices = [f"{'ABCD'[n]}) {row[f'choice{n}']}\n" for n in range(4)]
                prompts.append(f"Question: {row['question']}\n{''.join(choices)}Answer:")
    return prompts


@pytest.fixture(scope="module")
def captured(inputs: Inputs) -> dict[str, list[Series]]:
    """Capture every text's activations, by subject, and of OpenWebText with both models."""
    trained = AutoModel.from_pretrained(inputs.model)
    torch.manual_seed(0)
    untrained = AutoModel.from_config(AutoConfig.from_pretrained(inputs.model))
    texts = pieces(inputs)[:MANY]
    return {
        subject: read(inputs.model, questions(inputs, subject), trained) for subject in SUBJECTS
    } | {
        "openwebtext": read(inputs.model, texts, trained),
        "random": read(inputs.model, texts, untrained),
    }


def said_by_name(file: str) -> tuple[str, range]:
    """Read off a file's name whose texts it is of, and which of them."""
    dataset, subject, folder, name = file.split("/")
    if dataset == "mmlu":
        return subject, range(3 * len(SUBJECTS[subject]))
    if folder == "single_example":
        return "openwebtext", range(1)
    number = int(folder.split("_")[1])
    part = re.search(r"part(\d)", name)
    members = PARTS[number][int(part[1]) - 1] if part else range(number)
    return "random" if "random" in folder else "openwebtext", members


def expected(captured: dict[str, list[Series]], file: str, scheme: str) -> NDArray[np.float64]:
    texts, members = said_by_name(file)
    layers = range(LAYERS) if "all_layers" in file else [LAYER]
    chosen = [[captured[texts][text][layer] for text in members] for layer in layers]
    return reference.topology(chosen, scheme)


@pytest.mark.parametrize("scheme", ["mean", "fisher"])
def test_names_are_exactly_those_that_were_published(built: Path, scheme: str) -> None:
    made = {str(file.relative_to(built / scheme)) for file in (built / scheme).rglob("*.*")}
    assert made == set(FILES)


def test_the_published_numbers_give_the_published_names() -> None:
    config = PublishedTopologiesConfig(**vars(composed("model=qwen0.5b")))
    paths = {path for one in passes(config) for path in one.paths}
    published = [
        "mmlu/psychology/all_layers/all_layers_avg_corr.npy",
        "openwebtext/all_layers/average_100_random_init/all_layers_avg_corr.npy",
        "openwebtext/all_layers/partitioned_100/all_layers_avg_corr_part3.npy",
        "openwebtext/layer12/average_100/layer_12_avg_corr_openwebtext-100.npy",
        "openwebtext/layer12/partitioned_10000/layer_12_avg_corr_part1.npy",
        "openwebtext/layer12/single_example/layer_12_avg_corr_openwebtext-1.npy",
    ]
    assert {f"{scheme}/{path}" for scheme in ("mean", "fisher") for path in published} <= paths
    assert len(paths) == 2 * len(FILES)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("scheme", ["mean", "fisher"])
def test_every_file_is_the_average_that_its_name_says(
    built: Path, captured: dict[str, list[Series]], file: str, scheme: str
) -> None:
    matrix = np.load(built / scheme / file, allow_pickle=False)
    assert matrix.dtype == np.float32
    np.testing.assert_allclose(matrix, expected(captured, file, scheme), rtol=0, atol=3e-6)


def test_no_two_files_are_the_same(built: Path) -> None:
    """Show that the test above tells files from each other."""
    # Of one text in one layer both schemes are the same: the single example and a part of 5 texts.
    assert len(set(matrices(built).values())) == 2 * len(FILES) - 2


def test_the_manifest_tells_of_every_pass_and_file(built: Path) -> None:
    manifest = json.loads((built / "manifest.json").read_text())
    assert list(manifest["passes"]) == PASSES
    assert {f for f in manifest["files"] if f.endswith(".npy")} == {
        f"{scheme}/{file}" for scheme in ("mean", "fisher") for file in FILES
    }
    few = manifest["passes"]["openwebtext"]
    assert few["examples"] == TEXTS
    assert few["skipped"]["perplexity outside percentiles 10 to 90"] > 0
    part = few["files"]["mean/openwebtext/layer1/partitioned_5/layer_1_avg_corr_part3.npy"]
    assert part == {"layers": [LAYER], "scheme": "mean", "examples": 1, "undefined": []}
    assert manifest["passes"]["mmlu-psychology"]["examples"] == 6


def matrices(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.npy")}


@pytest.fixture
def own(inputs: Inputs, tmp_path: Path) -> Inputs:
    """Copy what is read, to change it."""
    return Inputs(
        *(
            Path((shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / path.name))
            for path in (inputs.model, inputs.mmlu, inputs.openwebtext)
        )
    )


@pytest.fixture
def extractions(monkeypatch: pytest.MonkeyPatch) -> Extractions:
    """Note which passes are done, and lose the process in one of them."""
    original = tree_module._extract

    def until(lost: int | None) -> list[str]:
        done: list[str] = []

        def extract(one: Pass, *rest: Any) -> dict[str, Any]:
            if lost is not None and len(done) == lost:
                raise SystemExit(143)  # what SIGTERM raises
            done.append(one.name)
            return original(one, *rest)

        monkeypatch.setattr(tree_module, "_extract", extract)
        return done

    return until


def test_an_interrupted_study_goes_on_where_it_was(
    inputs: Inputs, built: Path, tmp_path: Path, extractions: Extractions
) -> None:
    command = inputs.words(tmp_path / "out")
    extractions(6)
    assert enter(*command).code == 143
    [unfinished] = (tmp_path / "out" / "published_topologies").iterdir()
    before = matrices(unfinished)
    assert {name.split("/")[1] for name in before} == {"mmlu", "openwebtext"}

    done = extractions(None)
    ended = enter(*command)
    assert ended.code == 0
    assert done == PASSES[6:]
    assert f"pass 6 of 8, {PASSES[5]}: done before" in ended.said
    [folder] = (tmp_path / "out" / "published_topologies").iterdir()
    after = matrices(folder)
    assert before.items() <= after.items()
    assert after == matrices(built), "the same bytes as without an interruption"


def test_changed_texts_and_lost_files_make_their_pass_anew_and_no_other(
    own: Inputs, tmp_path: Path, extractions: Extractions
) -> None:
    command = own.words(tmp_path / "out")
    extractions(4)
    assert enter(*command).code == 143
    [unfinished] = (tmp_path / "out" / "published_topologies").iterdir()
    before = matrices(unfinished)
    write_questions(own.mmlu / "miscellaneous_test.csv", seed=999)
    lost = "fisher/mmlu/disputes/layer1/layer_1_avg_corr.npy"
    (unfinished / lost).unlink()

    done = extractions(2)
    assert enter(*command).code == 143, "at the fifth pass"
    assert done == ["mmlu-disputes", "mmlu-miscellaneous"]
    after = matrices(unfinished)
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {
        f"{s}/mmlu/miscellaneous/{name}" for s in ("mean", "fisher") for name in MMLU
    }


def configured(inputs: Inputs, output: Path, **settings: Any) -> PublishedTopologiesConfig:
    """Configure the study."""
    plain = composed("model=local", f"model.path={inputs.model}", "runtime.device=cpu")
    study = PublishedTopologies(
        layer=LAYER, texts=TEXTS, many=MANY, perplexity=PERCENTILES, mmlu_path=str(inputs.mmlu),
        openwebtext_path=str(inputs.openwebtext),
    )  # fmt: skip
    shared = vars(plain) | {"output": str(output)}
    return PublishedTopologiesConfig(**shared, study=replace(study, **settings))


def test_changed_weights_make_all_passes_anew_even_that_of_random_weights(
    own: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[tuple[str, str]] = []

    def note(one: Pass, made_of: dict[str, str], *_: Path) -> dict[str, Any]:
        noted.append((one.name, made_of["model"]))
        return {}

    monkeypatch.setattr(tree_module, "_extract", note)
    tree_module.build(configured(own, tmp_path), tmp_path / "tree")
    other = save_tiny("llama", tmp_path / "other", seed=1, num_hidden_layers=LAYERS)
    shutil.copy(other / "model.safetensors", own.model)
    tree_module.build(configured(own, tmp_path), tmp_path / "tree")
    # The trained ones choose the texts that the random ones read.
    assert len(set(noted)) == 2 * len(PASSES)


def test_a_record_is_gone_before_its_files_are_replaced(
    own: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or, the texts changed back, it would vouch for files of others."""
    record = tmp_path / "tree" / "passes" / "mmlu-disputes.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"files": {}, "fingerprints": {}}))

    def lose(*_: object, **__: object) -> None:
        raise SystemExit(143)

    monkeypatch.setattr(tree_module, "extract_views", lose)
    with pytest.raises(SystemExit):
        tree_module.build(configured(own, tmp_path), tmp_path / "tree")
    assert not record.exists()


def views(config: PublishedTopologiesConfig, name: str, n_examples: int) -> list[View]:
    [one] = [one for one in passes(config) if one.name == name]
    return one.views(n_examples, LAYERS)


def test_fewer_texts_than_asked_for_are_told(
    inputs: Inputs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = configured(inputs, tmp_path)
    views(config, "openwebtext-many", MANY)
    assert not caplog.records
    made = {view.name.split("/", 1)[1]: view for view in views(config, "openwebtext-many", 7)}
    assert caplog.messages == [
        "OpenWebText has only 7 suitable pieces; files named after 8 average over 7"
    ]
    last = made["openwebtext/layer1/partitioned_8/layer_1_avg_corr_part3.npy"]
    assert (last.start, last.stop) == (5, 7)


def test_too_few_texts_for_the_parts_end_the_study(inputs: Inputs, tmp_path: Path) -> None:
    said = (
        "OpenWebText has only 2 suitable pieces, which cannot be split into 3 parts; give more "
        "with study.openwebtext_path"
    )
    with pytest.raises(UserError, match=f"^{re.escape(said)}$"):
        views(configured(inputs, tmp_path), "openwebtext", 2)
    assert views(configured(inputs, tmp_path), "mmlu-disputes", 2), "a subject has no parts"


@pytest.mark.parametrize("layer", [-1, LAYERS])
def test_a_layer_that_is_not_there_is_told_before_any_work(
    inputs: Inputs, tmp_path: Path, layer: int
) -> None:
    said = f"study.layer={layer} is not in the model, whose layers are 0 to 2"
    with pytest.raises(UserError, match=f"^{re.escape(said)}$"):
        tree_module.build(configured(inputs, tmp_path, layer=layer), tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": ({"schemes": ["mean", "pooled"]},
                "study.schemes=[mean,pooled] must be a list, each once, of mean, fisher"),
    "twice": ({"schemes": ["mean", "mean"]},
              "study.schemes=[mean,mean] must be a list, each once, of mean, fisher"),
    "no scheme": ({"schemes": []},
                  "study.schemes=[] must be a list, each once, of mean, fisher"),
    "texts": ({"texts": 2}, "study.texts=2 is too small; give 3 or more"),
    "many": ({"many": 5}, "study.many=5 must be more than study.texts=5"),
    "percentiles": ({"perplexity": [99.0, 1.0]},
                    "study.perplexity=[99.0, 1.0] must be two percentiles from 0 to 100, the "
                    "lower first, e.g. study.perplexity=[1,99]"),
    "mmlu": ({"mmlu_path": "nowhere"}, "study.mmlu_path=nowhere does not exist"),
    "openwebtext": ({"openwebtext_path": "nowhere"},
                    "study.openwebtext_path=nowhere does not exist"),
}  # fmt: skip


@pytest.mark.parametrize(("settings", "said"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_cost_one_sentence(
    inputs: Inputs, tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    made = configured(inputs, tmp_path, **settings)
    with pytest.raises(UserError, match=f"^{re.escape(said)}"):
        (api.check(made), check(made))


def test_the_seed_of_the_random_weights_can_be_given() -> None:
    config = PublishedTopologiesConfig(**vars(replace(composed(), init=InitConfig(seed=7))))
    check(config)
    kinds = {one.name: one.config.init for one in passes(config)}
    assert kinds["openwebtext-random-init"].seed == 7
    assert [name for name, init in kinds.items() if init.kind == "random"] == [
        "openwebtext-random-init"
    ]


def test_a_reference_that_is_none_is_told_before_any_work(inputs: Inputs, tmp_path: Path) -> None:
    config = replace(configured(inputs, tmp_path), reference="nowhere")
    with pytest.raises(
        UserError, match=r"^reference=nowhere is not a folder; give that of the publi"
    ):
        tree_module.build(config, tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


def edited(matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    """Move one pair of entries by 0.5, another by 0.25."""
    copy = matrix.astype(np.float64)
    for (i, j), step in {(0, 1): 0.5, (2, 5): -0.25}.items():
        copy[[i, j], [j, i]] += step
    return copy


def clipped(matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    """Average Fisher's z of the matrix alone, as the published code does it, diagonal included."""
    return np.tanh(np.arctanh(np.clip(matrix.astype(np.float64), -(1 - 1e-7), 1 - 1e-7)))


@pytest.fixture(scope="module")
def downloaded(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a copy of the published files that differs in what is known."""
    folder = tmp_path_factory.mktemp("downloaded")
    made = {file: np.load(built / "mean" / file) for file in FILES}
    psychology, disputes, miscellaneous = (
        f"mmlu/{subject}/all_layers/all_layers_avg_corr.npy"
        for subject in ("psychology", "disputes", "miscellaneous")
    )
    one = "mmlu/psychology/layer1/layer_1_avg_corr"
    texts = "openwebtext/all_layers/average_5/all_layers_avg_corr.npy"
    gaps = made[texts].copy()
    gaps[3, :] = gaps[:, 3] = np.nan
    contents = {
        psychology: edited(made[psychology]),
        f"{one}_mmlu-psychology.npy": clipped(np.load(built / "fisher" / f"{one}.npy")),
        disputes: made[disputes][:-1],
        miscellaneous: np.array([{}], dtype=object),
        texts: gaps,
        "openwebtext/cross_layer/full_avg_corr.npy": np.eye(4),
    }
    for file, matrix in contents.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / file, matrix, allow_pickle=True)
    return folder


@pytest.fixture(scope="module")
def compared(inputs: Inputs, built: Path, downloaded: Path) -> Ended:
    """Compare the finished tree."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(tree_module, "_extract")  # nothing is made again
        return enter(*inputs.words(built.parent.parent), f"reference={downloaded}")


def test_a_reference_is_compared_file_by_file(
    built: Path, downloaded: Path, compared: Ended
) -> None:
    assert compared.code == 0
    table = built.parent / f"{built.name}-comparison.csv"
    assert compared.said[-1] == f"comparison: {table}"
    with table.open(newline="") as stream:
        rows = {(row["scheme"], row["file"]): row for row in csv.DictReader(stream)}
    assert set(rows) == {(scheme, file) for scheme in ("mean", "fisher") for file in FILES}

    file = "mmlu/psychology/all_layers/all_layers_avg_corr.npy"
    row = rows["mean", file]
    n = len(np.load(built / "mean" / file))
    assert (row["published"], row["note"]) == ("mean", "")
    assert float(row["largest"]) == pytest.approx(0.5)
    assert float(row["mean"]) == pytest.approx(2 * (0.5 + 0.25) / (n * (n - 1)))
    off = ~np.eye(n, dtype=bool)
    ours, theirs = (np.load(folder / file)[off] for folder in (built / "mean", downloaded))
    correlation = np.mean((ours - ours.mean()) * (theirs - theirs.mean()))
    correlation /= np.std(ours, dtype=float) * np.std(theirs)
    assert float(row["correlation"]) == pytest.approx(correlation, abs=1e-6)
    [line] = [line for line in compared.said if line.startswith(f"mean/{file}")]
    assert line == (
        f"mean/{file} differs by up to 0.5, {1.5 / (n * (n - 1)):.3g} on average, "
        f"r = {correlation:.6f}; the published scheme is mean"
    )

    row = rows["fisher", "mmlu/psychology/layer1/layer_1_avg_corr.npy"]
    assert row["published"] == "fisher"
    assert float(row["largest"]) < 1e-6
    assert row["note"] == "there layer_1_avg_corr_mmlu-psychology.npy"
    assert float(rows["mean", "mmlu/psychology/layer1/layer_1_avg_corr.npy"]["largest"]) > 1e-3

    row = rows["mean", "openwebtext/all_layers/average_5/all_layers_avg_corr.npy"]
    assert (row["published"], float(row["largest"])) == ("mean", 0)
    assert row["note"] == f"{2 * n - 1} of its entries are not finite"
    assert "files of the reference that are not built here: 1" in compared.said


@pytest.mark.parametrize(
    ("file", "note"),
    [
        ("mmlu/disputes/all_layers/all_layers_avg_corr.npy",
         "is of shape (16, 16), in the reference (15, 16)"),
        ("mmlu/disputes/layer1/layer_1_avg_corr.npy", "is not in the reference"),
        ("mmlu/miscellaneous/all_layers/all_layers_avg_corr.npy",
         "cannot be read in the reference: Object arrays cannot be loaded when allow_pickle=False"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_said(compared: Ended, file: str, note: str) -> None:
    assert f"mean/{file} {note}" in compared.said


def test_a_folder_without_the_files_is_no_reference(
    inputs: Inputs, built: Path, tmp_path: Path
) -> None:
    config = replace(configured(inputs, tmp_path), reference=str(tmp_path))
    said = f"reference={tmp_path} has none of the files, e.g. {sorted(FILES)[0]}"
    with pytest.raises(UserError, match=f"^{re.escape(said)}$"):
        compare(config, built)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_diagonal_says_how_a_matrix_was_averaged(dtype: type) -> None:
    z = np.arctanh(np.full((2, 3, 3), 1 - 1e-7)).mean(axis=0)
    assert infer_scheme(np.tanh(z).astype(dtype)) == "fisher"
    assert infer_scheme(np.ones((3, 3), dtype)) == "mean"
    assert infer_scheme(np.diag([1, 1, 0]).astype(dtype)) == "mean", "one was never defined"
    assert infer_scheme(np.zeros((3, 3), dtype)) == "unknown"
    assert infer_scheme(np.full((3, 3), np.nan, dtype)) == "unknown"


@pytest.mark.processes
def test_help_is_there_at_once() -> None:
    code = (
        "import runpy, sys\n"
        "sys.argv[1:] = ['--help']\n"
        "try:\n"
        f"    runpy.run_module('{MODULE}', run_name='__main__')\n"
        "finally:\n"
        "    print(sorted({'torch', 'transformers', 'scipy', 'wandb'} & set(sys.modules)))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout.endswith("[]\n")
    assert f"python -m {MODULE} model=qwen0.5b reference=DIR" in ran.stdout
    assert "study.openwebtext_path" in ran.stdout
