"""Substitutes beside what the whole model, the embeddings or a masked model say."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

from experiments.neuron_graphs.asks import Substitutes
from experiments.neuron_graphs.masked_model import MaskedModel
from experiments.neuron_graphs.substitutes import LEAST, Neighbours, OwnPredictions
from probe import api
from probe.api import UserError
from probe.models.place import ASSETS
from tests.tiny_models import save_tiny

CPU = torch.device("cpu")
TINY = ASSETS / "tiny"


@pytest.fixture(scope="module")
def model() -> Any:
    return AutoModelForCausalLM.from_pretrained(TINY).eval()


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(TINY)


def asked(tokenizer: Any) -> list[Substitutes]:
    texts = ("The young doctor gave the child a", "In the middle of the", "She was born in")
    ids = [tuple(tokenizer(text)["input_ids"]) for text in texts]
    return [
        Substitutes(ids[0], (1, 4), 5), Substitutes(ids[1], (0, 2, 3), 3),
        Substitutes(ids[2], (2,), 5), Substitutes(ids[0], (2,), 5),
    ]  # fmt: skip


@pytest.mark.parametrize("rows", [1, 64])
def test_own_predictions_are_those_of_the_whole_model(
    model: Any, tokenizer: Any, rows: int
) -> None:
    allowed = np.ones(len(tokenizer), bool)
    allowed[::7] = False
    served: list[int] = []
    asks = asked(tokenizer)
    provider = OwnPredictions(model, api.compose("data.limit=1"), CPU, allowed, rows, 4096)
    found = provider(asks, lambda numbers: served.extend(numbers))
    for ask, proposals in zip(asks, found, strict=True):
        with torch.no_grad():
            chance = model(torch.tensor([ask.ids])).logits[0].softmax(-1).numpy()
        for position, tokens in zip(ask.positions, proposals, strict=True):
            if position == 0 or not allowed[ask.ids[position]]:
                assert tokens == []
                continue
            order = np.argsort(-chance[position - 1], kind="stable")
            expected = [
                int(token) for token in order
                if allowed[token] and token != ask.ids[position]
                and chance[position - 1, token] >= LEAST
            ]  # fmt: skip
            assert tokens == expected[: ask.number]
    assert sorted(set(served)) == [0, 1, 2, 3]


def test_neighbours_are_the_nearest_embeddings(model: Any, tokenizer: Any) -> None:
    embeddings = model.get_input_embeddings().weight
    allowed = np.ones(len(tokenizer), bool)
    allowed[:100] = False
    asks = asked(tokenizer)
    found = Neighbours(embeddings, allowed)(asks, lambda _: None)
    own = embeddings.detach().double()
    for ask, proposals in zip(asks, found, strict=True):
        for position, tokens in zip(ask.positions, proposals, strict=True):
            token = ask.ids[position]
            alike = torch.cosine_similarity(own, own[token][None]).numpy()
            order = [int(n) for n in np.argsort(-alike) if allowed[n] and n != token]
            assert tokens == (order[: ask.number] if allowed[token] else [])


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a masked language model whose vocabulary has a mask token."""
    folder = save_tiny("bert", tmp_path_factory.mktemp("bert"), vocab_size=310)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"mask_token": "[MASK]", "pad_token": "[PAD]"})
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("rows", [1, 64])
def test_a_masked_model_proposes_what_is_one_token_here(
    masked: Path, tokenizer: Any, rows: int
) -> None:
    allowed = np.ones(len(tokenizer), bool)
    served: list[int] = []
    asks = asked(tokenizer)
    found = MaskedModel(str(masked), tokenizer, allowed, CPU, rows, 4096)(asks, served.extend)
    own, whole = AutoTokenizer.from_pretrained(masked), AutoModelForMaskedLM.from_pretrained(masked)
    n_found = 0
    for ask, proposals in zip(asks, found, strict=True):
        for position, tokens in zip(ask.positions, proposals, strict=True):
            before, word = tokenizer.decode(ask.ids[:position]), tokenizer.decode(ask.ids[position])
            space = " " if word.startswith(" ") else ""
            text = f"{before}{space}[MASK]{tokenizer.decode(ask.ids[position + 1 :])}"
            ids = own(text, return_tensors="pt")["input_ids"]
            at = (ids[0] == own.mask_token_id).nonzero()[0, 0]
            with torch.no_grad():
                best = whole(ids).logits[0, at].topk(4 * 5).indices.tolist()
            words = [own.decode([token]).strip() for token in best]
            styled = [space + (w.title() if word.strip().istitle() else w) for w in words]
            for token in tokens:
                assert tokenizer.decode([token]) in styled
                assert token != ask.ids[position]
            n_found += len(tokens)
    assert n_found > 5
    assert sorted(set(served)) == [0, 1, 2, 3]


def test_a_masked_model_that_is_none_is_refused(tmp_path: Path, tokenizer: Any) -> None:
    allowed = np.ones(len(tokenizer), bool)
    for name, message in (
        (str(tmp_path / "nothing"), "cannot be loaded as a masked language model"),
        (str(save_tiny("bert", tmp_path / "bert")), "has no mask token in its vocabulary"),
    ):
        with pytest.raises(UserError, match=f"study.masked_model=.* {message}"):
            MaskedModel(name, tokenizer, allowed, CPU, 9, 999)
