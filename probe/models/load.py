"""Load a model, with or without its head or trained weights, and its tokenizer; or fetch it."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import errors, try_to_load_from_cache
from safetensors import SafetensorError
from torch import nn
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoTokenizer,
)
from transformers.utils import logging as transformers_logging

from probe.config import BUNDLED, InitConfig, InitKind, ModelConfig, model_name
from probe.errors import UserError
from probe.models.blocks import text_part
from probe.models.checkpoint import refuse_adapter, report_unused
from probe.models.failures import failure
from probe.models.spread import settle, spread_options
from probe.models.tokens import as_in_its_file
from probe.system.kept import forget, keep, keeps, recall

TRUNK = "trunk"  # see `probe.models.kept`; there is one model in memory at a time
ASSETS = Path(__file__).resolve().parent.parent / "assets"
# What transformers, and a model's own code, raise for invalid files.
_BROKEN: tuple[type[Exception], ...] = (
    OSError, ValueError, LookupError, ImportError, TypeError, AttributeError, ArithmeticError,
    AssertionError, RuntimeError, SafetensorError,
    getattr(errors, "StrictDataclassError", OSError),  # older versions check no configuration
)  # fmt: skip
# A progress bar for reading a model from the disk is of no use, and downloads have their own; the
# report of missing and unused weights is replaced by the checks below.
transformers_logging.disable_progress_bar()
transformers_logging.set_verbosity_error()
# Otherwise transformers would open a pull request that adds safetensors to repositories without
# them, such as some training checkpoints of Pythia.
os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "true")


@dataclass(frozen=True)
class Place:
    """Where a model's files are, and the options with which transformers loads them."""

    name: str
    where: str
    options: dict[str, Any]
    dtype: torch.dtype
    pickle: bool

    @classmethod
    def of(cls, model: ModelConfig) -> "Place":
        """Return the local folder, the bundled one or the Hub's repository."""
        where = model.path or str(model.id)
        if where.endswith(".gguf"):
            raise UserError(
                f"model.path={where} is a GGUF file, which is not read; give a folder with the "
                "model's config.json, tokenizer and weights in safetensors"
            )
        if model.path is None and where.startswith(BUNDLED):
            where = str(ASSETS / where.removeprefix(BUNDLED))
            if not Path(where).is_dir():
                raise UserError(f"model.id={model.id} does not come with probe; use bundled/tiny")
        options: dict[str, Any] = {"trust_remote_code": model.trust_remote_code}
        if model.revision is not None:
            options["revision"] = model.revision
        dtype = getattr(torch, model.dtype.value)
        return cls(model_name(model), where, options, dtype, model.pickle)

    def open(self, kind: Any, **more: Any) -> Any:
        """Call `kind.from_pretrained`, turning its errors into `UserError`."""
        with self.as_user_error():
            return kind.from_pretrained(self.where, **self.options, **more)

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
        except _BROKEN as error:
            why = failure(self.where, self.options.get("revision"), error)
            raise UserError(f"model={self.name}: {why}") from error

    def open_weights(self, kind: Any, **more: Any) -> Any:
        """Load weights, only from safetensors unless `model.pickle` is set."""
        return self.open(kind, use_safetensors=None if self.pickle else True, **more)


def load_config(model: ModelConfig) -> Any:
    """Load the model's own (Hugging Face) configuration."""
    place = Place.of(model)
    try:
        return place.open(AutoConfig)
    except UserError:
        refuse_adapter(place.name, place.where, place.options)
        raise


