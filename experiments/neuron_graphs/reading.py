"""Rows of tokens through the model, up to a layer; only wanted scalars leave the device."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from experiments.neuron_graphs.asks import Ids
from experiments.neuron_graphs.packing import Gather
from probe.api import Config, UserError
from probe.api.parts import Reader, Tensors, out_of_memory, release_cached


class Rows:
    """Reads batches of short rows.

    Rows are padded on the right: padding on the left would move positions.

    Parameters
    ----------
    trunk : nn.Module
        The model without its head.
    config : Config
        Model and site.
    device : torch.device
        Where its inputs go.
    pad : int
        A token that the model has.
    """

    def __init__(self, trunk: nn.Module, config: Config, device: torch.device, pad: int) -> None:
        self.trunk, self._config, self._device, self._pad = trunk, config, device, pad
        self._readers: dict[int, Reader] = {}

    def __call__(self, layer: int, rows: Sequence[Ids], gather: Gather) -> NDArray[np.float32]:
        """Return the wanted activations of a layer, shape (n_wanted,).

        Raises
        ------
        MemoryError
            If the batch does not fit.
        UserError
            If one of them is not finite.
        """
        reader = self._readers.get(layer)
        if reader is None:
            config = self._config
            reader = Reader(self.trunk, config.model, [layer], config.site)
            self._readers[layer] = reader
        found: list[Tensor] = []

        def take(_: int, activations: Tensor) -> None:
            row, position, neuron, sign = (
                torch.from_numpy(index).to(activations.device)
                for index in (gather.row, gather.position, gather.neuron, gather.sign)
            )
            found.append((activations[row, position, neuron].float() * sign).cpu())

        if not self._fits(reader, pad_right(rows, self._pad, self._device), take):
            release_cached(self._device)
            raise MemoryError(f"{len(rows)} rows do not fit on {self._device}")
        values: NDArray[np.float32] = found[0].numpy()
        if not np.isfinite(values).all():
            raise UserError(
                f"an activation of layer {layer} is not finite; use model.dtype=float32"
            )
        return values

    @staticmethod
    def _fits(reader: Reader, tensors: Tensors, take: Callable[[int, Tensor], None]) -> bool:
        try:
            reader.read(tensors, take)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            return False
        return True


def pad_right(rows: Sequence[Ids], pad: int, device: torch.device) -> Tensors:
    """Return rows as one padded batch."""
    lengths = np.array([len(row) for row in rows])
    attended = np.arange(lengths.max()) < lengths[:, None]
    tokens = np.full(attended.shape, pad, dtype=np.int64)
    tokens[attended] = np.concatenate([np.asarray(row, np.int64) for row in rows])
    mask = torch.from_numpy(attended)
    return Tensors(torch.from_numpy(tokens), mask, mask).to(device)
