"""Passes with the head read every text as if it were alone, whatever a model does with padding."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM

from experiments.neuron_graphs.packing import batches
from experiments.subjects.settings import Sweep
from experiments.subjects.sweep import Change, Speaker
from probe import api
from probe.config import Config
from probe.distributed import Ranks
from probe.examples.choose import Example
from probe.extraction.generation import continue_examples
from probe.extraction.perplexity import perplexities
from probe.interventions.measure import Chosen, Measurement
from probe.interventions.outcomes import OUTCOMES
from probe.interventions.work import Work
from probe.models import LengthLimit, load_language_model
from tests.tiny_models import save_tiny

CPU = torch.device("cpu")
GROUPED = {"intermediate_size": 40, "num_key_value_heads": 2}
ROPE = {"rope_theta": 1e4, "original_max_position_embeddings": 24}
# Each reads a text otherwise beside a longer one.
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "longrope": ("phi3", GROUPED | {
        "original_max_position_embeddings": 24,
        "rope_parameters": ROPE
        | {"rope_type": "longrope", "long_factor": [4.0, 4.0], "short_factor": [1.0, 1.0]},
    }),
    "dynamic": ("llama", GROUPED | {
        "max_position_embeddings": 24,
        "rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4},
    }),
    "rwkv": ("rwkv", {"attention_hidden_size": 16, "context_length": 128}),
}  # fmt: skip
LENGTHS = (31, 30, 30, 23, 22, 22, 9)


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    kind, config = MODELS[request.param]
    return save_tiny(kind, tmp_path_factory.mktemp(request.param) / "m", **config)


def ids() -> list[list[int]]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(3, 290, (n,), generator=generator).tolist() for n in LENGTHS]


def examples() -> list[Example]:
    return [Example(f"d{number}", row) for number, row in enumerate(ids())]


def config(model: Path, tmp_path: Path, side: str = "right", *more: str) -> Config:
    return api.compose(
        f"model={model}", f"model.padding_side={side}", f"output={tmp_path}", "layers=0", *more
    )


def choose(*_: Any) -> Chosen:
    return lambda _, __: torch.zeros(1, 16, dtype=torch.bool)


def fresh(model: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()


def losses(model: Path) -> list[float]:
    """Every text's mean loss, each by a model that has read nothing before."""
    found = []
    for row in ids():
        tokens = torch.tensor([row])
        with torch.no_grad():
            logits = fresh(model)(input_ids=tokens).logits[0]
        found.append(float(functional.cross_entropy(logits[:-1], tokens[0, 1:])))
    return found


def test_rows_of_many_units_cross_no_length_either() -> None:
    rows = [(1,) * n for n in (5, 4, 3, 2)]
    whole = list(batches(rows, 9, 99))
    apart = list(batches(rows, 9, 99, LengthLimit(3, equal_beyond=False)))
    single = list(batches(rows, 9, 99, LengthLimit(3, equal_beyond=True)))
    lengths = [[[len(row) for row in batch] for batch in one] for one in (whole, apart, single)]
    assert lengths == [[[5, 4, 3, 2]], [[5, 4], [3, 2]], [[5], [4], [3, 2]]]


@pytest.mark.parametrize("side", ["left", "right"])
def test_losses_are_those_of_each_text_alone(model: Path, tmp_path: Path, side: str) -> None:
    found = perplexities(examples(), config(model, tmp_path, side))
    np.testing.assert_allclose(np.log(found), losses(model), rtol=2e-5)


def test_prompts_are_continued_as_each_is_alone(model: Path, tmp_path: Path) -> None:
    found = continue_examples(examples(), config(model, tmp_path, "right", "data.generate=6"))
    for row, written in zip(ids(), found, strict=True):
        whole = fresh(model).generate(
            input_ids=torch.tensor([row]), max_new_tokens=6, do_sample=False, pad_token_id=0,
            attention_mask=torch.ones(1, len(row), dtype=torch.long),
        )[0, len(row) :].tolist()  # fmt: skip
        assert written == (whole[: whole.index(0)] if 0 in whole else whole)


def test_interventions_begin_at_the_losses_of_each_text_alone(model: Path, tmp_path: Path) -> None:
    given = config(model, tmp_path, "left")
    work = Work.of(given, examples(), {}, ["loss"], [0], {}, 0)
    language = load_language_model(given.model, CPU)
    found = Measurement(work, [], language, record=False).run(Ranks(0, 1, CPU), choose)
    nll = found["untouched"][:, OUTCOMES.index("nll")].numpy()
    right = [loss * (len(row) - 1) for loss, row in zip(losses(model), ids(), strict=True)]
    np.testing.assert_allclose(nll, right, rtol=2e-5)


def test_a_swept_model_reads_prompts_as_alone(model: Path, tmp_path: Path) -> None:
    prompts = [np.array(row) for row in ids()]
    speaker = Speaker(config(model, tmp_path, "left"), 0, prompts)
    nothing = speaker.next_tokens(Change(3, 0.0, Sweep.add))
    for found, row in zip(nothing, ids(), strict=True):
        with torch.no_grad():
            right = fresh(model)(input_ids=torch.tensor([row])).logits[0, -1]
        torch.testing.assert_close(found, right, rtol=1e-4, atol=1e-4)
