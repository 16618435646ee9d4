"""Weights of a checkpoint, each read when it is asked for, without the model around them."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from safetensors import safe_open
from transformers.modeling_utils import load_state_dict

from probe.config import InitConfig, InitKind, ModelConfig
from probe.errors import UserError
from probe.models.kept import recall_trunk
from probe.models.load import load_trunk
from probe.models.place import Place, weight_files
from probe.models.quantised import method


class Weights:
    """Weights of a checkpoint by their names.

    Files are mapped into memory: of a weight only the pages that are used are read.

    Parameters
    ----------
    model : str
        Name of the model, for messages.
    readers : mapping of str to callable
        Returns the weight of a name.
    headless : bool
        Whether they are those of a model that was loaded without its head.
    """

    def __init__(
        self,
        model: str,
        readers: Mapping[str, Callable[[], torch.Tensor]],
        headless: bool = False,
    ) -> None:
        self.model = model
        self._readers = readers
        self._headless = headless

    def find(self, name: str) -> torch.Tensor:
        """Return the one weight of a name, or of one that ends with a dot and it.

        Checkpoints of a language model put the trunk's own name, e.g. `model`, before those of
        its weights, and checkpoints of a trunk do not.

        Raises
        ------
        UserError
            If there is none, or there are several.
        """
        found = [one for one in self._readers if f".{one}".endswith(f".{name}")]
        if not found and self._headless:
            raise UserError(
                f"model={self.model}: it is loaded without its head, as a GGUF file or for its "
                f"adapter, and {name} is not in the rest; save it with transformers in one folder"
            )
        if len(found) != 1:
            what = f"has several weights {', '.join(found)}" if found else f"lacks {name}"
            raise UserError(
                f"model={self.model}: the checkpoint {what}; use a complete checkpoint of one "
                "language model or init=random"
            )
        return self._readers[found[0]]()


def open_weights(model: ModelConfig, init: InitConfig) -> Weights:
    """Open a checkpoint's files, local or from the Hub, or make random weights.

    Parameters
    ----------
    model : ModelConfig
        Which model. `dtype` is that of random weights; others keep the precision of their file.
    init : InitConfig
        `random` makes the trunk that `load_trunk` makes, as weights are drawn one after the other.

    Raises
    ------
    UserError
        If the files cannot be loaded.
    """
    place = Place.of(model)
    readers: dict[str, Callable[[], torch.Tensor]]
    if init.kind is InitKind.random or place.gguf is not None or place.adapter is not None:
        cpu = torch.device("cpu")
        kept = recall_trunk(model, init, cpu)
        held = (load_trunk(model, init, cpu) if kept is None else kept).state_dict()
        readers = {name: partial(held.__getitem__, name) for name in held}
        return Weights(place.name, readers, headless=init.kind is not InitKind.random)
    how = method(place.config())
    if how is not None:
        raise UserError(
            f"model={place.name}: the checkpoint is quantised ({how}), and its weights are packed; "
            "use the model as it was before"
        )
    readers = {}
    with place.as_user_error():
        for file in weight_files(place):
            if file.suffix == ".safetensors":
                with safe_open(file, framework="pt") as stream:
                    names = stream.keys()
                readers |= {name: partial(_stored, file, name) for name in names}
            else:
                held = load_state_dict(file)  # tensors only
                readers |= {name: partial(held.__getitem__, name) for name in held}
    return Weights(place.name, readers)


def _stored(file: Path, name: str) -> torch.Tensor:
    """Map a weight into memory; a file that stayed open would keep there what was once read."""
    with safe_open(file, framework="pt") as stream:
        weight: torch.Tensor = stream.get_tensor(name)
        return weight
