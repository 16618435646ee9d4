"""Continuations against plain forward passes, and reading them against reading meanwhile."""

import json
import logging
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from probe import api
from probe.api import Document, UserError
from probe.api.parts import planned
from probe.examples.batches import Batch
from probe.examples.explicit import wording
from probe.extraction.generation import Choose
from probe.interventions.survey import survey
from tests.tiny_models import save_tiny

NEW = 6
TEXTS = ["Boats", *(f"The {'long ' * n}river carried {n} boats of sand to" for n in range(7))]
DRAWN = "data.temperature=1.5"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("llama", tmp_path_factory.mktemp("model") / "llama")


@pytest.fixture(scope="module")
def words(model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("texts")
    texts = folder / "texts.jsonl"
    texts.write_text("\n".join(json.dumps({"text": text}) for text in TEXTS))
    return [
        "model=local", f"model.path={model}", "data=text", f"data.path={texts}",
        f"output={folder}", f"data.generate={NEW}", "data.min_tokens=2", "runtime.device=cpu",
        "tracking=none",
    ]  # fmt: skip


def own_copy(model: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()


# For reading only.
whole = cache(own_copy)


def greedy(model: Path, text: str, n: int = NEW) -> list[int]:
    """Take the likeliest token, again and again, each by a plain forward pass."""
    loaded, tokenizer = whole(model), AutoTokenizer.from_pretrained(model)
    ids: list[int] = tokenizer(text)["input_ids"]
    written = []
    for _ in range(n):
        with torch.no_grad():
            token = int(loaded(torch.tensor([ids + written])).logits[0, -1].argmax())
        if token == tokenizer.eos_token_id:
            break
        written.append(token)
    return written


def generated(document: Document) -> list[int]:
    return list(document.ids[slice(*document.spans["generated"])])


def by_name(documents: list[Document]) -> dict[str, list[int]]:
    return {document.name: generated(document) for document in documents}


def elsewhere(words: list[str], folder: Path) -> list[str]:
    """Where nothing is kept yet."""
    return [*words, f"output={folder}"]


@pytest.mark.parametrize("budget", [1, 60, 4096])
@pytest.mark.parametrize("side", ["left", "right"])
def test_without_a_temperature_the_likeliest_tokens_are_written(
    model: Path, words: list[str], tmp_path: Path, budget: int, side: str
) -> None:
    given = [f"runtime.token_budget={budget}", f"model.padding_side={side}"]
    found = api.generate(*elsewhere(words, tmp_path), *given)
    assert [generated(document) for document in found] == [greedy(model, text) for text in TEXTS]


def test_documents_are_the_prompts_with_their_continuations(model: Path, words: list[str]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model)
    for document, text in zip(api.generate(*words), TEXTS, strict=True):
        (prompt, before), (part, behind) = document.parts
        assert (prompt, part, before) == ("prompt", "generated", text)
        assert document.text == text + behind
        assert behind == tokenizer.decode(greedy(model, text))
        length = len(tokenizer(text)["input_ids"])
        assert document.spans == {"prompt": (0, length), "generated": (length, length + NEW)}
        assert list(document.ids[:length]) == tokenizer(text)["input_ids"]


def traps() -> GenerationConfig:
    """Make settings of a model's own, each of which would change what it writes."""
    return GenerationConfig(
        do_sample=True, temperature=9.0, top_k=1, repetition_penalty=8.0, no_repeat_ngram_size=1,
        max_length=3, min_new_tokens=2, suppress_tokens=list(range(1, 200)), eos_token_id=0,
        num_beams=1, forced_eos_token_id=0,
    )  # fmt: skip


def test_a_models_own_settings_change_nothing(
    model: Path, words: list[str], tmp_path: Path
) -> None:
    own = tmp_path / "own"
    loaded = own_copy(model)
    loaded.generation_config = traps()
    loaded.save_pretrained(own)
    AutoTokenizer.from_pretrained(model).save_pretrained(own)
    prompt = AutoTokenizer.from_pretrained(model)(TEXTS[1], return_tensors="pt")
    trapped = AutoModelForCausalLM.from_pretrained(own).generate(**prompt, max_new_tokens=NEW)
    start = prompt["input_ids"].shape[1]
    assert trapped[0, start:].tolist() != greedy(model, TEXTS[1])
    for drawn in ([], [DRAWN]):
        found = api.generate(*words, *drawn, f"model.path={own}")
        assert by_name(found) == by_name(api.generate(*words, *drawn))


def ending_with(model: Path, folder: Path, ends: list[int]) -> Path:
    """Save the model with other tokens that end a text, in a list as instruct models have it."""
    loaded = own_copy(model)
    loaded.generation_config = GenerationConfig(eos_token_id=ends)
    loaded.save_pretrained(folder)
    AutoTokenizer.from_pretrained(model).save_pretrained(folder)
    return folder


def test_the_token_that_ends_a_text_is_left_out_and_so_are_empty_continuations(
    model: Path, words: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "probe")
    usual = [greedy(model, text) for text in TEXTS]
    ends = [usual[0][3], usual[2][0]]
    own = ending_with(model, tmp_path / "own", ends)
    expected = {}
    for number, ids in enumerate(usual):
        stop = next((place for place, token in enumerate(ids) if token in ends), NEW)
        if stop:
            expected[f"texts.jsonl/{number}"] = ids[:stop]
    assert 3 in map(len, expected.values())
    empty = len(TEXTS) - len(expected)
    assert empty
    given = [*words, f"model.path={own}"]
    assert by_name(api.generate(*given)) == expected
    assert f"{empty} left out: an empty continuation" in caplog.text
    read = api.series(*given, "layers=0", "data.part=generated")
    assert {one.document: read.tokens(one.example).tolist() for one in read.examples} == {
        name: ids for name, ids in expected.items() if len(ids) >= 2
    }


def test_what_is_drawn_depends_on_prompt_and_seed_alone(words: list[str], tmp_path: Path) -> None:
    usual = by_name(api.generate(*words, DRAWN))
    assert usual != by_name(api.generate(*words))
    assert usual != by_name(api.generate(*words, DRAWN, "data.seed=1"))
    prompts = api.documents(*words)
    small = elsewhere(words, tmp_path)
    assert by_name(api.generate(*small, DRAWN, "runtime.token_budget=1")) == usual
    turned = api.generate(*words, DRAWN, prompts=prompts[::-2])
    assert [document.name for document in turned] == [one.name for one in prompts[::-2]]
    assert by_name(turned).items() <= usual.items()
    # What other runs have drawn in the meantime does not matter.
    torch.manual_seed(7)
    np.random.seed(7)
    assert by_name(api.generate(*elsewhere(words, tmp_path / "b"), DRAWN)) == usual


@pytest.mark.usefixtures("one_process")
@pytest.mark.parametrize("drawn", [[], [DRAWN]], ids=["greedy", "drawn"])
def test_three_ranks_write_the_same(words: list[str], tmp_path: Path, drawn: list[str]) -> None:
    several = [*elsewhere(words, tmp_path), "launch.num_processes=3", "runtime.token_budget=60"]
    assert by_name(api.generate(*several, *drawn)) == by_name(api.generate(*words, *drawn))


def test_tokens_are_drawn_as_often_as_the_softmax_says() -> None:
    logits = torch.tensor([0.3, -1.0, 2.0, 0.0, 1.1, float("-1e9")])
    temperature, n = 0.7, 20_000
    prompts = Batch(list(range(n)), [[k] for k in range(n)])
    choose = Choose(temperature, 3, prompts, [])
    for _ in range(2):  # the noise of another step is another one
        drawn = choose(torch.zeros(n, 1), logits.expand(n, -1)).argmax(dim=1)
        expected = torch.softmax(logits.double() / temperature, 0)[:5].numpy() * n
        counts = np.bincount(drawn.numpy(), minlength=6)
        assert counts[5] == 0
        assert stats.chisquare(counts[:5], expected * n / expected.sum()).pvalue > 0.01
    first, second = (Choose(1.0, 3, Batch([0], [[5, 6]]), []) for _ in range(2))
    zeros = torch.zeros(1, 50)
    steps = [first(zeros, zeros) for _ in range(3)]
    assert len({float(step[0, 0]) for step in steps}) == 3
    assert torch.equal(second(zeros, zeros), steps[0])


# Reading: the position whose input is a generated token, by an own loop with a cache.


def watched(model: Path, document: Document, layers: range) -> Iterator[tuple[int, torch.Tensor]]:
    """Read a document as `generate` does, the prompt and then each token, with hooks on blocks."""
    loaded = whole(model)
    start = document.spans["generated"][0]
    seen: dict[int, list[torch.Tensor]] = {layer: [] for layer in layers}

    def hook(layer: int) -> Any:
        def take(_: Any, __: Any, output: Any) -> None:
            seen[layer].append((output[0] if isinstance(output, tuple) else output)[0, -1:])

        return take

    blocks = loaded.model.layers if hasattr(loaded, "model") else loaded.transformer.h
    handles = [blocks[layer].register_forward_hook(hook(layer)) for layer in layers]
    past = None
    with torch.no_grad():
        for piece in (document.ids[:start], *((token,) for token in document.ids[start:])):
            output = loaded(torch.tensor([piece]), past_key_values=past, use_cache=True)
            past = output.past_key_values
    for handle in handles:
        handle.remove()
    for layer in layers:
        yield layer, torch.cat(seen[layer][1:])


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
@pytest.mark.parametrize("drawn", [[], [DRAWN]], ids=["greedy", "drawn"])
@pytest.mark.parametrize("budget", [1, 70, 4096])
def test_one_pass_reads_what_the_model_computes_while_it_writes(
    words: list[str], tmp_path: Path, architecture: str, drawn: list[str], budget: int
) -> None:
    model = save_tiny(architecture, tmp_path / architecture)
    given = [
        *words, *drawn, f"model.path={model}", "site=residual_raw", f"runtime.token_budget={budget}"
    ]  # fmt: skip
    written = {document.name: document for document in api.generate(*given)}
    read = list(api.iterate(*given, "data.part=generated"))
    assert len(read) == len(written) > 3
    for example in read:
        document = written[example.document]
        assert example.tokens.tolist() == generated(document)
        for layer, expected in watched(model, document, range(3)):
            torch.testing.assert_close(example.layers[layer], expected, atol=1e-5, rtol=1e-5)


def test_so_do_hooks_on_generate_itself(model: Path, words: list[str]) -> None:
    """The last token is read only by a model that goes on: it is to write one more."""
    loaded, tokenizer = whole(model), AutoTokenizer.from_pretrained(model)
    for example in api.iterate(*words, "data.part=generated", "layers=1"):
        text = TEXTS[int(example.document.rpartition("/")[2])]
        inputs = tokenizer(text, return_tensors="pt")
        seen: list[torch.Tensor] = []
        handle = loaded.model.layers[1].register_forward_hook(
            lambda _, __, output, seen=seen: seen.append(output)
        )
        ids = loaded.generate(**inputs, max_new_tokens=NEW + 1, do_sample=False, eos_token_id=None)
        handle.remove()
        start = inputs["input_ids"].shape[1]
        assert ids[0, start:-1].tolist() == example.tokens.tolist()
        assert [one.shape[1] for one in seen] == [start] + [1] * NEW
        expected = torch.cat([one[0] for one in seen[1:]])
        torch.testing.assert_close(example.layers[1], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("drawn", [[], [DRAWN]], ids=["greedy", "drawn"])
@pytest.mark.usefixtures("warm_ranks")
def test_ranks_that_are_processes_write_and_read_the_same(
    model: Path, words: list[str], tmp_path: Path, processes: int, drawn: list[str]
) -> None:
    given = [
        *elsewhere(words, tmp_path), *drawn, f"launch.num_processes={processes}",
        "runtime.token_budget=60", "data.part=generated", "site=residual_raw",
    ]  # fmt: skip
    written = {document.name: document for document in api.generate(*given)}
    assert by_name([*written.values()]) == by_name(api.generate(*words, *drawn))
    store = api.series(*given)
    for one in store.examples:
        for layer, expected in watched(model, written[one.document], range(3)):
            found = store.read(one.example, layer)
            np.testing.assert_allclose(found, expected.numpy(), atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("no_figures")
def test_a_run_over_generated_tokens_correlates_these_alone(
    words: list[str], tmp_path: Path
) -> None:
    given = [*words, "data.part=generated", "layers=1"]
    series = [example.layers[1] for example in api.iterate(*given)]
    expected = np.mean([np.corrcoef(one.double().numpy().T) for one in series], axis=0)
    run = api.run(*given, f"output={tmp_path}")
    topology = api.load_topology(run)
    np.testing.assert_allclose(topology.matrix, expected, atol=1e-6)
    manifest = api.read_manifest(run)
    assert manifest["tokens"] == NEW * len(series) == topology.reliability.tokens
    # The prompts count where nothing else is said.
    both = api.extract(*words, "layers=1")[0]
    assert both.reliability.tokens > manifest["tokens"] + len(series)


def test_continuations_are_kept_and_found_again(
    words: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "probe")
    given = elsewhere(words, tmp_path)
    first = api.generate(*given)
    assert caplog.text.count("generating 6 tokens behind 8 examples") == 1
    # Untrained weights read what the trained ones have written.
    for more in (["init=random"], ["layers=0", "data.part=generated"]):
        assert by_name(api.generate(*given, *more)) == by_name(first)
    seeded = api.compose(*given)
    seeded.data.seed = 4  # which the command line refuses where nothing is drawn
    assert by_name(api.generate(seeded)) == by_name(first)
    assert caplog.text.count("generating") == 1
    api.generate(*given, DRAWN)
    assert caplog.text.count("generating") == 2


def test_an_instruct_model_answers_in_its_template(
    model: Path, words: list[str], tmp_path: Path
) -> None:
    chat = tmp_path / "chat"
    whole(model).save_pretrained(chat)
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = (
        "{% for turn in messages %}[{{turn.role}}] {{turn.content}}{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    tokenizer.save_pretrained(chat)
    prompt = Document("a", "How long?", turns=(("user", "How long?"),), labels={"kind": "boat"})
    [found] = api.generate(*words, f"model.path={chat}", "model.chat=true", prompts=[prompt])
    asked = "[user] How long?[assistant]"
    assert list(found.ids[: found.spans["prompt"][1]]) == tokenizer(asked)["input_ids"]
    assert generated(found) == greedy(model, asked)
    assert found.parts[0] == ("prompt", "How long?")
    assert (found.name, found.labels) == ("a", {"kind": "boat"})


def test_prompts_are_continued_however_short_they_are(words: list[str]) -> None:
    prompts = [Document("a", "Boats"), Document("b", "sea")]
    strict = [*words, "data.min_tokens=60", "data.limit=1", "data.skip_first=2"]
    assert [one.name for one in api.generate(*strict, prompts=prompts)] == ["a", "b"]


def test_pieces_of_a_text_are_continued_each(model: Path, words: list[str]) -> None:
    text = Document("a", "The river carries sand to the sea, and the sea carries it back.")
    given = [*words, "data.cut=tokens", "data.window=10", "data.min_tokens=7"]
    found = api.generate(*given, prompts=[text])
    assert [document.name for document in found] == [f"a/{k}" for k in range(len(found))]
    assert len(found) > 2
    for document in found:
        assert document.group == "a"
        assert dict(document.parts)["prompt"] in text.text
        assert generated(document) == greedy(model, dict(document.parts)["prompt"])


def test_a_space_that_a_tokenizer_drops_is_in_the_text(model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model)
    usual = tokenizer.decode

    def decode(ids: list[int], **how: Any) -> str:
        text: str = usual(ids, **how)
        return text.removeprefix(" ")  # as SentencePiece does

    tokenizer.decode = decode
    ids = tokenizer("The river carries sand")["input_ids"]
    for start in range(1, len(ids)):
        both = decode(ids[:start]) + wording(tokenizer, ids, (start, len(ids)))
        assert both == "The river carries sand"


def test_a_survey_of_generated_tokens_leaves_the_prompts_out(words: list[str]) -> None:
    config = api.compose(*words, "data.part=generated")
    read = torch.cat([one.layers[1] for one in api.iterate(config, "layers=1")]).double()
    examples = planned(config)[1].chosen
    found = survey(config, examples, [1])
    torch.testing.assert_close(found["1/mean"], read.mean(dim=0), rtol=1e-6, atol=1e-6)


# What cannot be continued.


def test_prompts_beyond_the_context_are_left_out_and_counted(
    words: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "probe")
    found = api.generate(*words, "data.generate=100")
    assert len(found) < len(TEXTS)
    assert f"{len(TEXTS) - len(found)} left out: more than 28 tokens" in caplog.text
    assert max(len(document.ids) for document in found) <= 128
    with pytest.raises(UserError, match=r"data\.generate=128 leaves no room for a prompt"):
        api.generate(*words, "data.generate=128")


def test_empty_prompts_are_left_out_and_counted(words: list[str]) -> None:
    with pytest.raises(UserError, match=r"no example is left .*\(1 had no tokens\)"):
        api.generate(*words, prompts=[Document("a", "")])


def test_a_model_without_a_head_is_refused(model: Path, words: list[str], tmp_path: Path) -> None:
    trunk = tmp_path / "trunk"
    AutoModel.from_pretrained(model).save_pretrained(trunk)
    AutoTokenizer.from_pretrained(model).save_pretrained(trunk)
    with pytest.raises(UserError, match=r"has no language-model head .*leave out .*data\.generate"):
        api.generate(*words, f"model.path={trunk}")


def test_a_model_that_reads_what_follows_is_refused(words: list[str], tmp_path: Path) -> None:
    bert = save_tiny("bert", tmp_path / "bert")
    with pytest.raises(UserError, match=r"model=bert reads what follows a token before the token"):
        api.generate(*words, f"model.path={bert}")


def test_predictions_that_are_not_finite_are_named(
    model: Path, words: list[str], tmp_path: Path
) -> None:
    loaded = own_copy(model)
    with torch.no_grad():
        loaded.lm_head.weight[5] = float("nan")
    broken = tmp_path / "broken"
    loaded.save_pretrained(broken)
    AutoTokenizer.from_pretrained(model).save_pretrained(broken)
    with pytest.raises(UserError, match=r"example \d \(texts\.jsonl/\d\) has no finite predict"):
        api.generate(*words, f"model.path={broken}")


def test_the_number_of_tokens_must_be_given(words: list[str]) -> None:
    with pytest.raises(UserError, match=r"api\.generate needs the number of tokens .*generate=8"):
        api.generate(*words, "data.generate=0")


def test_a_continuation_is_read_by_the_model_that_wrote_it_alone(words: list[str]) -> None:
    written = api.generate(*words)
    with pytest.raises(UserError, match="are not those of this model's tokenizer; read it with"):
        list(api.iterate("data.generate=6", "data.part=generated", texts=written))


def test_the_same_prompt_has_the_same_continuation(words: list[str]) -> None:
    twice = [Document("a", TEXTS[3]), Document("b", TEXTS[3])]
    for drawn in ([], [DRAWN]):
        found = Counter(tuple(one.ids) for one in api.generate(*words, *drawn, prompts=twice))
        assert [*found.values()] == [2]
