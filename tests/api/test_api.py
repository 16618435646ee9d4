"""Notebooks and studies get what the command line does, and the activations."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

from probe import api
from probe.api import ExampleActivations
from probe.api.given import words_of
from probe.cli import compose_job
from probe.config import Config, Selection
from probe.models.place import ASSETS
from tests.config.compositions import TEXT
from tests.run_folders import draw_dots

SENTENCE = "In year {} the river carried {} boats of sand to the sea. "


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Write texts of different lengths, so that batches are padded and reordered."""
    return ["".join(SENTENCE.format(n, 17 * n + k) for k in range(1 + n)) for n in (2, 0, 3, 1)]


@pytest.fixture(scope="module")
def words(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Say what to read; a batch takes two texts."""
    place = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    place.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return [
        "model=tiny", "data=text", f"data.path={place}", "layers=each", "tracking=none",
        "runtime.device=cpu", "runtime.token_budget=250", "measures.rewired=0",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def hidden(texts: list[str]) -> list[tuple[Tensor, ...]]:
    """Forward every text by itself through the model as transformers loads it."""
    model = AutoModel.from_pretrained(ASSETS / "tiny", dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(ASSETS / "tiny")
    with torch.inference_mode():
        return [
            model(
                **tokenizer(text, return_tensors="pt"), output_hidden_states=True
            ).hidden_states
            for text in texts
        ]  # fmt: skip


@pytest.fixture(scope="module")
def whole(words: list[str]) -> list[ExampleActivations]:
    return read(*words)


def read(*words: str) -> list[ExampleActivations]:
    return sorted(api.iterate(*words), key=lambda example: example.example)


def test_activations_are_those_of_a_plain_forward_pass(
    whole: list[ExampleActivations], texts: list[str], hidden: list[tuple[Tensor, ...]]
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(ASSETS / "tiny")
    assert [example.example for example in whole] == [0, 1, 2, 3]
    for example, text, states in zip(whole, texts, hidden, strict=True):
        assert example.tokens.tolist() == tokenizer(text)["input_ids"]
        assert list(example.layers) == [0, 1, 2, 3, 4, 5]
        for layer, activations in example.layers.items():
            expected = states[layer + 1][0]
            assert activations.shape == expected.shape
            torch.testing.assert_close(activations, expected, rtol=1e-5, atol=1e-5)


def test_the_examples_are_read_in_padded_batches(words: list[str]) -> None:
    """Show that the test above says something about padding."""
    lengths = {e.example: len(e.tokens) for e in api.iterate(*words, "layers=0")}
    assert list(lengths) == [2, 0, 3, 1], "longest first"
    assert 2 * lengths[2] <= 250, "the longest two share a batch"
    assert lengths[2] != lengths[0]


def test_examples_know_their_documents(whole: list[ExampleActivations]) -> None:
    assert [example.document for example in whole] == [f"texts.jsonl/{row}" for row in range(4)]


def test_a_configuration_reads_what_its_words_read(
    words: list[str], whole: list[ExampleActivations]
) -> None:
    """A study's own keys, which no extraction knows, do not disturb."""

    @dataclass
    class Settings(Config):
        study: str = "mine"

    config = api.compose(*words)
    plain = {field.name: getattr(config, field.name) for field in fields(Config)}
    for again in (config, Settings(**plain)):
        found = sorted(api.iterate(again), key=lambda example: example.example)
        assert [example.document for example in found] == [e.document for e in whole]
        for example, expected in zip(found, whole, strict=True):
            assert torch.equal(example.tokens, expected.tokens)
            torch.testing.assert_close(example.layers, expected.layers, rtol=0, atol=0)


def test_documents_and_perplexities_are_those_of_the_examples(
    words: list[str], texts: list[str], tmp_path: Path
) -> None:
    config = api.compose(*words, f"output={tmp_path}")
    assert [document.text for document in api.documents(config)] == texts
    model = AutoModelForCausalLM.from_pretrained(ASSETS / "tiny", dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(ASSETS / "tiny")
    with torch.inference_mode():
        encoded = [tokenizer(text, return_tensors="pt") for text in texts]
        expected = [float(model(**one, labels=one["input_ids"]).loss.exp()) for one in encoded]
    np.testing.assert_allclose(api.perplexities(config), expected, rtol=1e-4)


def test_first_tokens_are_left_out_after_the_model_has_read_them(
    words: list[str], whole: list[ExampleActivations], hidden: list[tuple[Tensor, ...]]
) -> None:
    for example, full, states in zip(
        read(*words, "data.skip_first=3", "layers=[1,5]"), whole, hidden, strict=True
    ):
        assert example.tokens.tolist() == full.tokens.tolist()[3:]
        assert list(example.layers) == [1, 5]
        for layer, activations in example.layers.items():
            expected = states[layer + 1][0, 3:]
            torch.testing.assert_close(activations, expected, rtol=1e-5, atol=1e-5)


def test_what_was_yielded_stays_as_it_was(
    words: list[str], hidden: list[tuple[Tensor, ...]]
) -> None:
    kept = dict.fromkeys(range(4), torch.empty(0))
    for example in api.iterate(*words, "layers=2"):
        kept[example.example] = example.layers[2]
    for number, activations in kept.items():
        torch.testing.assert_close(activations, hidden[number][3][0], rtol=1e-5, atol=1e-5)


def test_reading_can_stop_early(words: list[str]) -> None:
    reading = api.iterate(*words, "layers=0")
    assert next(reading).layers[0].shape[1] == 128
    reading.close()
    assert len(read(*words, "layers=0")) == 4


def test_the_example_that_is_averaged_alone_is_read_alone(words: list[str]) -> None:
    (example,) = read(*words, "average=single", "average.example=2", "layers=0")
    assert example.document == "texts.jsonl/2"


def test_other_sites_have_their_own_width(words: list[str]) -> None:
    config = AutoModel.from_pretrained(ASSETS / "tiny").config
    example = read(*words, "layers=1", "site=mlp")[0]
    assert example.layers[1].shape == (len(example.tokens), config.intermediate_size)


def test_extract_gives_what_run_writes_and_writes_nothing(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_dots(monkeypatch)
    monkeypatch.chdir(tmp_path)
    extracted = api.extract(*words, "average.std=true")
    assert list(tmp_path.iterdir()) == []
    folder = api.run(*words, "average.std=true")
    assert folder.resolve().is_relative_to(tmp_path / "outputs")
    loaded = api.load_topologies(folder)
    assert [topology.name for topology in extracted] == [f"layer_{n}" for n in range(6)]
    for one, other in zip(extracted, loaded, strict=True):
        assert one.record() == other.record()
        np.testing.assert_array_equal(one.matrix, other.matrix)
        np.testing.assert_array_equal(one.standard_error, other.standard_error)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert api.fingerprints(api.compose(*words)).items() <= manifest["fingerprints"].items()
    one = api.load_topology(folder, "layer_3")
    assert api.measure(one).neurons == one.n_neurons == 128
    assert (folder / "overrides.yaml").read_text().count("\n") == len(words) + 1


@pytest.mark.usefixtures("one_process")
def test_two_ranks_find_what_one_finds(words: list[str]) -> None:
    how = ["layers=all", "average.parts=2", "average.std=true", "null.shifts=2", "null.seed=3"]
    alone, both = (api.extract(*words, *how, f"launch.num_processes={n}") for n in (1, 2))
    for one, two in zip(alone, both, strict=True):
        np.testing.assert_allclose(two.matrix, one.matrix, atol=1e-7, rtol=0)
        np.testing.assert_allclose(two.standard_error, one.standard_error, atol=1e-7, rtol=0)
        mine, theirs = one.record(), two.record()
        known, found = mine.pop("reliability"), theirs.pop("reliability")
        assert theirs == mine
        assert len(numbers_of(known)) > 30
        assert numbers_of(found) == pytest.approx(numbers_of(known), rel=1e-5, abs=1e-7)
        assert known["null"]["shifts"] == 2
        assert known["split_half"] is not None
        assert len(known["layer_agreement"]) == 6
    assert not np.allclose(alone[0].matrix, alone[1].matrix, atol=0.01)


def numbers_of(record: Any, name: str = "") -> dict[str, float]:
    """Flatten a record; of the null's histogram, rounded at the bins' bounds, its total only."""
    if isinstance(record, dict):
        parts = record | ({"counts": sum(record["counts"])} if "counts" in record else {})
        found = {f"{name}/{k}": v for k, v in parts.items()}
    elif isinstance(record, list):
        found = {f"{name}/{k}": v for k, v in enumerate(record)}
    else:
        return {name: record}
    return {k: v for key, value in found.items() for k, v in numbers_of(value, key).items()}


def test_compose_reads_the_words_of_the_command_line() -> None:
    config = api.compose("model=tiny", "layers=[4,1]", "data.limit=3", "average=partitioned")
    assert (config.layers.selection, config.layers.index) == (Selection.single, [4, 1])
    assert config.data.limit == 3
    assert config.average.parts == 3


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("data.limitt=3", "data.limit"),
        ("modle=tiny", "model"),
        ("average=means", "mean"),
        ("+data.new=3", "data.new"),
        ("data.limit=-1", "data.limit=-1 is too small"),
    ],
)
def test_compose_words_a_mistake_in_one_line(word: str, hint: str) -> None:
    with pytest.raises(api.UserError) as caught:
        api.compose(word)
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["data.limit=3", "layers=[1,3]", "init=random", "data.perplexity=[1,99]"],
        ["data=mmlu", "subject=law", "data.split='a b'", "layers=full"],
        ["data=wikitext", "layers=cross", "average=fisher"],
        ["data=table", f"data.path='{TEXT}'", r"data.template='Who \"w\" {title}? \${a}'"],
    ],
    ids=" ".join,
)
def test_a_configuration_can_be_written_as_words(words: list[str]) -> None:
    config = compose_job(words)
    assert compose_job(words_of(config)) == config


