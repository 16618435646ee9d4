"""A configuration as plain JSON types, for files, ranks and W&B."""

import json
from dataclasses import asdict
from typing import Any, cast

from omegaconf import OmegaConf

from probe.config.schema import Config


def to_plain(config: Config) -> dict[str, Any]:
    """Return dictionaries, lists, strings and numbers only."""
    return cast(dict[str, Any], json.loads(json.dumps(asdict(config))))  # its enums are strings


def from_plain(plain: dict[str, Any]) -> Config:
    """Rebuild a configuration and check its types."""
    config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), plain))
    assert isinstance(config, Config)
    return config
