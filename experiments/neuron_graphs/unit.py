"""A unit: one neuron of one layer, and the sign of the activations it is studied for."""

import re
from dataclasses import dataclass

from probe.api import UserError


@dataclass(frozen=True, order=True)
class Unit:
    """One neuron, for its positive or for its negative activations.

    Attributes
    ----------
    layer, neuron : int
        Both from 0.
    sign : int
        1, or -1 for a unit whose activations are those of the neuron times −1.

    Examples
    --------
    >>> str(Unit(3, 17)), str(Unit(3, 17, -1))
    ('3:17', '3:17-')
    >>> Unit.parse("3:17-")
    Unit(layer=3, neuron=17, sign=-1)
    """

    layer: int
    neuron: int
    sign: int = 1

    def __str__(self) -> str:
        """Write the unit as users do."""
        return f"{self.layer}:{self.neuron}{'-' if self.sign < 0 else ''}"

    @property
    def sign_name(self) -> str:
        """`+` or `-`, as in tables."""
        return "-" if self.sign < 0 else "+"

    @classmethod
    def parse(cls, text: str) -> "Unit":
        """Read a unit such as `3:17`, `3:17+` or `3:17-`.

        Raises
        ------
        UserError
            If it is not written so.
        """
        found = re.fullmatch(r"(\d{1,9}):(\d{1,9})([+-]?)", text.strip())
        if found is None:
            raise UserError(
                f"'{text}' is no unit; give layer:neuron, counted from 0, e.g. 3:17, or 3:17- for "
                "its negative activations"
            )
        return cls(int(found[1]), int(found[2]), -1 if found[3] == "-" else 1)
