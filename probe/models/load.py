"""Load a model's trunk and its tokenizer, trained or randomly initialised."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import errors, try_to_load_from_cache
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from probe.config import InitConfig, InitKind, ModelConfig, model_name
from probe.errors import UserError
from probe.models.failures import failure
from probe.models.spread import settle, spread_options

ASSETS = Path(__file__).resolve().parent.parent / "assets"
BUNDLED = "bundled/"
# What transformers, and the code of a model, raise for files that are not what they should be.
_BROKEN: tuple[type[Exception], ...] = (
    OSError, ValueError, LookupError, ImportError, TypeError, AttributeError, ArithmeticError,
    AssertionError, RuntimeError, SafetensorError,
    getattr(errors, "StrictDataclassError", OSError),  # older versions check no configuration
)  # fmt: skip
# A bar for every model that is read from the disk says nothing; downloads have their own. What its
# report of missing and unused weights would tell is checked below.
transformers_logging.disable_progress_bar()
transformers_logging.set_verbosity_error()
# Where a repository has no safetensors, as some checkpoints of Pythia's training, transformers
# would have a pull request opened in it that adds them.
os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "true")


@dataclass(frozen=True)
class Place:
    """Where a model's files are, as transformers wants to be told."""

    name: str
    where: str
    options: dict[str, Any]
    pickle: bool = False

    @classmethod
    def of(cls, model: ModelConfig) -> Place:
        """Find the local folder, the bundled one, or the Hub's repository."""
        where = model.path or str(model.id)
        if model.path is None and where.startswith(BUNDLED):
            where = str(ASSETS / where.removeprefix(BUNDLED))
            if not Path(where).is_dir():
                raise UserError(f"model.id={model.id} does not come with probe; take bundled/tiny")
        options: dict[str, Any] = {"trust_remote_code": model.trust_remote_code}
        if model.revision is not None:
            options["revision"] = model.revision
        return cls(model_name(model), where, options, model.pickle)

    def open(self, kind: Any, **more: Any) -> Any:
        """Call `kind.from_pretrained`, wording what goes wrong for a user."""
        with self.told():
            return kind.from_pretrained(self.where, **self.options, **more)

    def make(self, config: Any, **more: Any) -> nn.Module:
        """Make a trunk of a configuration, its weights drawn at random."""
        trust = self.options["trust_remote_code"]
        with self.told():
            trunk: nn.Module = AutoModel.from_config(config, trust_remote_code=trust, **more)
        return trunk

    @contextmanager
    def told(self) -> Iterator[None]:
        """Word what goes wrong for a user, whatever transformers makes of a broken file."""
        try:
            yield
        except _BROKEN as error:
            why = failure(self.where, self.options.get("revision"), error)
            raise UserError(f"model={self.name}: {why}") from error

    def open_weights(self, kind: Any, **more: Any) -> Any:
        """Load weights, from safetensors alone unless pickled ones were asked for."""
        return self.open(kind, use_safetensors=None if self.pickle else True, **more)


def load_config(model: ModelConfig) -> Any:
    """Load the model's own (Hugging Face) configuration."""
    return Place.of(model).open(AutoConfig)


def load_tokenizer(model: ModelConfig) -> Any:
    """Load the tokenizer; it pads with the end-of-sequence token where it has no other."""
    place = Place.of(model)
    tokenizer = place.open(AutoTokenizer)
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        raise UserError(
            f"model={place.name}: {place.where} has no tokenizer, only special tokens; add the "
            "tokenizer's files to the model's"
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_trunk(model: ModelConfig, init: InitConfig, device: torch.device) -> nn.Module:
    """Load the model without its language-model head, ready to run.

    Parameters
    ----------
    model : ModelConfig
        Which model, and its precision.
    init : InitConfig
        `pretrained` weights, or `random` ones of the same architecture, drawn on the CPU so that
        a seed means the same on every device.
    device : torch.device
        Where the model will run; with `model.device_map` random weights stay on the CPU, from where
        `probe.distributed.spread` takes them.

    Raises
    ------
    UserError
        If the model cannot be had, or its checkpoint lacks weights of the trunk.
    """
    place = Place.of(model)
    dtype = getattr(torch, model.dtype.value)
    if init.kind is InitKind.random:
        config = place.open(AutoConfig)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(init.seed)
            trunk = place.make(config, dtype=dtype)
        device = device if model.device_map is None else torch.device("cpu")
    else:
        trunk = _pretrained(place, dtype, spread_options(model, device))
    return settle(trunk, device)


def weights_bytes(model: ModelConfig) -> int:
    """Return the bytes of a trunk's weights, from its configuration alone."""
    place = Place.of(model)
    config = place.open(AutoConfig)
    dtype = getattr(torch, model.dtype.value)
    with torch.device("meta"):
        trunk = place.make(config, dtype=dtype)
    return sum(weight.nbytes for weight in trunk.parameters())


def _pretrained(place: Place, dtype: torch.dtype, spread: dict[str, Any]) -> Any:
    """Load the trunk's weights, and refuse a checkpoint that is not whole."""
    options = {
        "dtype": dtype, "output_loading_info": True, "ignore_mismatched_sizes": True, **spread
    }  # fmt: skip
    trunk, report = place.open_weights(AutoModel, **options)
    if set(trunk.state_dict()) <= set(report["missing_keys"]):
        # Before transformers 5 the trunk of Gemma 3 does not know the name that it has in a
        # language model's checkpoint.
        trunk, report = place.open(AutoModel, key_mapping={r"^model\.": ""}, **options)
    if report["mismatched_keys"]:
        first = min(report["mismatched_keys"])
        name = first if isinstance(first, str) else first[0]  # transformers 5 adds the shapes
        wanted = tuple(trunk.state_dict()[name].shape)
        raise UserError(
            f"model={place.name}: the checkpoint's {name} has not the shape {wanted} that "
            "config.json wants; take the config.json that belongs to it"
        )
    missing = sorted(key for key in report["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise UserError(
            f"model={place.name}: the checkpoint lacks {len(missing)} weights of the model "
            f"({missing[0]} first); take a whole checkpoint or init=random"
        )
    return trunk


def model_fingerprint(model: ModelConfig, init: InitConfig) -> str:
    """Say which weights a run used: the Hub's commit, or a hash over a local folder's files.

    Weights that are drawn at random depend on the configuration alone, so only it is hashed.
    """
    place = Place.of(model)
    if not Path(place.where).is_dir():
        load_config(model)  # the cache names a snapshot's folder by its commit
        cached = try_to_load_from_cache(place.where, "config.json", revision=model.revision)
        assert isinstance(cached, str), f"{place.where} was loaded but is not in the cache"
        return f"commit {Path(cached).parent.name}"
    patterns = ["*.json", "*.model", "*.txt"]
    if init.kind is InitKind.pretrained:
        patterns += ["*.safetensors", "*.bin"]
    digest = hashlib.sha256()
    for file in sorted({file for p in patterns for file in Path(place.where).glob(p)}):
        if not file.is_file():
            raise UserError(f"model={place.name}: {file} is no file; put the model's own there")
        digest.update(file.name.encode())
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return f"sha256 {digest.hexdigest()}"
