"""From a network to its numbers, as published or soundly."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.multifractal.boxes import Boxes, Nodes, Rules, grow
from experiments.multifractal.network import Matrix, Network
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

    def keeps(self, alpha: Matrix, f: Matrix, strictness: int) -> NDArray[np.bool_]:
        """Return which spectra one of the published filters keeps, shape (n_samples,).

        Parameters
        ----------
        alpha, f : ndarray of float64, shape (n_samples, n_moments - 1)
            Spectra.
        strictness : int
            0 keeps all; 1 those of f ≤ 0, where rounding rejects at random without a tolerance; 2
            those whose α is largest at the least q, to 0.01; 3 asks both.
        """
        negative = (f <= self.tolerance).all(axis=1)
        falling = alpha.max(axis=1) - alpha[:, 0] <= 0.01
        kept: NDArray[np.bool_] = (negative | (strictness in (0, 2))) & (
            falling | (strictness in (0, 1))
        )
        return kept


MODES = {"public": Mode(False, 0.0, False), "robust": Mode(True, 1e-9, True)}
