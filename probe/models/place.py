"""Where a model's files are, and how transformers opens them."""

import importlib.util
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import errors
from safetensors import SafetensorError
from torch import nn
from tqdm import tqdm
from transformers import AutoConfig, AutoModel
from transformers.utils import SAFE_WEIGHTS_NAME, WEIGHTS_NAME
from transformers.utils import logging as transformers_logging
from transformers.utils.hub import cached_file, get_checkpoint_shard_files

from probe.config import BUNDLED, ModelConfig, model_name
from probe.errors import UserError
from probe.models.adapter import Adapter
from probe.models.checkpoint import file_of
from probe.models.failures import failure

ASSETS = Path(__file__).resolve().parent.parent / "assets"
# What transformers, and a model's own code, raise for invalid files.
_BROKEN: tuple[type[Exception], ...] = (
    OSError, ValueError, LookupError, ImportError, TypeError, AttributeError, ArithmeticError,
    AssertionError, RuntimeError, SafetensorError, struct.error,
    getattr(errors, "StrictDataclassError", OSError),  # older versions check no configuration
)  # fmt: skip
# A progress bar for reading a model from the disk is of no use, and downloads have their own; the
# report of missing and unused weights is replaced by the checks of `load`.
transformers_logging.disable_progress_bar()
transformers_logging.set_verbosity_error()
# Otherwise transformers would open a pull request that adds safetensors to repositories without
# them, such as some training checkpoints of Pythia.
os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "true")
_GGUF = ".gguf"


@dataclass(frozen=True)
class Place:
    """Where a model's files are, and the options with which transformers loads them.

    Attributes
    ----------
    name : str
        The model's short name.
    where : str
        Folder or repository of its configuration and weights: of an adapter, those of its base.
    options : dict
        Options of `from_pretrained`.
    dtype : torch.dtype
        Precision in which it runs.
    pickle : bool
        Whether pickled weights are read.
    adapter : Adapter, optional
        What is merged into the weights.
    """

    name: str
    where: str
    options: dict[str, Any]
    dtype: torch.dtype
    pickle: bool
    adapter: Adapter | None = field(default=None)

    @classmethod
    def of(cls, model: ModelConfig) -> "Place":
        """Return the local folder, the bundled one or the Hub's repository.

        Raises
        ------
        UserError
            If a bundled model or a GGUF file does not exist, gguf is not installed, or an adapter
            does not name its base.
        """
        where = model.path or str(model.id)
        if model.path is None and where.startswith(BUNDLED):
            where = str(ASSETS / where.removeprefix(BUNDLED))
            if not Path(where).is_dir():
                raise UserError(f"model.id={model.id} does not come with probe; use bundled/tiny")
        options: dict[str, Any] = {"trust_remote_code": model.trust_remote_code}
        if model.revision is not None:
            options["revision"] = model.revision
        name, dtype = model_name(model), getattr(torch, model.dtype.value)
        if where.lower().endswith(_GGUF) and model.path is not None:
            file = Path(where).resolve()
            if not file.is_file():
                raise UserError(f"model.path={where} does not exist; give a GGUF file or a folder")
            if importlib.util.find_spec("gguf") is None:
                raise UserError(
                    f"model.path={where} is a GGUF file, and gguf is not installed; pip install "
                    "-c constraints.txt '.[gguf]' brings it"
                )
            _without_bar()
            options["gguf_file"] = str(file)
            return cls(name, str(file.parent), options, dtype, model.pickle)
        place = cls(name, where, options, dtype, model.pickle)
        with place.as_user_error():
            adapter = Adapter.of(name, where, options)
            if adapter is not None and file_of(where, "config.json", options) is None:
                where, options = adapter.base, options | {"revision": adapter.base_revision}
        return replace(place, where=where, options=options, adapter=adapter)

    @property
    def gguf(self) -> Path | None:
        """The GGUF file, if the model is one."""
        file = self.options.get("gguf_file")
        return None if file is None else Path(file)

    @property
    def words(self) -> str:
        """Folder or repository of the tokenizer: an adapter may have its own."""
        own = self.adapter
        if own is None or file_of(own.where, "tokenizer_config.json", own.options) is None:
            return self.where
        return own.where

    def open(self, kind: Any, **more: Any) -> Any:
        """Call `kind.from_pretrained`, turning its errors into `UserError`."""
        with self.as_user_error():
            return kind.from_pretrained(self.where, **self.options, **more)

    def config(self) -> Any:
        """Open the model's own (Hugging Face) configuration."""
        return self.open(AutoConfig)

    def make(self, config: Any, kind: Any = AutoModel, **more: Any) -> nn.Module:
        """Make a trunk, or another kind of model, with random weights from a configuration."""
        trust = self.options["trust_remote_code"]
        with self.as_user_error():
            trunk: nn.Module = kind.from_config(config, trust_remote_code=trust, **more)
        return trunk

    @contextmanager
    def as_user_error(self) -> Iterator[None]:
        """Turn whatever transformers raises for invalid files into a `UserError`."""
        try:
            yield
        except UserError:
            raise
        except _BROKEN as error:
            where = self.where if self.gguf is None else str(self.gguf)
            why = failure(where, self.options.get("revision"), error)
            raise UserError(f"model={self.name}: {why}") from error

    def open_weights(self, kind: Any, **more: Any) -> Any:
        """Load weights, only from safetensors unless `model.pickle` is set."""
        safe = None if self.pickle or self.gguf is not None else True
        if self.adapter is not None:
            # With peft transformers attaches what lies beside the weights, to other names than a
            # trunk's; it is looked for where it is not, and merged by `Adapter`.
            more["adapter_kwargs"] = {"subfolder": "no adapter"}
        return self.open(kind, use_safetensors=safe, **more)


def _without_bar() -> None:
    """Take away the bar of GGUF files, which transformers' switch above leaves on."""
    from transformers import modeling_gguf_pytorch_utils

    modeling_gguf_pytorch_utils.tqdm = partial(tqdm, disable=True)


def weight_files(place: Place) -> list[Path]:
    """Return the files of the weights, which are downloaded if need be."""
    at = {"revision": place.options.get("revision")}
    for name in (SAFE_WEIGHTS_NAME, WEIGHTS_NAME) if place.pickle else (SAFE_WEIGHTS_NAME,):
        for listed in (name, f"{name}.index.json"):
            file = cached_file(
                place.where, listed, **at, _raise_exceptions_for_missing_entries=False
            )
            if file is None:
                continue
            if listed == name:
                return [Path(file)]
            return [Path(one) for one in get_checkpoint_shard_files(place.where, file, **at)[0]]
    raise OSError(f"there is no file named {SAFE_WEIGHTS_NAME}")