def test_words_may_follow_a_configuration() -> None:
    config = api.compose("data.limit=3", "layers=[1,3]")
    assert api.compose(config) is config
    again = api.compose(config, "layers=2")
    assert (again.layers.index, again.data.limit) == (2, 3)
    assert config.layers.index == [1, 3], "it is not changed"


TAKE_WORDS = [
    "compose", "run", "extract", "iterate", "documents", "perplexities", "fingerprints", "series",
]  # fmt: skip


@pytest.mark.parametrize("name", TAKE_WORDS)
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"data.limit": 3}, "or a configuration, not a value of type dict"),
        (["data.limit=3"], "of type list: write *words to give a list of them"),
        (("data.limit=3",), "of type tuple: write *words to give a list of them"),
        (None, "not None"),
        (3, "not a value of type int"),
    ],
    ids=str,
)
def test_wrong_types_are_answered_in_a_sentence(name: str, given: Any, said: str) -> None:
    with pytest.raises(api.UserError) as refused:
        getattr(api, name)(given)
    assert str(refused.value).startswith("give words such as 'data.limit=20', or a configuration")
    assert str(refused.value).endswith(said)


@pytest.mark.parametrize("read", [api.load_topology, api.load_topologies, api.read_manifest])
def test_what_is_no_folder_of_a_run_is_told(read: Any, tmp_path: Path) -> None:
    with pytest.raises(api.UserError, match=r"^give the folder of a finished run, not a value"):
        read(None)
    with pytest.raises(api.UserError, match="is not a finished run: it has no manifest"):
        read(str(tmp_path))


