"""The Hub is asked once, whatever the number of ranks, and its refusals are told before any."""

import json
import subprocess
import sys
from collections import Counter
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from probe.config import Config, DataConfig, ModelConfig
from probe.examples.batches import Batch
from probe.examples.partition import MatrixSpec
from probe.examples.request import Request
from tests.distributed.test_ranks import TORCHRUN
from tests.hub import Hub, HubError, hub_environment
from tests.tiny_models import save_tiny
from tests.warm import Warm

pytestmark = pytest.mark.processes

# One process for everything: its imports are what takes time.
SCRIPT = """
import json
import subprocess
import sys
from pathlib import Path

from probe.distributed import run_ranks
from probe.errors import UserError

found = {}
for name, ranks in [("alone", 1), ("together", 2), ("refused", 2)]:
    if name == "refused":
        subprocess.Popen = None  # no process may be started
    payload = (Path(sys.argv[1]) / name).read_bytes()
    try:
        result = run_ranks("probe.extraction.loop:extract", payload, ranks, "cpu")
        found[name] = result["matrix/both"].tolist()
    except UserError as error:
        found[name] = str(error)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def answers(
    libraries: Warm, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], list[str]]:
    """Extract with one rank, with two, and under torchrun; return that and the Hub's requests."""
    root, payloads = tmp_path_factory.mktemp("hub"), tmp_path_factory.mktemp("payloads")
    for name in ("alone", "together", "refused", "torchrun"):
        _cut(save_tiny("llama", root / "models/Org" / name / "main"))
        (payloads / name).write_bytes(_request(name).to_bytes())
    ranks = [*TORCHRUN, "--nproc-per-node", "2", "-m", "tests.distributed.extract_under_torchrun"]
    with Hub(root) as hub:
        hub.refused["Org/refused"] = HubError(HTTPStatus.FORBIDDEN, "GatedRepo", "Ask for it.")
        environment = hub_environment(hub, tmp_path_factory.mktemp("cache"))
        launched = subprocess.Popen(
            [*ranks, str(payloads / "torchrun"), str(payloads / "result")], env=environment
        )
        output = libraries.run(
            [sys.executable, "-c", SCRIPT, str(payloads)], env=environment
        ).stdout
        assert launched.wait(120) == 0
    found = json.loads(output.splitlines()[-1])
    found["torchrun"] = load_file(payloads / "result")["matrix/both"].tolist()
    return found, hub.requests


def _request(name: str) -> Request:
    config = Config(model=ModelConfig(id=f"Org/{name}"), data=DataConfig(source="text"))
    batches = [Batch([member], [[5, 3, 8, 1 + member] * 8]) for member in range(2)]
    return Request(config, [0, 1], batches, ["a", "b"], name, [MatrixSpec("both", [0, 1], [0])])


def _cut(folder: Path) -> None:
    """Save the weights again, in several files, as large models are."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="20KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1


def _requests(requests: list[str], name: str) -> list[str]:
    return [word.replace(name, "") for word in requests if name in word]


def test_two_ranks_ask_the_hub_for_no_more_than_one_does(
    answers: tuple[dict[str, Any], list[str]],
) -> None:
    found, requests = answers
    np.testing.assert_allclose(found["together"], found["alone"], atol=1e-7, rtol=0)
    alone, together = (_requests(requests, name) for name in ("Org/alone", "Org/together"))
    assert Counter(together) <= Counter(alone)
    # One asks again for what ranks have from the cache: configuration, lists of files, an adapter.
    assert len(alone) - len(together) <= 6, sorted((Counter(alone) - Counter(together)).items())
    weights = [word for word in together if word.startswith("GET") and "safetensors" in word]
    assert len(weights) == len(set(weights)) > 1


def test_of_the_ranks_of_torchrun_one_asks_the_hub(
    answers: tuple[dict[str, Any], list[str]],
) -> None:
    found, requests = answers
    np.testing.assert_allclose(found["torchrun"], found["alone"], atol=1e-7, rtol=0)
    alone, together, torchrun = (
        Counter(_requests(requests, name)) for name in ("Org/alone", "Org/together", "Org/torchrun")
    )
    # It fetches for all, as the driver of local ranks does, and loads, as a process alone does.
    assert torchrun <= alone + together


def test_a_refusal_is_told_once_and_no_rank_is_started(
    answers: tuple[dict[str, Any], list[str]],
) -> None:
    found, _ = answers
    message = str(found["refused"])
    assert message.startswith("model=refused: Org/refused is gated; accept its licence")
    assert "rank" not in message
