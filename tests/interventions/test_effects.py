"""The whole: masks, controls, outcomes and intervals, against plain transformers and NumPy."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, wraps
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, rel_entr
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlavaConfig,
    LlavaForConditionalGeneration,
)

from probe.cli import compose_job
from probe.config import Config, Cut, Site
from probe.data import Document, load_documents
from probe.errors import UserError
from probe.examples.choose import Example
from probe.interventions.controls import CONTROLS, control
from probe.interventions.effects import effects
from probe.interventions.masks import Masks
from probe.interventions.questions import continuations, letter_tokens
from probe.interventions.table import Effect, Intervention
from probe.interventions.treatments import Treatment
from probe.statistics import split_by_group
from tests.experiments.intervene.planted import save_texts
from tests.interventions.models import MAMBA, folder_of
from tests.tiny_models import LAYERS, WIDTH, save_tiny, tiny_tokenizer

compose = cache(compose_job)
WIDE, SEED = 40, 3
LESION = Intervention("lesion", Treatment("zero"))
KEEP = Intervention("keep", Treatment("mean"), keep=True)
AMPLIFY = Intervention("amplify", Treatment("scale", 3.0))
LAYERED = [0, 2]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_texts(tmp_path_factory.mktemp("texts") / "texts.jsonl")


def config_of(folder: Path, texts: Path, **changes: Any) -> Config:
    config = compose(("data=text", f"data.path={texts}", "runtime.device=cpu", "tracking=none"))
    model = replace(config.model, id=None, path=str(folder), name="tiny")
    return replace(config, model=model, **{"site": Site.mlp, **changes})


def masks_of(width: int = WIDE, layers: list[int] = LAYERED, count: int = 3) -> Masks:
    """Two masks over some layers; the second is in the first of them alone."""
    layer, neuron = np.repeat(layers, width), np.tile(np.arange(width), len(layers))
    masks = np.random.default_rng(8).random((2, len(layer))).argsort(axis=1) < count
    masks[1, layer != layers[0]] = False
    return Masks(masks, layer, neuron)


class Brute:
    """The definition, text by text: forward hooks by hand, NumPy, no batches."""

    def __init__(self, folder: Path, texts: Path) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(folder).eval()
        tokenizer = AutoTokenizer.from_pretrained(folder)
        lines = [json.loads(line)["text"] for line in texts.read_text().splitlines()]
        self.ids = [torch.tensor([tokenizer(line)["input_ids"]]) for line in lines]
        self.names = [f"{texts.name}/{number}" for number in range(len(lines))]
        self.first, self.second = split_by_group(self.names, [0.5, 0.5], SEED)
        self.untouched = {text: log_softmax(self.logits(text), axis=-1) for text in self.second}
        series: dict[int, list[Tensor]] = {layer: [] for layer in LAYERED}
        for text in self.first:
            with self.hooked(lambda layer, x: series[layer].append(x[0])):
                self.logits(text)
        self.mean, self.rms = {}, {}
        for layer, parts in series.items():
            x = torch.cat(parts).double().numpy()
            self.mean[layer], self.rms[layer] = x.mean(axis=0), np.sqrt((x**2).mean(axis=0))

    @contextmanager
    def hooked(self, act: Any) -> Iterator[None]:
        handles = [
            self.model.model.layers[layer].mlp.down_proj.register_forward_pre_hook(
                lambda _, inputs, layer=layer: act(layer, inputs[0])
            )
            for layer in LAYERED
        ]
        yield
        for handle in handles:
            handle.remove()

    def logits(self, text: int) -> np.ndarray:
        with torch.inference_mode():
            found: Tensor = self.model(self.ids[text]).logits[0]
        return found.double().numpy()

    def outcomes(self, chosen: dict[int, np.ndarray], how: Any) -> np.ndarray:
        """Return negative log likelihood and divergence of every text of the second half."""

        def act(layer: int, x: Tensor) -> Tensor:
            y = x.numpy().copy()
            y[..., chosen[layer]] = how(layer, y)[..., chosen[layer]]
            return torch.from_numpy(y)

        rows = []
        for text in self.second:
            before = self.untouched[text]
            with self.hooked(act):
                after = log_softmax(self.logits(text), axis=-1)
            ids = self.ids[text][0].numpy()
            nll = -after[np.arange(len(ids) - 1), ids[1:]].sum()
            rows.append([nll, rel_entr(np.exp(before), np.exp(after)).sum(), len(ids)])
        return np.array(rows)


def of(rows: list[Effect], **wanted: Any) -> list[Effect]:
    return [row for row in rows if all(getattr(row, k) == v for k, v in wanted.items())]


def test_effects_are_those_of_the_definition(texts: Path) -> None:
    folder, masks = folder_of("llama"), masks_of()
    rows = effects(
        config_of(folder, texts), masks, [LESION, KEEP, AMPLIFY], ["perplexity", "kl"],
        draws=2, seed=SEED,
    )  # fmt: skip
    assert len(rows) == 2 * 3 * 2 * 4
    brute = Brute(folder, texts)
    ways = {
        "lesion": lambda _, x: np.zeros_like(x),
        "keep": lambda layer, x: np.broadcast_to(brute.mean[layer].astype(np.float32), x.shape),
        "amplify": lambda _, x: 3 * x,
    }
    drawn = np.random.default_rng(SEED).integers(4, size=(1000, 4))
    base = brute.outcomes({layer: np.zeros(WIDE, dtype=bool) for layer in LAYERED}, ways["lesion"])

    def value(measure: str, table: np.ndarray) -> float:
        nll, kl, tokens = table.sum(axis=0)
        return np.exp(nll / (tokens - len(table))) if measure == "perplexity" else kl / tokens

    for number, dense in enumerate(masks.by_layer(dict.fromkeys(LAYERED, WIDE))):
        for effect, how in ways.items():
            tables = {}
            for kind, name in enumerate(("none", *CONTROLS)):
                outcomes = []
                for draw in range(2 if name in CONTROLS[:2] else 1):
                    generator = np.random.default_rng([SEED, 2, draw, number, kind])
                    own = dense if name == "none" else control(name, dense, brute.rms, generator)
                    chosen = {k: ~v if effect == "keep" else v for k, v in own.items()}
                    outcomes.append(brute.outcomes(chosen, how))
                tables[name] = np.mean(outcomes, axis=0)
                for measure in ("perplexity", "kl"):
                    [row] = of(rows, effect=effect, mask=number, control=name, measure=measure)
                    assert row.value == pytest.approx(value(measure, tables[name]), rel=1e-4)
                    assert row.change == row.value - row.untouched
                    assert row.draws == len(outcomes)
                    by_draw = [value(measure, one) for one in outcomes]
                    assert (row.draws_low, row.draws_high) == pytest.approx(
                        (min(by_draw), max(by_draw)), rel=1e-4
                    )
                    resampled = [value(measure, tables[name][places]) for places in drawn]
                    ends = np.quantile(resampled, [0.025, 0.975])
                    assert (row.low, row.high) == pytest.approx(tuple(ends), rel=1e-4)
                    assert (row.beyond is None) == (name != "none")
            for measure in ("perplexity", "kl"):
                [own] = of(rows, effect=effect, mask=number, control="none", measure=measure)
                sign = -1 if effect == "keep" else 1
                reached = {name: sign * value(measure, table) for name, table in tables.items()}
                others = {name: reached[name] for name in CONTROLS}
                assert own.best == max(others, key=lambda name: others[name])
                assert own.beyond == pytest.approx(
                    reached["none"] - max(others.values()), abs=1e-4 * own.value
                )
                beyond = [
                    sign * value(measure, tables["none"][places])
                    - max(sign * value(measure, tables[name][places]) for name in CONTROLS)
                    for places in drawn
                ]
                assert (own.beyond_low, own.beyond_high) == pytest.approx(
                    tuple(np.quantile(beyond, [0.025, 0.975])), abs=1e-4 * own.value
                )
                assert own.documents == 4
                assert own.units == int(masks.masks[number].sum())
                assert own.untouched == pytest.approx(value(measure, base), rel=1e-5, abs=1e-7)


def questions(folder: Path) -> Path:
    """Write questions of MMLU whose choices are one to three words."""
    file = folder / "moral_disputes_test.csv"
    rows = [
        f"Which of these is {n} things,a river,the sea,the theory explains,harbours,{n % 4}"
        for n in range(8)
    ]
    file.write_text("\n".join(["question,choice0,choice1,choice2,choice3,answer", *rows]) + "\n")
    return folder


def test_margins_and_letters_are_those_of_the_prompts(tmp_path: Path) -> None:
    folder, masks = folder_of("llama"), masks_of()
    words = ("data=mmlu", "subject=moral_disputes", f"data.path={questions(tmp_path)}")
    config = compose_job((*words, "runtime.device=cpu", "model.padding_side=left"))
    config = replace(config, site=Site.mlp, model=replace(config.model, id=None, path=str(folder)))
    rows = effects(config, masks, [LESION], ["margin", "accuracy"], draws=1, seed=SEED)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    letters = tokenizer.convert_tokens_to_ids(list("ABCD"))
    choices = ["a river", "the sea", "the theory explains", "harbours"]
    lines = "\n".join(f"{'ABCD'[n]}) {choice}" for n, choice in enumerate(choices))
    second = split_by_group([f"moral_disputes/{n}" for n in range(8)], [0.5, 0.5], SEED)[1]

    def expected() -> tuple[float, float]:
        margins, right = [], []
        for number in second:
            prompt = f"Question: Which of these is {number} things\n{lines}\nAnswer:"
            start, found = len(tokenizer(prompt)["input_ids"]), []
            for choice in choices:
                ids = torch.tensor([tokenizer(f"{prompt} {choice}")["input_ids"]])
                with torch.inference_mode():
                    after = log_softmax(model(ids).logits[0].double().numpy(), axis=-1)
                places = np.arange(start - 1, ids.shape[1] - 1)
                found.append(after[places, ids[0, start:]].sum())
                last = after[start - 1, letters].argmax()
            answer = number % 4
            margins.append(found[answer] - max(np.delete(found, answer)))
            right.append(last == answer)
        return float(np.mean(margins)), float(np.mean(right))

    margin, accuracy = expected()
    own = of(rows, mask=0, control="none")
    assert [row.untouched for row in own] == pytest.approx([margin, accuracy], rel=1e-4)
    assert [row.chance for row in own] == [None, 0.25]
    dense = masks.by_layer(dict.fromkeys(LAYERED, WIDE))[0]
    for layer, chosen in dense.items():
        model.model.layers[layer].mlp.down_proj.weight.data[:, chosen] = 0
    assert [row.value for row in own] == pytest.approx(list(expected()), rel=1e-4)


@pytest.mark.usefixtures("one_process")
def test_two_ranks_give_the_table_of_one(texts: Path) -> None:
    config = config_of(folder_of("gpt2"), texts)
    config = replace(config, runtime=replace(config.runtime, token_budget=128))
    noise = Intervention("noise", Treatment("noise"))
    one, two = (
        effects(
            replace(config, launch=replace(config.launch, num_processes=ranks)),
            masks_of(), [LESION, noise], ["perplexity"], draws=1, seed=SEED,
        )
        for ranks in (1, 2)
    )  # fmt: skip
    assert len(one) == len(two) == 16
    for first, second in zip(one, two, strict=True):
        for name, expected in vars(first).items():
            found = getattr(second, name)
            if isinstance(expected, float):
                assert found == pytest.approx(expected, rel=1e-5, abs=1e-6), name
            else:
                assert found == expected


def test_an_empty_mask_and_its_controls_change_nothing(texts: Path) -> None:
    masks = masks_of()
    empty = replace(masks, masks=np.zeros_like(masks.masks[:1]))
    idle = [LESION, Intervention("amplify", Treatment("add", 0.0))]
    for row in effects(config_of(folder_of("opt"), texts), empty, idle, ["kl"], draws=1):
        assert (row.value, row.change, row.moved, row.low, row.high) == (0, 0, 0, 0, 0)
        assert row.beyond in (0, None)


def test_texts_that_are_given_are_measured_in_place_of_the_configurations(texts: Path) -> None:
    config, given = config_of(folder_of("gpt2"), texts), (masks_of(), [LESION], ["kl"])
    listed = load_documents(config)
    chosen = replace(config, data=replace(config.data, limit=1, offset=3))
    expected = effects(config, *given, draws=1)
    assert effects(chosen, *given, draws=1, texts=list(listed)) == expected
    fewer = effects(config, *given, draws=1, texts=list(listed)[:4])
    assert fewer[0].documents == 2


def test_a_batch_that_does_not_fit_is_measured_in_halves(
    texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, given = config_of(folder_of("gpt2"), texts), (masks_of(), [LESION], ["kl"])
    whole = effects(config, *given, draws=1)
    model = type(AutoModelForCausalLM.from_pretrained(folder_of("gpt2")))
    forward, parts = model.forward, []

    @wraps(forward)
    def fails(self: Any, input_ids: Tensor, **more: Any) -> Any:
        parts.append(len(input_ids))
        if len(input_ids) > 1:
            raise torch.OutOfMemoryError("no memory left")
        return forward(self, input_ids, **more)

    monkeypatch.setattr(model, "forward", fails)
    halved = effects(config, *given, draws=1)
    assert max(parts) > 1
    assert [row.value for row in halved] == pytest.approx([row.value for row in whole], rel=1e-5)


def test_mamba_and_models_that_also_see_are_measured(texts: Path, tmp_path: Path) -> None:
    mamba = save_tiny("mamba", tmp_path / "mamba", **MAMBA)
    text = {
        "model_type": "llama", "vocab_size": 300, "hidden_size": WIDTH, "intermediate_size": WIDE,
        "num_hidden_layers": LAYERS, "num_attention_heads": 4, "max_position_embeddings": 128,
    }  # fmt: skip
    vision = {
        "model_type": "clip_vision_model", "hidden_size": WIDTH, "intermediate_size": 20,
        "num_hidden_layers": LAYERS, "num_attention_heads": 2, "image_size": 28, "patch_size": 14,
    }  # fmt: skip
    sees = tmp_path / "sees"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlavaForConditionalGeneration(LlavaConfig(vision_config=vision, text_config=text))
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(sees)
    tiny_tokenizer().save_pretrained(sees)
    for folder, site in ((mamba, Site.residual), (sees, Site.residual), (sees, Site.mlp)):
        masks = masks_of(WIDE if site is Site.mlp else WIDTH, [1, 2])
        rows = effects(config_of(folder, texts, site=site), masks, [LESION], ["kl"], draws=1)
        assert all(row.value > 0 for row in rows)


@pytest.mark.parametrize(
    ("words", "masks", "said"),
    [
        ((), {"site": Site.attention}, "and the masks are of the site attention; leave site out"),
        (("init=random",), {}, "interventions need a trained model, and init=random was given"),
        ((), {"neuron": np.arange(80)}, "have neuron 40 of layer 2, whose neurons are 0 to 39"),
        ((), {"layer": np.repeat([0, 9], 40)}, "layer 9 is not in tiny, whose layers are 0 to 2"),
        ((), {"masks": np.ones((1, 80), dtype=bool)}, "a mask has 80 of the 80 neurons of its"),
        (("data.limit=1",), {}, "1 document cannot be split into 2 parts"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_told(
    texts: Path, words: tuple[str, ...], masks: dict[str, Any], said: str
) -> None:
    config = config_of(folder_of("llama"), texts)
    if words:
        own = compose(words)
        config = replace(config, init=own.init, data=replace(config.data, limit=own.data.limit))
    with pytest.raises(UserError) as error:
        effects(config, replace(masks_of(), **masks), [LESION], ["kl"])
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_measures_that_cannot_be_taken_are_told(texts: Path) -> None:
    config = config_of(folder_of("llama"), texts)
    cut = replace(config, data=replace(config.data, cut=Cut.tokens))
    for given, measures, draws, said in (
        (config, ["kl", "margin"], 1, "the measure margin needs questions with choices, which"),
        (cut, ["accuracy"], 1, "the measure accuracy needs whole questions, and data.cut=tokens"),
        (
            replace(config, data=replace(config.data, generate=4)),
            ["margin"],
            1,
            "the measure margin needs questions as they are put, and data.generate=4 continues",
        ),
        (config, ["loss"], 1, "the measure loss is unknown; choose of perplexity, kl, accuracy"),
        (config, ["kl"], 0, "draws=0 is too few for random controls; give 1 or more"),
    ):
        with pytest.raises(UserError, match=said):
            effects(given, masks_of(), [LESION], measures, draws=draws)


def test_choices_that_cannot_be_scored_are_told(tmp_path: Path) -> None:
    config = config_of(folder_of("llama"), tmp_path)
    examples = [Example("q/0", [5] * 120)]
    for choice, said in (
        (" ", "q/0 has an empty choice, which has no likelihood; leave the question out"),
        ("the theory explains the data", "has 1.. tokens, and the model reads 128; leave long"),
    ):
        question = Document("q/0", "Why?", answer=0, choices=(choice, "a"))
        with pytest.raises(UserError, match=said):
            continuations(config, examples, {"q/0": question})


def test_a_choice_follows_a_chat_template_without_a_space(texts: Path) -> None:
    config = config_of(folder_of("llama"), texts)
    tokenizer = AutoTokenizer.from_pretrained(folder_of("llama"))
    question = Document("q/0", "Why?", answer=0, turns=(("user", "Why?"),), choices=("sea", "sand"))
    for chat, between in ((True, ""), (False, " ")):
        given = replace(config, model=replace(config.model, chat=chat))
        found = continuations(given, [Example("q/0", [7, 8])], {"q/0": question})
        assert [(one.example, one.start) for one in found] == [(0, 2), (0, 2)]
        for one, choice in zip(found, ("sea", "sand"), strict=True):
            assert one.ids == [7, 8, *tokenizer(between + choice)["input_ids"]]


def test_a_tokenizer_without_letters_is_told(texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = config_of(folder_of("llama"), texts).model
    own = AutoTokenizer.from_pretrained(folder_of("llama"))
    assert letter_tokens(model, 3) == own.convert_tokens_to_ids(["A", "B", "C"])
    tokenizer = type("Tokenizer", (), {"get_vocab": lambda _: {"A": 4}})()
    monkeypatch.setattr("probe.interventions.questions.load_tokenizer", lambda _: tokenizer)
    with pytest.raises(UserError, match="compares the tokens A, B, C, …, and B is not a token of"):
        letter_tokens(model, 3)
