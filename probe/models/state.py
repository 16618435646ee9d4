"""What a forward pass can change in a model beside its result, kept and put back."""

import copy
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig

_CONTAINERS = (dict, OrderedDict, list, set)
# Whether hidden states have been asked for, and what is noted of it.
_HOOKS = "hooks"
_BOOKKEEPING = "_output_capturing_hooks_installed"


class ModelState:
    """Attributes, parts and hooks of every module, computed buffers, and the configuration.

    BigBird replaces its attention for good when a text is short; rotary factors that depend on the
    longest text are kept for the next. `restore` undoes both. Weights are not copied, nor are
    buffers that a checkpoint has; a model that has changed its weights when it first read, as RWKV
    does, keeps that, and its state is the one after it.

    Parameters
    ----------
    trunk : nn.Module
        The model whose state is kept.
    """

    def __init__(self, trunk: nn.Module) -> None:
        self._trunk, self._versions = trunk, _versions(trunk)
        self._holders: list[tuple[str, Any, dict[str, Any]]] = []
        self._containers: list[tuple[str, Any, Any]] = []
        self._buffers: list[tuple[str, Tensor, Tensor]] = []
        for name, module in trunk.named_modules():
            self._keep(name, module)
            self._buffers += [
                (f"{name}.{key}", buffer, buffer.clone())
                for key, buffer in module.named_buffers(recurse=False)
                if key in module._non_persistent_buffers_set and buffer.device.type != "meta"
            ]
        for number, config in enumerate(_configs(trunk)):
            self._keep(f"config {number}", config)

    def _keep(self, name: str, holder: Any) -> None:
        attributes = vars(holder)
        self._holders.append((name, holder, dict(attributes)))
        for key, value in attributes.items():
            if type(value) in _CONTAINERS:
                self._containers.append((f"{name}.{key}", value, _copied(holder, value)))

    def changed(self) -> list[str]:
        """Return the names of what is no longer as it was, in the model's order."""
        names = []
        for name, holder, before in self._holders:
            now = vars(holder)
            for key in {**before, **now}:
                kept = key in before and key in now and _same(before[key], now[key])
                if not kept and key != _BOOKKEEPING:
                    names.append(f"{name}.{key}")
        for name, container, before in self._containers:
            if _HOOKS not in name.rpartition(".")[2] and not _alike(container, before):
                names.append(name)
        names += [name for name, now, before in self._buffers if not torch.equal(now, before)]
        return names

    def reweighted(self) -> bool:
        """Return whether weights have been changed in place."""
        return _versions(self._trunk) != self._versions

    def restore(self, *, hooks: bool = False) -> None:
        """Put everything back as it was, with `hooks` also those that were not there."""
        if self.reweighted():
            self.__init__(self._trunk)  # type: ignore[misc]
            return
        for _, holder, before in self._holders:
            attributes = vars(holder)
            kept = {} if hooks or _BOOKKEEPING not in attributes else {_BOOKKEEPING: True}
            attributes.clear()
            attributes.update(before | kept)
        for name, container, before in self._containers:
            if _HOOKS in name.rpartition(".")[2] and not hooks:
                continue
            if isinstance(container, list):
                container[:] = before
            else:
                container.clear()
                container.update(before)
        for _, buffer, value in self._buffers:
            if not torch.equal(buffer, value):
                buffer.copy_(value)


def _versions(trunk: nn.Module) -> list[int]:
    """Return how often each weight was changed in place; those made for inference do not count."""
    return [0 if weight.is_inference() else weight._version for weight in trunk.parameters()]


def _configs(trunk: nn.Module) -> Iterator[PretrainedConfig]:
    """Yield every configuration in the model, those within others included, once."""
    seen: dict[int, PretrainedConfig] = {}
    left = [getattr(module, "config", None) for module in trunk.modules()]
    while left:
        config = left.pop()
        if isinstance(config, PretrainedConfig) and id(config) not in seen:
            seen[id(config)] = config
            left += list(vars(config).values())
    yield from seen.values()


def _copied(holder: Any, value: Any) -> Any:
    # A configuration's lists and tables hold plain values, a module's hold modules and tensors.
    plain = isinstance(holder, PretrainedConfig)
    if plain and not any(isinstance(x, PretrainedConfig) for x in _members(value)):
        return copy.deepcopy(value)
    return copy.copy(value)


def _members(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else list(value)


def _same(before: Any, now: Any) -> bool:
    plain = isinstance(before, bool | int | float | str)
    return before is now or (plain and type(before) is type(now) and bool(before == now))


def _alike(now: Any, before: Any) -> bool:
    if isinstance(now, set):
        return bool(now == before)
    if isinstance(now, dict) and list(now) != list(before):
        return False
    pairs = zip(_members(now), _members(before), strict=False)
    return len(now) == len(before) and all(_equal(a, b) for a, b in pairs)


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor | nn.Module) or isinstance(b, Tensor | nn.Module):
        return a is b
    return a is b or bool(a == b)
