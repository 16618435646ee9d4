"""The work of the ranks: texts, layers, selections and treatments, as bytes."""

from dataclasses import asdict, dataclass
from itertools import product

from experiments.intervene.selection import counts
from experiments.intervene.settings import AMOUNTS, DRAWN, Intervene
from probe.api.interventions import Condition, Treatment, Work, pack, unpack


@dataclass(frozen=True)
class Selected(Condition):
    """A selection of neurons and its treatment.

    Attributes
    ----------
    select, order : str
        See `Intervene`.
    count : int
        Neurons to treat in each layer.
    """

    select: str
    order: str
    count: int


def conditions(settings: Intervene, n_neurons: int) -> list[Selected]:
    """List all conditions; without randomness there is one draw, and `random` has one order."""
    listed = []
    for name, select, order, count, draw in product(
        settings.treatment,
        settings.select,
        settings.order,
        counts(settings.fractions, n_neurons),
        range(settings.seeds),
    ):
        same_draw = draw > 0 and select not in DRAWN and name != "noise"
        same_order = select == "random" and order != settings.order[0]
        if not (same_draw or same_order):
            listed.append(Selected(treatment_of(settings, name), draw, select, order, count))
    return listed


def treatment_of(settings: Intervene, name: str) -> Treatment:
    """Return a treatment with the amount that it needs."""
    return Treatment(name, settings.amount if name in AMOUNTS else None)


@dataclass(frozen=True)
class Plan:
    """The work on one half of the texts.

    Attributes
    ----------
    work : Work
        Model, layers and texts; the statistics of the other half, once they are known.
    settings : Intervene
        Selections, treatments and measures.
    n_neurons, n_heads : int
        Neurons of a layer, and attention heads.
    """

    work: Work
    settings: Intervene
    n_neurons: int
    n_heads: int

    @property
    def conditions(self) -> list[Selected]:
        """All conditions, in the order of the results."""
        return conditions(self.settings, self.n_neurons)

    def to_bytes(self) -> bytes:
        """Pack the plan."""
        rest = {"n_neurons": self.n_neurons, "n_heads": self.n_heads}
        return pack({"work": self.work.to_bytes()}, {"settings": asdict(self.settings), **rest})

    @classmethod
    def from_bytes(cls, packed: bytes) -> "Plan":
        """Unpack a plan."""
        parts, rest, _ = unpack(packed)
        settings = Intervene(**rest.pop("settings"))
        return cls(work=Work.from_bytes(parts["work"]), settings=settings, **rest)
