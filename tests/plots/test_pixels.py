"""Pixels of a heat map share the neurons among them, whatever their numbers."""

import numpy as np
import pytest

from probe.plots.pixels import _shares


@pytest.mark.parametrize(("n", "side"), [(114, 100), (226, 100), (1500, 224), (2047, 333)])
def test_the_last_pixel_ends_with_the_last_neuron(n: int, side: int) -> None:
    shares = _shares(n, side)
    np.testing.assert_allclose(shares.sum(axis=0), 1)
    np.testing.assert_allclose(shares.sum(axis=1), n / side)