def load_tokenizer(model: ModelConfig, texts: Sequence[str] = ()) -> Any:
    """Load the tokenizer; without a padding token it pads with the end-of-sequence token.

    Its ids are those of tokenizer.json, which some of the `texts` to be read can show.
    """
    kind = "tokenizer, compared" if texts else "tokenizer"
    key = (astuple(model), *_files(model), *texts) if keeps() else None
    if (kept := recall(kind, key)) is not None:
        return kept
    place = Place.of(model)
    tokenizer = place.open(AutoTokenizer)
    with place.as_user_error():
        tokenizer = as_in_its_file(tokenizer, place.where, place.options, texts)
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        raise UserError(
            f"model={place.name}: {place.where} has no tokenizer, only special tokens; add the "
            "tokenizer's files to the model's"
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    keep(kind, key, tokenizer)
    return tokenizer


def _files(model: ModelConfig) -> tuple[str | None, ...]:
    """Identify the files of a model beside its weights."""
    random = InitConfig(kind=InitKind.random)
    return model_fingerprint(model, random), template_fingerprint(model)


def load_trunk(model: ModelConfig, init: InitConfig, device: torch.device) -> nn.Module:
    """Load the model without its language-model head, ready to run.

    Parameters
    ----------
    model : ModelConfig
        Which model, and its precision.
    init : InitConfig
        `pretrained` weights, or `random` ones of the same architecture, drawn on the CPU so that
        they do not depend on the device.
    device : torch.device
        Where the model will run; with `model.device_map` random weights stay on the CPU until
        `probe.distributed.spread` moves them.

    Raises
    ------
    UserError
        If the model cannot be loaded, or its checkpoint lacks weights of the trunk.
    """
    forget(TRUNK)
    place = Place.of(model)
    if init.kind is InitKind.random:
        config = place.open(AutoConfig)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(init.seed)
            trunk = place.make(config, dtype=place.dtype)
        device = device if model.device_map is None else torch.device("cpu")
    else:
        trunk = _pretrained(place, spread_options(model, device))
    return text_part(settle(trunk, device))


def load_language_model(model: ModelConfig, device: torch.device) -> nn.Module:
    """Load the pretrained model with its head, ready to run.

    Raises
    ------
    UserError
        If the model cannot be loaded or has no language-model head.
    """
    forget(TRUNK)
    place = Place.of(model)
    config = place.open(AutoConfig)  # first, as it says best what is wrong with the Hub
    refuse_adapter(place.name, place.where, place.options)
    options = {"dtype": place.dtype, "output_loading_info": True, **spread_options(model, device)}
    whole, report = place.open_weights(_with_head(config), **options)
    if report["missing_keys"]:
        raise UserError(
            f"model={place.name}: the checkpoint has no language-model head "
            f"({min(report['missing_keys'])} is missing), which perplexities and continuations "
            "need; use a causal language model, or leave out data.perplexity and data.generate"
        )
    return settle(whole, device)


def _with_head(config: Any) -> Any:
    """Return the class that loads a model with its head: most that see as well have their own."""
    kind = type(config)
    sees = kind in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING and kind not in MODEL_FOR_CAUSAL_LM_MAPPING
    return AutoModelForImageTextToText if sees else AutoModelForCausalLM


def fetch_language_model(model: ModelConfig) -> None:
    """Download everything that `load_language_model` needs, see `fetch_model`."""
    fetch_model(model, InitConfig(), _with_head(load_config(model)))


def weights_bytes(model: ModelConfig) -> int:
    """Return the bytes of a trunk's weights, from its configuration alone."""
    return sum(weight.nbytes for weight in outline(model).parameters())


def outline(model: ModelConfig) -> nn.Module:
    """Return the trunk without the values of its weights, from its configuration alone."""
    place = Place.of(model)
    config = place.open(AutoConfig)
    with torch.device("meta"):
        return text_part(place.make(config, dtype=place.dtype))


def outline_with_head(model: ModelConfig) -> nn.Module:
    """Return the language model without the values of its weights, likewise."""
    place = Place.of(model)
    config = place.open(AutoConfig)
    with torch.device("meta"):
        return place.make(config, _with_head(config), dtype=place.dtype)


def _pretrained(place: Place, spread: dict[str, Any]) -> Any:
    """Load the trunk's weights, and refuse an incomplete checkpoint or an adapter beside it."""
    config = place.open(AutoConfig)  # first, as above
    refuse_adapter(place.name, place.where, place.options)
    options = {
        "config": config, "dtype": place.dtype, "output_loading_info": True,
        "ignore_mismatched_sizes": True, **spread,
    }  # fmt: skip
    trunk, report = place.open_weights(AutoModel, **options)
    if set(trunk.state_dict()) <= set(report["missing_keys"]):
        # Before transformers 5 the trunk of Gemma 3 does not map the names of its weights in a
        # language model's checkpoint.
        trunk, report = place.open(AutoModel, key_mapping={r"^model\.": ""}, **options)
    if report["mismatched_keys"]:
        first = min(report["mismatched_keys"])
        name = first if isinstance(first, str) else first[0]  # transformers 5 adds the shapes
        shape = tuple(trunk.state_dict()[name].shape)
        raise UserError(
            f"model={place.name}: the checkpoint's {name} does not have the shape {shape} of "
            "config.json; use the config.json that belongs to the checkpoint"
        )
    missing = sorted(key for key in report["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise UserError(
            f"model={place.name}: the checkpoint lacks {len(missing)} weights of the model "
            f"(the first is {missing[0]}); use a complete checkpoint or init=random"
        )
    report_unused(place.name, trunk, report["unexpected_keys"])
    return trunk


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
        place.open_weights(kind, dtype=place.dtype, ignore_mismatched_sizes=True, device_map="meta")


def model_fingerprint(model: ModelConfig, init: InitConfig) -> str:
    """Identify a run's weights: the Hub's commit, or a hash over a local folder's files.

    Random weights depend only on the configuration, so only it is hashed.
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
    files = sorted({file for p in patterns for file in Path(place.where).glob(p)})
    for file in files:
        if not file.is_file():
            raise UserError(f"model={place.name}: {file} is not a file; put the model's there")
    kind, states = f"fingerprint of {init.kind.value} weights", [file.stat() for file in files]
    key = files, [(state.st_ino, state.st_size, state.st_mtime_ns) for state in states]
    if (kept := recall(kind, key)) is not None:
        return str(kept)
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode())
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    fingerprint = f"sha256 {digest.hexdigest()}"
    keep(kind, key, fingerprint)
    return fingerprint


def template_fingerprint(model: ModelConfig) -> str | None:
    """Return a hash of a local model's chat template, if it is read and has a file of its own."""
    file = Path(Place.of(model).where) / "chat_template.jinja"
    if not model.chat or not file.is_file():
        return None
    return f"sha256 {hashlib.sha256(file.read_bytes()).hexdigest()}"
