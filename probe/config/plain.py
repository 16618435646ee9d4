"""A configuration as plain JSON types, for files, for ranks and for W&B."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from omegaconf import OmegaConf

from probe.config.schema import Config


def to_plain(config: Config) -> dict[str, Any]:
    """Return dictionaries, lists, strings and numbers only."""
    plain: dict[str, Any] = OmegaConf.to_container(
        OmegaConf.create(asdict(config)), enum_to_str=True
    )
    return plain


def from_plain(plain: dict[str, Any]) -> Config:
    """Rebuild a configuration, its types checked."""
    config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), plain))
    assert isinstance(config, Config)
    return config
