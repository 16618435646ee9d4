"""Download a model once, so that the processes that load it do not ask the Hub."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel

from probe.config import InitConfig, InitKind, ModelConfig
from probe.models.load import Place, load_config, load_tokenizer


def fetch_model(model: ModelConfig, init: InitConfig, kind: Any = AutoModel) -> None:
    """Download everything that loading a model and its tokenizer needs from the Hub.

    The model is loaded without the values of its weights, because only transformers knows which
    files of a repository it needs. Machines may share a cache: the Hub's library locks every file
    while it downloads it.

    Parameters
    ----------
    model, init
        See `load_trunk`.
    kind : class
        The class that will load the weights.

    Raises
    ------
    UserError
        If the model cannot be downloaded.
    """
    place = Place.of(model)
    if Path(place.where).is_dir():
        return
    load_tokenizer(model)
    if init.kind is InitKind.random:
        config = load_config(model)
        with torch.device("meta"):  # downloads code that comes with the model
            place.make(config)
    else:
        # A checkpoint that does not fit is refused with a better message when it is loaded.
        dtype = getattr(torch, model.dtype.value)
        place.open_weights(kind, dtype=dtype, ignore_mismatched_sizes=True, device_map="meta")
