"""The device on which sums live."""

import logging
from collections.abc import Mapping, Sequence

import torch

from probe.system.device_memory import format_bytes, free_memory

logger = logging.getLogger(__name__)
HOST = torch.device("cpu")
# MPS has no float64, and shares the host's memory.
HOSTED = ("cpu", "mps")


class Placement:
    """Chooses for sums the device of their first layer or, where they do not fit, the host.

    Parameters
    ----------
    devices : mapping of int to torch.device
        Where every layer's activations are.
    batch : int
        Bytes that the largest batch needs on each of them, on top of what is already in use.

    Attributes
    ----------
    on_host : int
        Bytes of sums that did not fit on their own device.

    Examples
    --------
    >>> place = Placement({0: HOST, 1: HOST}, batch=100)
    >>> place([0], 60)
    device(type='cpu')
    """

    def __init__(self, devices: Mapping[int, torch.device], batch: int) -> None:
        self._devices, self.on_host = devices, 0
        self._left = {
            device: (free_memory(device) or 0) - batch
            for device in set(devices.values())
            if device.type not in HOSTED
        }

    def __call__(self, layers: Sequence[int], size: int) -> torch.device:
        """Return where the sums of some layers are to live, given their bytes."""
        device = self._devices[layers[0]]
        if device.type in HOSTED:
            return HOST
        if size > self._left[device]:
            self.on_host += size
            return HOST
        self._left[device] -= size
        return device

    def log_on_host(self) -> None:
        """Report the sums that do not live with their layers."""
        if self.on_host:
            logger.info("%s of sums do not fit next to the model and live in host memory",
                        format_bytes(self.on_host))  # fmt: skip
