"""The study's effects against models that are edited by hand, and against the formulas."""

import csv
import json
import runpy
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from scipy.special import log_softmax, rel_entr
from transformers import AutoModelForCausalLM, AutoTokenizer

from experiments.intervene.intervention import intervene
from experiments.intervene.settings import InterveneConfig
from experiments.statistics import split_by_group
from probe import api
from probe.api import UserError
from probe.api.interventions import Sites, Treatment
from probe.config import ModelConfig, Site
from probe.distributed import run_ranks
from tests.experiments.intervene.planted import LAST, PLANTED, composed, save_planted, save_texts
from tests.tiny_models import LAYERS, LINES, WIDTH, save_tiny

LAYER, COUNT = 1, 4
CHOSEN_BY_SCORE = ["degree", "degree_no_first", "activation", "weighted", "rms", "sd"]
Rows = dict[tuple[str, ...], dict[str, Any]]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_texts(tmp_path_factory.mktemp("texts") / "texts.jsonl")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_planted(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("llama", tmp_path_factory.mktemp("llama"))


def effects(config: InterveneConfig, folder: Path) -> Rows:
    """Do the study and return its rows by measure, treatment, order, choice and count.

    Figures are drawn by the test of the command, and tested in a file of their own.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.intervene.intervention.pruning_curve", lambda *_: Figure())
        intervene(config, folder)
    return read(folder)


def read(folder: Path) -> Rows:
    with (folder / "effects.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    names = ("measure", "treatment", "order", "select", "neurons")
    numbers = {name for name in rows[0] if name not in names[:-1]}
    return {
        tuple(row[name] for name in names): {
            name: float(row[name]) if row[name] else None for name in numbers
        }
        for row in rows
    }


def model_of(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder).eval()


def logits(model: Any, ids: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        result: torch.Tensor = model(input_ids=ids).logits
    return result


def treated(model: Any, layer: int, neurons: list[int], how: str, ids: torch.Tensor) -> Any:
    """Return the logits of one text while neurons are treated; their mean is 0.7."""
    chosen = torch.zeros(1, WIDTH, dtype=torch.bool)
    chosen[0, neurons] = True
    places = Sites(model, ModelConfig(path="x"), Site.residual, [layer])
    mean = torch.full((WIDTH,), 0.7)
    with places.edited({layer: lambda x: Treatment(how)(x, chosen, mean)}):
        return logits(model, ids)


def divergence(before: torch.Tensor, after: torch.Tensor) -> float:
    """Return the sum over tokens of KL(before || after), in nats."""
    p, q = (np.exp(log_softmax(x.double().numpy(), axis=-1)) for x in (before, after))
    return float(rel_entr(p, q).sum())


IDS = torch.tensor([[*range(20, 60), 7, 30, 31]])


@pytest.mark.parametrize("layer", range(LAYERS))
def test_single_neurons_rank_the_planted_ones_first(planted: Path, layer: int) -> None:
    model = model_of(planted)
    before = logits(model, IDS)
    lost = [divergence(before, treated(model, layer, [n], "zero", IDS)) for n in range(WIDTH)]
    assert sorted(np.argsort(lost)[-3:]) == PLANTED
    if layer == LAST:  # behind the final norm the head's weights alone decide
        assert [n for n in range(WIDTH) if lost[n] > 0] == PLANTED


@pytest.mark.parametrize("scope", ["input", "average"])
def test_hubs_that_the_output_depends_on_come_first(
    planted: Path, texts: Path, tmp_path: Path, scope: str
) -> None:
    config = composed(
        planted, texts, select=["degree", "degree_no_first", "rms", "sd", "random", "random_norm"],
        fractions=[3 / WIDTH], layers=LAST, treatment=["zero", "mean"], scope=scope,
        order=["highest", "lowest"], seeds=5,
    )  # fmt: skip
    rows = effects(config, tmp_path)
    for treatment in ("zero", "mean"):
        kl = {key[2:4]: row for key, row in rows.items() if key[:2] == ("kl", treatment)}
        change = {key: row["change"] for key, row in kl.items()}
        # Both degrees choose the planted neurons; the largest norms and the least hubs are others.
        hubs = [("highest", "degree"), ("highest", "degree_no_first")]
        assert change[hubs[0]] == change[hubs[1]] > 0.1
        others = [key for key in change if key[0] == "highest" and key not in hubs]
        assert all(change[key] < change[hubs[0]] for key in others)
        for key in product(["highest"], ["rms", "sd", "random_norm"]):
            assert change[key] == 0
        assert change["lowest", "degree"] == 0
        assert 0 < kl[hubs[0]]["low"] <= change[hubs[0]] <= kl[hubs[0]]["high"]
        assert kl[hubs[0]]["beyond_low"] > 0
        assert kl[hubs[0]]["moved"] < kl["highest", "rms"]["moved"]


def test_zeroing_nothing_changes_nothing(llama: Path) -> None:
    model = model_of(llama)
    before = logits(model, IDS)
    for layer, how in product(range(LAYERS), ("zero", "mean")):
        after = treated(model, layer, [], how, IDS)
        assert torch.equal(before, after)
        assert divergence(before, after) == 0


@pytest.mark.parametrize(("how", "value"), [("zero", 0.0), ("mean", 0.7)])
def test_a_hook_equals_weights_that_are_edited(tmp_path: Path, how: str, value: float) -> None:
    """Neuron 3 is written by the MLP of block 1 alone, so that its output can be taken away."""
    model, neuron = model_of(save_tiny("gpt2", tmp_path)), 3
    trunk = model.transformer
    with torch.no_grad():
        trunk.wte.weight = torch.nn.Parameter(trunk.wte.weight.clone())  # untied from the head
        trunk.wte.weight[:, neuron] = 0
        trunk.wpe.weight[:, neuron] = 0
        for place in (trunk.h[0].attn, trunk.h[0].mlp, trunk.h[1].attn):
            place.c_proj.weight[:, neuron] = 0
            place.c_proj.bias[neuron] = 0
        before, hooked = logits(model, IDS), treated(model, 1, [neuron], how, IDS)
        trunk.h[1].mlp.c_proj.weight[:, neuron] = 0
        trunk.h[1].mlp.c_proj.bias[neuron] = value
    torch.testing.assert_close(hooked, logits(model, IDS), rtol=0, atol=1e-5)
    assert (hooked - before).abs().max() > 0.01


def test_a_hook_behind_the_last_norm_equals_a_head_without_the_column(llama: Path) -> None:
    model = model_of(llama)
    hooked = treated(model, LAST, [3, 8], "zero", IDS)
    with torch.no_grad():
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.clone())
        model.lm_head.weight[:, [3, 8]] = 0
    torch.testing.assert_close(hooked, logits(model, IDS), rtol=0, atol=1e-5)


class Brute:
    """The study's definition, text by text, without batches: NumPy and plain transformers."""

    def __init__(self, folder: Path, texts: Path, skip_first: int = 0) -> None:
        self.model, tokenizer = model_of(folder), AutoTokenizer.from_pretrained(folder)
        lines = [json.loads(line)["text"] for line in texts.read_text().splitlines()]
        names = [f"{texts.name}/{number}" for number in range(len(lines))]
        self.ids = [torch.tensor([tokenizer(line)["input_ids"]]) for line in lines]
        self.halves = split_by_group(names, [0.5, 0.5], seed=0)
        with torch.inference_mode():
            self.series = [
                self.model(i, output_hidden_states=True)
                .hidden_states[LAYER + 1][0, skip_first:]
                .double()
                .numpy()
                for i in self.ids
            ]
        self.mean = np.concatenate([self.series[text] for text in self.halves[0]]).mean(axis=0)
        block = self.model.model.layers[LAYER + 1]
        values = block.self_attn.v_proj.weight * block.input_layernorm.weight
        self.values = values.abs().sum(dim=0).detach().double().numpy()

    def scores(self, select: str, x: np.ndarray) -> np.ndarray:
        if select in ("degree", "degree_no_first"):
            return self.degrees(np.corrcoef((x if select == "degree" else x[1:]).T))
        return {
            "activation": np.abs(x[-1]),
            "weighted": np.sqrt((x**2).sum(axis=0)) * self.values,
            "rms": np.sqrt((x**2).mean(axis=0)),
            "sd": x.std(axis=0),
        }[select]

    @staticmethod
    def degrees(r: np.ndarray) -> np.ndarray:
        return np.abs(r - np.eye(len(r))).sum(axis=0)

    def average_scores(self, select: str) -> np.ndarray:
        half = [self.series[text] for text in self.halves[0]]
        if select in ("degree", "degree_no_first"):
            first = int(select != "degree")
            return self.degrees(np.mean([np.corrcoef(x[first:].T) for x in half], axis=0))
        if select in ("rms", "sd"):
            return self.scores(select, np.concatenate(half))
        return np.mean([self.scores(select, x) for x in half], axis=0)

    def effect(self, select: str, order: str, how: str, scope: str) -> dict[str, float]:
        nll = kl = tokens = moved = 0.0
        for text in self.halves[1]:
            scores = (
                self.scores(select, self.series[text])
                if scope == "input"
                else self.average_scores(select)
            )
            ranked = np.argsort(-scores if order == "highest" else scores)[:COUNT]

            def edit(
                _: Any, __: Any, output: torch.Tensor, ranked: np.ndarray = ranked
            ) -> torch.Tensor:
                output = output.clone()
                value = self.mean[ranked] if how == "mean" else np.zeros(COUNT)
                output[..., ranked] = torch.tensor(value, dtype=torch.float32)
                return output

            before = logits(self.model, self.ids[text])
            handle = self.model.model.layers[LAYER].register_forward_hook(edit)
            with torch.inference_mode():
                after = self.model(self.ids[text], labels=self.ids[text])
            handle.remove()
            length = self.ids[text].shape[1]
            nll += float(after.loss) * (length - 1)
            kl += divergence(before, after.logits)
            tokens += length
            x = self.series[text]
            change = x[:, ranked] - (self.mean[ranked] if how == "mean" else 0)
            moved += (change**2).sum() / (x**2).sum()
        n_texts = len(self.halves[1])
        return {
            "perplexity": np.exp(nll / (tokens - n_texts)),
            "kl": kl / tokens,
            "moved": moved / n_texts,
        }


@pytest.mark.parametrize("scope", ["input", "average"])
def test_effects_are_those_of_the_definition(
    llama: Path, texts: Path, tmp_path: Path, scope: str
) -> None:
    orders, treatments = ["highest", "lowest"], ["mean", "zero"]
    config = composed(
        llama, texts, select=CHOSEN_BY_SCORE, fractions=[COUNT / WIDTH], layers=LAYER,
        treatment=treatments, order=orders, scope=scope,
    )  # fmt: skip
    rows = effects(config, tmp_path)
    brute = Brute(llama, texts)
    assert len(rows) == 2 * len(CHOSEN_BY_SCORE) * 4
    for select, order, how in product(CHOSEN_BY_SCORE, orders, treatments):
        expected = brute.effect(select, order, how, scope)
        for measure in ("perplexity", "kl"):
            row = rows[measure, how, order, select, str(COUNT)]
            assert row["treated"] == pytest.approx(expected[measure], rel=2e-4), (select, order)
            assert row["moved"] == pytest.approx(expected["moved"], rel=1e-4)
            assert row["change"] == row["treated"] - row["untouched"]
        assert rows["kl", how, order, select, str(COUNT)]["untouched"] == 0
    with torch.inference_mode():
        losses = [
            (float(brute.model(brute.ids[t], labels=brute.ids[t]).loss), brute.ids[t].shape[1] - 1)
            for t in brute.halves[1]
        ]
    untouched = np.exp(sum(a * b for a, b in losses) / sum(b for _, b in losses))
    assert rows["perplexity", "zero", "lowest", "sd", str(COUNT)]["untouched"] == pytest.approx(
        untouched, rel=1e-5
    )


def test_noise_has_the_size_of_the_neurons_deviation(
    llama: Path, texts: Path, tmp_path: Path
) -> None:
    config = composed(
        llama, texts, select=["rms"], fractions=[1.0], layers=LAYER, treatment=["noise"], seeds=4
    )
    row = effects(config, tmp_path)["kl", "noise", "highest", "rms", str(WIDTH)]
    brute = Brute(llama, texts)
    sd = np.concatenate([brute.series[text] for text in brute.halves[0]]).std(axis=0)
    expected = np.mean(
        [(sd**2).sum() / (brute.series[t] ** 2).mean(0).sum() for t in brute.halves[1]]
    )
    assert row["moved"] == pytest.approx(expected, rel=0.05)
    assert row["held"] == pytest.approx(1)
    assert row["draws_low"] < row["change"] < row["draws_high"]


def test_several_layers_are_treated_together(llama: Path, texts: Path, tmp_path: Path) -> None:
    """All neurons zero at two layers is all neurons zero at the later one."""
    found = [
        effects(
            composed(
                llama, texts, select=["degree"], fractions=[1.0], layers=layers, treatment=["zero"]
            ),
            tmp_path / str(layers),
        )["perplexity", "zero", "highest", "degree", str(WIDTH)]["treated"]
        for layers in ([1], [0, 1])
    ]  # fmt: skip
    assert found[0] == found[1]


def write_questions(folder: Path) -> list[tuple[str, int]]:
    """Write ten questions of MMLU, and return their prompts and answers."""
    folder.mkdir()
    prompts, words = [], " ".join(LINES).split()
    with (folder / "moral_disputes_test.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["question", *(f"choice{n}" for n in range(4)), "answer"])
        for row in range(12):
            question, choices = " ".join(words[row : row + 5]), words[row : row + 4]
            writer.writerow([question, *choices, row % 4])
            lines = [f"{'ABCD'[n]}) {choice}" for n, choice in enumerate(choices)]
            prompts.append(("\n".join([f"Question: {question}", *lines, "Answer:"]), row % 4))
    return prompts


def test_accuracy_is_that_of_the_largest_letter(llama: Path, tmp_path: Path) -> None:
    prompts = write_questions(tmp_path / "mmlu")
    config = composed(
        llama, tmp_path, "data=mmlu", "subject=moral_disputes", f"data.path={tmp_path / 'mmlu'}",
        select=["rms"], fractions=[1.0], layers=LAST, treatment=["zero"], measure=["accuracy"],
    )  # fmt: skip
    row = effects(config, tmp_path / "run")["accuracy", "zero", "highest", "rms", str(WIDTH)]
    model, tokenizer = model_of(llama), AutoTokenizer.from_pretrained(llama)
    letters = tokenizer.convert_tokens_to_ids(list("ABCD"))
    names = [f"moral_disputes/{number}" for number in range(len(prompts))]
    half = [prompts[number] for number in split_by_group(names, [0.5, 0.5], seed=0)[1]]
    right = [
        int(logits(model, torch.tensor([tokenizer(text)["input_ids"]]))[0, -1, letters].argmax())
        == answer
        for text, answer in half
    ]
    assert row["untouched"] == pytest.approx(np.mean(right))
    # Without any neuron all logits are the same, and the first letter is taken.
    assert row["treated"] == pytest.approx(np.mean([answer == 0 for _, answer in half]))
    assert row["chance"] == 0.25
    assert row["change"] == pytest.approx(row["treated"] - row["untouched"])


@pytest.mark.usefixtures("one_process")
def test_two_ranks_do_what_one_does(
    llama: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The study asks for two ranks; what one gives for each of its requests, two give, too."""
    config = composed(
        llama, texts, "runtime.token_budget=128", "launch.num_processes=2",
        select=["degree", "random", "random_norm"], fractions=[0.1, 0.25], layers=LAYER,
        treatment=["mean", "noise"], scope="average", seeds=2,
    )  # fmt: skip
    passes = []

    def run_both(name: str, payload: bytes, processes: int | None, device: str) -> Any:
        passes.append(name.partition(":")[2])
        one, two = (run_ranks(name, payload, size, device) for size in (1, processes))
        assert two.keys() == one.keys()
        for part, values in one.items():
            torch.testing.assert_close(two[part], values, rtol=1e-5, atol=1e-6, msg=part)
        return two

    monkeypatch.setattr("experiments.intervene.intervention.run_ranks", run_both)
    effects(config, tmp_path)
    assert passes == ["survey", "measure"]


def test_the_command_leaves_a_run_folder(
    llama: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [
        "model=local", f"model.path={llama}", "data=text", f"data.path={texts}",
        "runtime.device=cpu", f"output={tmp_path}", "study.select=[degree,random]",
        "layers=1", "study.fractions=[0.1]", "study.measure=[kl]",
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["experiments.intervene", *words])
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("experiments.intervene", run_name="__main__", alter_sys=False)
    signal.signal(signal.SIGTERM, handler)
    assert ended.value.code == 0
    [folder] = (tmp_path / "intervene").glob("*/*")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["examples"] == {"first half": 4, "measured": 4}
    assert manifest["layers"] == [1]
    assert {"effects.csv", "effects.json", "figures/curve_mean_highest.png"} <= {*manifest["files"]}
    assert len(json.loads((folder / "effects.json").read_text())) == len(read(folder)) == 2


@pytest.mark.processes
def test_the_help_page_does_not_wait_for_torch() -> None:
    code = "import experiments.intervene.__main__, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("settings", "words", "said"),
    [
        ({"select": ["degre"]}, [], "study.select=[degre] must be a list, each once, of degree,"),
        ({"select": []}, [], "study.select=[] must be a list"),
        ({"treatment": ["zero", "zero"]}, [], "study.treatment=[zero,zero] must be a list"),
        ({"order": ["top"]}, [], "study.order=[top] must be a list, each once, of highest, lowest"),
        ({"measure": ["loss"]}, [], "study.measure=[loss] must be a list"),
        ({"scope": "all"}, [], "study.scope=all must be one of input, average"),
        ({"fractions": [0.0]}, [], "0.0 in study.fractions=[0.0] is too small; give more than 0"),
        ({"fractions": [0.6]}, [], "cannot exceed 0.5; leave one of the two out"),
        ({"layers": 7}, [], "layer 7 is not in llama, whose layers are 0 to 2"),
        ({"layers": 2}, [], "layer 2 is the last of llama; give earlier layers, or leave"),
        ({"seeds": 0}, [], "study.seeds=0 is too small; give 1 or more"),
        ({"seed": -1}, [], "study.seed=-1 is too small; give 0 or more"),
        ({}, ["site=attention"], "of the residual stream, not site=attention; leave weighted"),
        ({"measure": ["accuracy"]}, [], "the measure accuracy needs questions with choices"),
        ({"measure": ["margin"]}, ["data.cut=tokens"], "the measure margin needs whole questions"),
        ({"treatment": ["add"]}, [], "study.treatment=add needs study.amount=, e.g. 2"),
        ({"amount": 2.0}, [], "study.amount=2 has no effect without study.treatment=[add] or"),
        ({"treatment": ["add"], "amount": np.inf}, [], "study.amount=inf is too large"),
        ({"masks": "gone.npz"}, [], "gone.npz does not exist; save one with"),
        ({"masks": "m", "layers": 1}, [], "layers= has no effect with study.masks, which"),
        ({"masks": "m", "select": ["rms"]}, [], "study.select has no effect with study.masks"),
        ({"masks": "m", "scope": "average"}, [], "study.scope has no effect with study.masks"),
        ({"measure": ["accuracy"]}, ["data.cut=tokens"], "and data.cut=tokens cuts them"),
        ({}, ["data.limit=1"], "1 document cannot be split into 2 parts"),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_a_line(
    llama: Path, texts: Path, tmp_path: Path, settings: dict[str, Any], words: list[str], said: str
) -> None:
    config = composed(llama, texts, "model.name=llama", *words, **settings)
    with pytest.raises(UserError) as error:
        (api.check(config), intervene(config, tmp_path))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_predictions_that_are_not_finite_are_told(texts: Path, tmp_path: Path) -> None:
    folder = save_tiny("llama", tmp_path / "model")
    model = model_of(folder)
    with torch.no_grad():
        model.lm_head.weight[5, 3] = torch.inf
    model.save_pretrained(folder)
    with pytest.raises(UserError, match="are not finite"):
        intervene(composed(folder, texts, select=["rms"], layers=0), tmp_path / "run")


def test_neurons_of_another_site_are_treated(llama: Path, texts: Path, tmp_path: Path) -> None:
    """All of an MLP's neurons at zero are its projection at zero, which Llama has no bias for."""
    config = replace(
        composed(llama, texts, select=["rms"], fractions=[1.0], layers=LAYER, treatment=["zero"]),
        site=Site.mlp,
    )
    row = effects(config, tmp_path)["perplexity", "zero", "highest", "rms", "40"]
    brute = Brute(llama, texts)
    with torch.no_grad():
        brute.model.model.layers[LAYER].mlp.down_proj.weight.zero_()
        losses = [
            (float(brute.model(ids, labels=ids).loss), ids.shape[1] - 1)
            for ids in (brute.ids[text] for text in brute.halves[1])
        ]
    expected = np.exp(sum(a * b for a, b in losses) / sum(b for _, b in losses))
    assert row["treated"] == pytest.approx(expected, rel=1e-5)
    assert (row["held"], row["moved"]) == (pytest.approx(1), pytest.approx(1))


def test_an_amount_is_added_or_applied(llama: Path, texts: Path, tmp_path: Path) -> None:
    """Scaled by 0 a neuron is at zero; scaled by 1, or with 0 added, it is as it was."""
    given = {"select": ["rms"], "fractions": [0.25], "layers": LAYER, "measure": ["kl"]}
    config = composed(llama, texts, treatment=["zero"], **given)
    zero = effects(config, tmp_path / "zero")["kl", "zero", "highest", "rms", "4"]
    for how, amount, expected in (
        ("scale", 0.0, zero["treated"]),
        ("scale", 1.0, 0.0),
        ("add", 0.0, 0.0),
    ):
        config = composed(llama, texts, treatment=[how], amount=amount, **given)
        [row] = effects(config, tmp_path / f"{how}{amount}").values()
        assert row["treated"] == expected
        assert (tmp_path / f"{how}{amount}" / "figures" / f"curve_{how}_highest.png").is_file()


def test_margins_are_measured_where_questions_are(llama: Path, tmp_path: Path) -> None:
    write_questions(tmp_path / "mmlu")
    config = composed(
        llama, tmp_path, "data=mmlu", "subject=moral_disputes", f"data.path={tmp_path / 'mmlu'}",
        select=["rms", "random"], fractions=[1.0], layers=LAST, treatment=["zero"],
        measure=["margin"], seeds=1,
    )  # fmt: skip
    row = effects(config, tmp_path / "run")["margin", "zero", "highest", "rms", str(WIDTH)]
    # Without any neuron all tokens are as likely, and choices differ by their tokens alone.
    tokenizer, words = AutoTokenizer.from_pretrained(llama), " ".join(LINES).split()
    names = [f"moral_disputes/{number}" for number in range(12)]
    margins = []
    for number in split_by_group(names, [0.5, 0.5], seed=0)[1]:
        counts = [len(tokenizer(f" {word}")["input_ids"]) for word in words[number : number + 4]]
        answer = number % 4
        margins.append(np.log(300) * (min(np.delete(counts, answer)) - counts[answer]))
    assert row["treated"] == pytest.approx(np.mean(margins), abs=1e-4)
    assert row["untouched"] != pytest.approx(row["treated"], abs=0.01)
    assert (row["relative"], row["chance"]) == (None, None)


def test_masks_are_treated_beside_their_controls(
    llama: Path, texts: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    masks = np.zeros((2, 2 * 40), dtype=bool)
    masks[0, :5], masks[1, [3, 50, 51]] = True, True
    np.savez(
        tmp_path / "masks.npz", masks=masks, layer=np.repeat([0, 2], 40),
        neuron=np.tile(np.arange(40), 2), site="mlp",
    )  # fmt: skip
    config = composed(
        llama, texts, masks=str(tmp_path / "masks.npz"), treatment=["zero", "scale"], amount=2.0,
        measure=["kl"], seeds=2,
    )  # fmt: skip
    with caplog.at_level("INFO"):
        facts = intervene(config, tmp_path / "run")
    assert facts == {"masks": 2, "layers": [0, 2], "documents": 4}
    with (tmp_path / "run" / "effects.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["effect"], row["mask"], row["control"]) for row in rows] == [
        (effect, mask, control)
        for effect in ("zero", "scale")
        for mask in "01"
        for control in ("none", "random", "random_rms", "largest_rms")
    ]
    assert [row["units"] for row in rows[::4]] == ["5", "3", "5", "3"]
    assert {row["draws"] for row in rows if row["control"].startswith("random")} == {"2"}
    assert all(float(row["low"]) <= float(row["value"]) <= float(row["high"]) for row in rows)
    assert len(json.loads((tmp_path / "run" / "effects.json").read_text())) == len(rows)
    assert {file.name for file in (tmp_path / "run" / "figures").iterdir()} == {
        "masks_zero.png", "masks_scale.png",
    }  # fmt: skip
    assert "intervals marked ! are over 4 documents only" in caplog.text


def test_a_model_without_attention_is_treated(texts: Path, tmp_path: Path) -> None:
    mamba = save_tiny("mamba", tmp_path / "mamba", state_size=4, time_step_rank=2)
    config = composed(
        mamba, texts, select=["degree", "random"], fractions=[0.25], seeds=1, measure=["kl"]
    )
    for row in effects(config, tmp_path / "run").values():
        assert row["low"] > 0
    with pytest.raises(UserError, match="needs a value projection, and none was found in Mamba"):
        intervene(composed(mamba, texts, select=["weighted"], layers=0), tmp_path / "again")
