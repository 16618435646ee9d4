"""Ranks one after the other in one process, for what does not depend on their being processes.

They are the program's own `Ranks`; only what carries their messages is made up. That real processes
do the same is shown once, in `tests/distributed/test_ranks.py`.
"""

from collections import Counter, deque

import pytest
from torch import Tensor

from probe.distributed import Ranks, find_device, ranks
from probe.distributed.work import Result, fetch, find_work


class Messages:
    """What `torch.distributed` is to `Ranks`, where rank 0 works last."""

    def __init__(self, size: int) -> None:
        self._size, self._sent = size, [deque[Tensor]() for _ in range(size)]
        self._counts = Counter[str]()
        self.rank, self.distributed_c10d = 0, self

    def send(self, tensor: Tensor, dst: int, group: object) -> None:
        assert dst == 0 != self.rank
        self._sent[self.rank].append(tensor.clone())

    def recv(self, tensor: Tensor, src: int, group: object) -> None:
        assert self.rank == 0 != src
        sent = self._sent[src].popleft()
        assert (sent.shape, sent.dtype) == (tensor.shape, tensor.dtype)
        tensor.copy_(sent)

    def _get_default_store(self) -> "Messages":
        return self

    def add(self, key: str, number: int) -> int:
        """Count; those who only look, to see whether all are here, see the others as well."""
        self._counts[key] += number
        return self._counts[key] if number else max(self._counts[key], self._size)

    def unread(self) -> int:
        return sum(map(len, self._sent))


def launch(name: str, payload: bytes, size: int, device: str) -> Result:
    """Do what `probe.distributed.launch` does, in this process."""
    fetch(name, payload)
    messages = Messages(size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranks, "dist", messages)
        patch.setattr(ranks, "join", lambda: None)
        patch.setattr(Ranks, "decide", lambda _, __, work: work())  # each for itself, all alike
        for index in (*range(1, size), 0):
            messages.rank = index
            result = find_work(name)(payload, Ranks(index, size, find_device(device)))
    assert messages.unread() == 0
    return {key: tensor.cpu().contiguous() for key, tensor in result.items()}
