"""The log's line on hubs names neurons as the table does."""

from typing import Any

import pytest

from probe.runs.hubs_file import log_hubs
from tests.topologies import random_correlations, topology_of


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "full: hub 7 goes most with 2 (r = 0.50), "),
        ({"kind": "full", "layers": (0, 3)}, "full: hub 3:2 goes most with 0:2 (r = 0.50), "),
    ],
)
def test_neurons_of_several_layers_are_named_by_layer_and_number(
    changed: dict[str, Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    topology = topology_of(random_correlations(10, 0), name="full", **changed)
    token = {"token": "a", "document": "d/1", "position": 3}
    hub = {"neuron": 7, "partners": [{"neuron": 2, "r": 0.5}], "tokens": [token]}
    log_hubs({"full": [hub]}, [topology])
    assert caplog.messages[0].startswith(said)
