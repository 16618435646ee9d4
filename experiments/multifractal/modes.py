"""From a network to its numbers, as published or soundly."""

from dataclasses import dataclass

from experiments.multifractal.boxes import Boxes, Nodes, Rules, grow
from experiments.multifractal.network import Network
from experiments.multifractal.scaling import Scaling, scaling
from experiments.multifractal.spectrum import Spectrum, spectrum


@dataclass(frozen=True, eq=False)
class Multifractal:
    """The analysis of one network: its boxes, their scaling and the spectrum of that."""

    boxes: Boxes
    scaling: Scaling
    spectrum: Spectrum


@dataclass(frozen=True)
class Mode:
    """How a network is judged.

    Attributes
    ----------
    central : bool
        Whether α₀ is the slope at q = 0 from both sides, or where f is largest.
    tolerance : float
        By which f may exceed 0 before a filter rejects a spectrum.
    same_nodes : bool
        Whether the nodes that count at the first step do at all others: as weights grow, more nodes
        have enough edges, which is no change of structure.
    """

    central: bool
    tolerance: float
    same_nodes: bool

    def analyse(self, network: Network, rules: Rules, first: Nodes | None = None) -> Multifractal:
        """Analyse a network; `first` are the nodes that counted at the first step.

        Raises
        ------
        UserError
            If nothing can be measured, or the first step had a network of another shape.
        """
        boxes = grow(network, rules, first if self.same_nodes else None)
        scaled = scaling(boxes.counts, boxes.radii)
        return Multifractal(boxes, scaled, spectrum(scaled))

    def alpha0(self, found: Spectrum) -> float:
        """Return the regularity of a spectrum, dimensionless."""
        return found.alpha0 if self.central else found.alpha0_public

    def keeps(self, found: Spectrum, strictness: int) -> bool:
        """Return whether a published filter (0, 1, 2 or 3) keeps a spectrum."""
        return found.passes(strictness, self.tolerance)


MODES = {"public": Mode(False, 0.0, False), "robust": Mode(True, 1e-9, True)}
