"""Which experts every token is routed to: two near a tie part with the rounding of a batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

# A block's experts are a module of this name, called with the tokens and, for each, its experts.
_EXPERTS = "experts"


def has_experts(trunk: nn.Module) -> bool:
    """Whether some block routes its tokens to experts."""
    return any(name.rpartition(".")[2] == _EXPERTS for name, _ in trunk.named_modules())


@contextmanager
def routes(trunk: nn.Module, shape: tuple[int, int]) -> Iterator[list[Tensor]]:
    """Record the experts of every token, one tensor (n_rows, n_tokens, k) a call, in order."""
    chosen: list[Tensor] = []

    def note(_: nn.Module, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
        for value in (*positional, *named.values()):
            if isinstance(value, Tensor) and not value.is_floating_point() and value.dim() > 1:
                flat = value.reshape(-1, value.shape[-1])
                if len(flat) == shape[0] * shape[1]:
                    chosen.append(flat.sort(dim=-1).values.reshape(*shape, -1).cpu())
                return

    handles = [
        module.register_forward_pre_hook(note, with_kwargs=True)
        for name, module in trunk.named_modules()
        if name.rpartition(".")[2] == _EXPERTS
    ]
    try:
        yield chosen
    finally:
        for handle in handles:
            handle.remove()
