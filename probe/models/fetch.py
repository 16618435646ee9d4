"""Fetch a model once, so that the processes that load it need not ask the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel

from probe.config import InitConfig, InitKind, ModelConfig
from probe.models.load import Place, load_config, load_tokenizer


def fetch_model(model: ModelConfig, init: InitConfig, kind: Any = AutoModel) -> None:
    """Bring into the Hub's cache all that loading a model and its tokenizer asks the Hub for.

    It is loaded for good but for the weights' values, which stay on the disk: only transformers
    knows which files of a repository it would take. Machines that share a cache may do so at once,
    as the Hub's library locks every file that it fetches.

    Parameters
    ----------
    model, init
        See `load_trunk`.
    kind : class
        The class that is going to load the weights.

    Raises
    ------
    UserError
        If the model cannot be had.
    """
    place = Place.of(model)
    if Path(place.where).is_dir():
        return
    load_tokenizer(model)
    if init.kind is InitKind.random:
        config = load_config(model)
        with torch.device("meta"):  # for the code that may come with the model
            place.make(config)
    else:
        # A checkpoint that does not fit is refused where it is loaded, in better words.
        dtype = getattr(torch, model.dtype.value)
        place.open_weights(kind, dtype=dtype, ignore_mismatched_sizes=True, device_map="meta")
