"""Where large products are computed: by NumPy, or by torch on a device."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def place(array: NDArray[np.float64], device: str | None) -> Any:
    """Return the array itself without a device, else a tensor there; `@` and `.T` suit both.

    Parameters
    ----------
    array : ndarray
        Of any shape.
    device : str, optional
        A torch device that has float64, such as `cuda`.
    """
    if device is None:
        return array
    import torch

    return torch.from_numpy(array).to(device)


def fetch(array: Any) -> NDArray[np.float64]:
    """Return what `place` placed, or a product of it, as an array."""
    return array if isinstance(array, np.ndarray) else np.asarray(array.cpu())
