"""Puts the schema into Hydra's store, as every program does first."""

from __future__ import annotations

import pytest

from probe.config import register


@pytest.fixture(autouse=True, scope="module")
def _registered() -> None:
    register()