def test_two_configurations_are_one_too_many() -> None:
    config = api.compose()
    with pytest.raises(api.UserError, match="give one configuration, and words behind it"):
        api.iterate(config, config)


def test_a_run_of_a_configuration_is_that_of_its_words(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_dots(monkeypatch)
    few = [*words, "layers=1", "data.limit=2", f"output={tmp_path}"]
    run = api.run(api.compose(*few))
    assert api.run(*few) == run
    saved = yaml.safe_load((run / "overrides.yaml").read_text())
    assert api.compose(*saved) == api.compose(*few)


def test_iterate_reads_every_layer_where_a_run_would_average(words: list[str]) -> None:
    every = ["layers=all", "site=mlp", "data.limit=1"]
    with pytest.raises(api.UserError, match="layers=all with site=mlp would average"):
        api.extract(*words, *every)
    [example] = api.iterate(*words, *every)
    assert list(example.layers) == [0, 1, 2, 3, 4, 5]


def test_compose_refuses_a_sweep() -> None:
    with pytest.raises(api.UserError, match="several values"):
        api.compose("layers=0,1")
    with pytest.raises(api.UserError, match="give those of a single run"):
        api.compose("-m", "layers=0,1")


def test_every_name_that_is_offered_is_there_and_no_other() -> None:
    assert all(hasattr(api, name) for name in api.__all__)
    assert dir(api) == sorted(api.__all__)
    with pytest.raises(AttributeError, match="no attribute 'factors_of_one'"):
        _ = api.factors_of_one  # type: ignore[attr-defined]
