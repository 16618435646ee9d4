"""What the ranks are asked to do: texts, layers, choices and treatments, as bytes."""

from __future__ import annotations

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
    """A choice of neurons and what is done to them.

    Attributes
    ----------
    treatment, select, order : str
        See `Intervene`.
    count : int
        Neurons to treat in each layer.
    draw : int
        Number of the draw of neurons, or of noise.
    """

    treatment: str
    select: str
    order: str
    count: int
    draw: int


def conditions(settings: Intervene, n_neurons: int) -> list[Condition]:
    """List all conditions; what nothing is drawn for has one draw, chance knows one order."""
    found = []
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
            found.append(Condition(treatment, select, order, count, draw))
    return found


@dataclass(frozen=True)
class Plan:
    """The work on one half of the texts.

    Attributes
    ----------
    request : Request
        Model, layers and batches.
    settings : Intervene
        What is done.
    n_neurons, n_heads : int
        Neurons of a layer, and attention heads.
    letters : list of int
        Tokens of the answers A, B, C, …; none where no accuracy is measured.
    answers, choices : list of int
        Right answer of every example, from 0, and the number of its answers.
    known : mapping of str to Tensor
        What the survey found, `<layer>/<name>`, each of shape (n_neurons,).
    """

    request: Request
    settings: Intervene
    n_neurons: int
    n_heads: int
    letters: list[int] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    choices: list[int] = field(default_factory=list)
    known: Mapping[str, Tensor] = field(default_factory=dict)

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
        arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in self.known.items()}
        arrays |= {name: np.frombuffer(part, dtype=np.uint8) for name, part in packed.items()}
        np.savez(stream, **arrays)
        return stream.getvalue()

    @staticmethod
    def request_of(packed: bytes) -> bytes:
        """Unpack the request alone."""
        with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
            return bytes(arrays["request"].tobytes())

    @classmethod
    def from_bytes(cls, packed: bytes) -> Plan:
        """Unpack a plan."""
        with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
            rest = json.loads(arrays["rest"].tobytes())
            known = {
                name: torch.from_numpy(arrays[name])
                for name in arrays.files
                if name not in ("request", "rest")
            }
        settings = Intervene(**rest.pop("settings"))
        request = Request.from_bytes(cls.request_of(packed))
        return cls(request=request, settings=settings, known=known, **rest)
