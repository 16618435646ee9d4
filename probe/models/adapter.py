"""An adapter (peft) of a model, merged into its weights."""

import hashlib
import json
import logging
import re
import warnings
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from probe.errors import UserError
from probe.models.checkpoint import file_of
from probe.system.logs import plural

logger = logging.getLogger(__name__)
_SETTINGS = "adapter_config.json"
_SAFE, _PICKLED = "adapter_model.safetensors", "adapter_model.bin"
# Begins the names of an adapter's weights; those of the model that it was trained on follow.
_HEAD = "base_model.model."
# The two factors of what LoRA adds to a module's weights.
_PAIR = re.compile(r"\.lora_(?:embedding_)?[AB](?:\.weight)?$")


@dataclass(frozen=True)
class Adapter:
    """An adapter's files, and the model that they are for.

    Attributes
    ----------
    model : str
        Name of the model, for messages.
    where : str
        Folder or repository of the adapter.
    options : dict
        Options of `from_pretrained` for it.
    kind : str
        What it is, e.g. `LORA`.
    base : str
        Folder or repository of the model that it is for.
    base_revision : str, optional
        Branch, tag or commit of that on the Hub.
    """

    model: str
    where: str
    options: dict[str, Any]
    kind: str
    base: str
    base_revision: str | None

    @classmethod
    def of(cls, model: str, where: str, options: dict[str, Any]) -> "Adapter | None":
        """Return the adapter in a folder or repository, alone or beside weights, if there is one.

        Raises
        ------
        UserError
            If its settings cannot be read.
        """
        file = file_of(where, _SETTINGS, options)
        if file is None:
            return None
        try:
            settings = json.loads(Path(file).read_text(encoding="utf-8"))
            kind, base = settings["peft_type"], settings["base_model_name_or_path"]
        except (ValueError, LookupError, TypeError) as error:
            raise UserError(
                f"model={model}: {where} has an {_SETTINGS} that does not name a peft_type and a "
                "base_model_name_or_path; mend or remove it"
            ) from error
        return cls(model, where, options, str(kind), str(base), settings.get("revision"))

    @cached_property
    def weights(self) -> Path:
        """The file of its weights, downloaded if need be.

        Raises
        ------
        UserError
            If there is none in safetensors.
        """
        file = file_of(self.where, _SAFE, self.options)
        if file is None:
            raise UserError(
                f"model={self.model}: {self.where} has an adapter ({_SETTINGS}) without "
                f"{_SAFE}; save it with peft's save_pretrained, or remove {_SETTINGS}"
            )
        return Path(file)

    @property
    def fingerprint(self) -> str:
        """Kind of the adapter, and a hash of its settings and weights."""
        digest = hashlib.sha256()
        for file in (self.weights.with_name(_SETTINGS), self.weights):
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        return f"{self.kind} adapter sha256 {digest.hexdigest()}"

    def merge(self, model: Any) -> None:
        """Merge the adapter into a model's weights, so that no module is added.

        What it trains of a head that the model does not have is left out.

        Parameters
        ----------
        model : transformers.PreTrainedModel
            The base model, with its head or without.

        Raises
        ------
        UserError
            If peft is not installed, or the adapter does not fit the model or cannot be merged.
        """
        try:
            import peft
        except ImportError as error:
            raise UserError(
                f"model={self.model}: {self.where} has an adapter ({self.kind}) for {self.base}, "
                "and peft is not installed; pip install -c constraints.txt '.[adapters]' brings "
                f"it, or remove {_SETTINGS}"
            ) from error
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what is missing is told by `_merge`
                self._merge(peft, model)
        except (ValueError, RuntimeError, TypeError, LookupError, AttributeError) as error:
            if isinstance(error, UserError):
                raise
            raise self._refused(str(error).strip().splitlines()[0].rstrip(".")) from error
        logger.info(
            "model=%s: the %s adapter of %s is merged into the weights",
            self.model, self.kind, self.where,
        )  # fmt: skip

    def _merge(self, peft: Any, model: Any) -> None:
        settings = peft.PeftConfig.from_pretrained(str(self.weights.parent))
        if settings.is_prompt_learning:
            raise UserError(
                f"model={self.model}: the {self.kind} adapter of {self.where} puts tokens before "
                f"every text and changes no weights; use another, or remove {_SETTINGS}"
            )
        state = peft.load_peft_weights(str(self.weights.parent), device="cpu")
        trunk, inside, whole = model.base_model, f"{_HEAD}{model.base_model_prefix}.", model
        if not any(name.startswith(inside) for name in state):  # of a model without a head
            whole, inside = trunk, _HEAD
        elif model is trunk:
            whole = _Whole(trunk)
        settings.task_type, settings.inference_mode = None, True
        tuned = peft.PeftModel(whole, settings)
        expected = peft.get_peft_model_state_dict(tuned, save_embedding_layers=False)
        missing = {
            name: torch.zeros_like(weight) for name, weight in expected.items() if name not in state
        }
        found = peft.set_peft_model_state_dict(tuned, state | missing)
        unused = [name for name in found.unexpected_keys if name.startswith(inside)]
        self._refuse_parts(missing, unused)
        tuned.merge_and_unload(safe_merge=True)

    def _refuse_parts(self, missing: Collection[str], unused: Collection[str]) -> None:
        """Refuse weights that belong to none of the model's; LoRA may have none for a module."""
        pairs = [name for name in missing if _PAIR.search(name)]
        halves = Counter(_PAIR.split(name)[0] for name in pairs)
        wrong = [*unused, *({*missing} - {*pairs}), *(one for one, n in halves.items() if n != 2)]
        if wrong:
            raise self._refused(f"{min(wrong)} is in only one of the two")
        if halves:
            logger.warning(
                "model=%s: the adapter of %s has no weights for %s that it names (the first is "
                "%s), which stay as they are",
                self.model, self.where, plural(len(halves), "module"),
                min(halves).removeprefix(_HEAD),
            )  # fmt: skip

    def _refused(self, why: str) -> UserError:
        return UserError(
            f"model={self.model}: the {self.kind} adapter of {self.where} cannot be merged into "
            f"{self.base} ({why}); merge it where it was made (peft: merge_and_unload, then "
            f"save_pretrained) and give that folder, or remove {_SETTINGS}"
        )


class _Whole(nn.Module):
    """A trunk under its own name, as in the model with a head for which the adapter is."""

    def __init__(self, trunk: Any) -> None:
        super().__init__()
        self.add_module(trunk.base_model_prefix, trunk)
