"""The work of the ranks: texts, layers, selections and treatments, as bytes."""

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments.intervene.selection import counts
from experiments.intervene.settings import DRAWN, Intervene
from probe.api.parts import Request


@dataclass(frozen=True)
class Condition:
    """A selection of neurons and its treatment.

    Attributes
    ----------
    treatment, select, order : str
        See `Intervene`.
    count : int
        Neurons to treat in each layer.
    draw : int
        Index of the draw of neurons, or of noise.
    """

    treatment: str
    select: str
    order: str
    count: int
    draw: int


def conditions(settings: Intervene, n_neurons: int) -> list[Condition]:
    """List all conditions; without randomness there is one draw, and `random` has one order."""
    listed = []
    for treatment, select, order, count, draw in product(
        settings.treatment,
        settings.select,
        settings.order,
        counts(settings.fractions, n_neurons),
        range(settings.seeds),
    ):
        same_draw = draw > 0 and select not in DRAWN and treatment != "noise"
        same_order = select == "random" and order != settings.order[0]
        if not (same_draw or same_order):
            listed.append(Condition(treatment, select, order, count, draw))
    return listed


@dataclass(frozen=True)
class Plan:
    """The work on one half of the texts.

    Attributes
    ----------
    request : Request
        Model, layers and batches.
    settings : Intervene
        Selections, treatments and measures.
    n_neurons, n_heads : int
        Neurons of a layer, and attention heads.
    letters : list of int
        Tokens of the answers A, B, C, …; none if accuracy is not measured.
    answers, choices : list of int
        Right answer of every example, from 0, and its number of choices.
    statistics : mapping of str to Tensor
        Results of the survey, `<layer>/<name>`, each of shape (n_neurons,).
    """

    request: Request
    settings: Intervene
    n_neurons: int
    n_heads: int
    letters: list[int] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    choices: list[int] = field(default_factory=list)
    statistics: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def conditions(self) -> list[Condition]:
        """All conditions, in the order of the results."""
        return conditions(self.settings, self.n_neurons)

    def to_bytes(self) -> bytes:
        """Pack the plan."""
        rest = {
            name: getattr(self, name)
            for name in ("n_neurons", "n_heads", "letters", "answers", "choices")
        }
        rest["settings"] = asdict(self.settings)
        packed = {"request": self.request.to_bytes(), "rest": json.dumps(rest).encode()}
        stream = io.BytesIO()
        arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in self.statistics.items()}
        arrays |= {name: np.frombuffer(part, dtype=np.uint8) for name, part in packed.items()}
        np.savez(stream, **arrays)
        return stream.getvalue()

    @staticmethod
    def request_of(packed: bytes) -> bytes:
        """Unpack the request alone."""
        with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
            return bytes(arrays["request"].tobytes())

    @classmethod
    def from_bytes(cls, packed: bytes) -> "Plan":
        """Unpack a plan."""
        with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
            rest = json.loads(arrays["rest"].tobytes())
            statistics = {
                name: torch.from_numpy(arrays[name])
                for name in arrays.files
                if name not in ("request", "rest")
            }
        settings = Intervene(**rest.pop("settings"))
        request = Request.from_bytes(cls.request_of(packed))
        return cls(request=request, settings=settings, statistics=statistics, **rest)
