"""Tiny language models of the architectures that interventions are shown on."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from probe.config import ModelConfig, Side, Site
from tests.tiny_models import save_tiny

MAMBA = {"state_size": 4, "time_step_rank": 2}
ARCHITECTURES = ("gpt2", "llama", "opt", "gpt_neox", "gemma3_text", "mamba")
# Mamba has neither attention nor MLP.
SITES = {
    name: [Site.residual, Site.residual_raw, Site.embedding] if name == "mamba" else list(Site)
    for name in ARCHITECTURES
}
PLACES = [(name, site) for name, sites in SITES.items() for site in sites]
ANY = ModelConfig(path="tiny")
LONG, SHORT = list(range(1, 13)), list(range(30, 36))


def layers_of(site: Site) -> list[int]:
    return [0] if site is Site.embedding else [0, 1, 2]


@cache
def folder_of(architecture: str) -> Path:
    more = MAMBA if architecture == "mamba" else {}
    return save_tiny(architecture, Path(mkdtemp(prefix="interventions")) / architecture, **more)


@cache
def model_of(architecture: str) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder_of(architecture)).eval()


def padded(rows: Sequence[Sequence[int]], side: Side) -> dict[str, Tensor]:
    """Pad tokens to the longest row, as a caller of transformers would."""
    most = max(map(len, rows))
    ids, mask = torch.zeros(len(rows), most, dtype=torch.long), torch.zeros(len(rows), most)
    for row, tokens in enumerate(rows):
        start = most - len(tokens) if side is Side.left else 0
        ids[row, start : start + len(tokens)] = torch.tensor(tokens)
        mask[row, start : start + len(tokens)] = 1
    return {"input_ids": ids, "attention_mask": mask.long()}


def logits(model: Any, rows: Sequence[Sequence[int]] = (LONG,), side: Side = Side.right) -> Tensor:
    with torch.inference_mode():
        found: Tensor = model(**padded(rows, side), use_cache=False).logits
    return found
