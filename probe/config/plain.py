"""A configuration as plain JSON types, for files, ranks and W&B."""

import json
from collections.abc import Iterator, Mapping
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


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what is not a mapping itself in nested mappings, with its dotted name.

    Examples
    --------
    >>> dict(leaves({"data": {"limit": 3, "perplexity": [1, 99]}, "site": "mlp"}))
    {'data.limit': 3, 'data.perplexity': [1, 99], 'site': 'mlp'}
    """
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
