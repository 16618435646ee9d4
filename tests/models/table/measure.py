"""How far what is read from a small model is from float64, one text at a time."""

import copy
import re
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoConfig, AutoModel

from probe.config import Config, DataConfig, InitConfig, ModelConfig, Side, Site
from probe.distributed import Ranks
from probe.errors import UserError
from probe.examples.batches import Batch, Tensors
from probe.examples.request import Request
from probe.extraction.loop import Loop
from probe.models import count_layers, find_blocks, load_trunk
from tests.models.table.architectures import (
    ARCHITECTURES,
    GIVEN,
    REFUSED,
    SPREAD,
    WITHOUT_EMBEDDINGS,
)
from tests.models.table.formulas import by_hand, in_float64
from tests.tiny_models import tiny_tokenizer

LENGTHS = (72, 70, 66, 66)
_LOOKS = re.compile(
    r"(q_proj|k_proj|query|key|qkv|c_attn|q_lin|k_lin|q_a_proj|q_b_proj)\w*\.weight", re.I
)
CPU = torch.device("cpu")
# By text and layer: (n_tokens, n_neurons).
Series = list[dict[int, NDArray[np.float64]]]


SITES = (Site.residual, Site.mlp, Site.attention)


@dataclass
class Row:
    """What was found of an architecture.

    Attributes
    ----------
    architecture : str
        Its name.
    found : dict
        By site: the largest difference of r from float64, or why there is none.
    noise : dict
        By site: the largest difference of the activations, ‖Δx‖/‖x‖ over a text's.
    batches : str
        What batches hold.
    """

    architecture: str
    found: dict[str, float | str] = field(default_factory=dict)
    noise: dict[str, float] = field(default_factory=dict)
    batches: str = ""

    def is_right(self, site: Site) -> bool:
        """Whether a site is within 2e-6 of float64."""
        found = self.found[site.value]
        return isinstance(found, float) and found <= 2e-6


def save(architecture: str, folder: Path) -> Path:
    """Save a small model with random weights, every one of them, and a tokenizer."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        config = AutoConfig.for_model(architecture, **ARCHITECTURES[architecture])
        model = AutoModel.from_config(config, dtype=torch.float32)
        spread = SPREAD.get(architecture, 0.1)
        for name, weight in model.named_parameters():
            if weight.is_floating_point():
                one = weight.dim() == 1 and bool((weight == 1).all())
                # Heads that look at all tokens alike hand over nearly constant series.
                std = spread * (2 if _LOOKS.search(name) else 1)
                torch.nn.init.normal_(weight, mean=float(one), std=std)
        model.save_pretrained(folder)
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"pad_token": tokenizer.convert_ids_to_tokens(1)})
    tokenizer.save_pretrained(folder)
    return folder


def texts() -> list[list[int]]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(3, 290, (n,), generator=generator).tolist() for n in LENGTHS]


def measure(architecture: str, folder: Path) -> Row:
    """Compare every site on both padding sides with float64."""
    row, folder = Row(architecture), folder / architecture
    model = ModelConfig(path=str(save(architecture, folder)), **GIVEN.get(architecture, {}))
    # Grouped products of experts have no float64.
    whole = AutoModel.from_pretrained(
        folder, dtype=torch.float64, experts_implementation="eager"
    ).eval()
    reference = whole.language_model.model if architecture == "llama4" else whole
    reference = getattr(reference, "text_model", reference)
    for site in SITES:
        try:
            blocks = find_blocks(load_trunk(model, InitConfig(), CPU), model)
            layers = count_layers(reference, blocks)
            if architecture in REFUSED:
                read(model, site, layers, list(range(layers)))
            expected = (
                own_states(reference, layers, model.stream)
                if site is Site.residual
                else by_hand(reference, model, site, texts())
            )
            worst, noise = 0.0, 0.0
            for side in Side:
                stream = model.stream if site is Site.residual else None
                given = replace(model, padding_side=side, stream=stream)
                found, batches = read(given, site, layers, sorted(expected[0]))
                far, relative = difference(found, expected)
                worst, noise = max(worst, far), max(noise, relative)
                row.batches = batches if site is Site.residual else row.batches
            row.found[site.value], row.noise[site.value] = worst, noise
        except UserError as error:
            row.found[site.value] = str(error)
    return row


def read(model: ModelConfig, site: Site, n_layers: int, layers: list[int]) -> tuple[Series, str]:
    """Read all texts as a run does, checked, padded and in batches."""
    ids = texts()
    config = Config(model, DataConfig("text"), site=site)
    batch = Batch(list(range(len(ids))), ids)
    request = Request(config, layers, [batch], ["text"] * len(ids), "run", [])
    loop = Loop(request, Ranks(0, 1, CPU))
    found: Series = [{} for _ in ids]

    def keep(part: Batch, tensors: Tensors, layer: int, x: Tensor) -> None:
        for place, member in enumerate(part.members):
            found[member][layer] = x[place][tensors.attended[place]].double().numpy()

    list(loop.batches(keep))
    assert loop.checks is not None
    return found, loop.checks.batches


def own_states(trunk: Any, n_layers: int, stream: int | None) -> Series:
    """Return transformers' own hidden states in float64, the last behind the final norm."""
    every: Series = []
    for ids in texts():
        fresh = copy.deepcopy(trunk)  # some change as they read
        with in_float64():
            output = fresh(input_ids=torch.tensor([ids]), output_hidden_states=True)
        states = [*output.hidden_states]
        begins = 0 if trunk.config.model_type in WITHOUT_EMBEDDINGS else len(states) - n_layers
        states = states[begins : begins + n_layers]
        states[-1] = output.last_hidden_state
        layers = {}
        for layer, state in enumerate(states):
            if state.dim() == 4:
                axis = 0 if state.shape[1] == 1 else 2
                state = state.select(axis, stream or 0)
            layers[layer] = state[0, : len(ids)].double().numpy()
        every.append(layers)
    return every


def difference(found: Series, expected: Series) -> tuple[float, float]:
    """Return the largest difference of any r of any text, and of a layer's activations."""
    worst = noise = 0.0
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for layer, x in one.items():
            right = other[layer]
            assert x.shape == right.shape, (layer, x.shape, right.shape)
            worst = max(worst, float(abs(r(x) - r(right)).max()))
            noise = max(noise, float(np.linalg.norm(x - right) / np.linalg.norm(right)))
    return worst, noise


def r(series: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return np.corrcoef, 0 where a neuron is constant."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(np.corrcoef(series.T))
