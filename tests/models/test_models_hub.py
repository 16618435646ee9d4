"""What the Hub refuses costs one line that says what to do, and loading changes nothing there."""

import json
import sys
from http import HTTPStatus

import pytest
import torch
from safetensors.torch import load_file

from tests.hub import Hub, HubError, hub_environment
from tests.tiny_models import save_tiny
from tests.warm import Warm

# The Hub's answers: to a client that is not logged in, to one that has not accepted the licence, to
# a token that may not read gated repositories, and to one that has expired.
REFUSED = {
    "Org/anonymous": HubError(
        HTTPStatus.UNAUTHORIZED,
        "GatedRepo",
        "Access to model Org/anonymous is restricted. You must have access to it and be "
        "authenticated to access it. Please log in.",
    ),
    "Org/stranger": HubError(
        HTTPStatus.FORBIDDEN,
        "GatedRepo",
        "Access to model Org/stranger is restricted and you are not in the authorized list.",
    ),
    "Org/narrow": HubError(
        HTTPStatus.FORBIDDEN,
        "",
        "Please enable access to public gated repositories in your fine-grained token settings.",
    ),
    "Org/expired": HubError(
        HTTPStatus.UNAUTHORIZED, "", "Invalid credentials in Authorization header"
    ),
}
OLD = "Org/old"

# One process for everything: its imports are what takes time.
SCRIPT = f"""
import json
import threading

import torch

from probe.config import InitConfig, ModelConfig
from probe.errors import UserError
from probe.models import load_config, load_tokenizer, load_trunk, model_fingerprint

CPU = torch.device("cpu")
loads = {{
    "config": load_config,
    "tokenizer": load_tokenizer,
    "trunk": lambda model: load_trunk(model, InitConfig(), CPU),
    "fingerprint": lambda model: model_fingerprint(model, InitConfig()),
}}
found = {{}}
for id in {[*REFUSED, "Org/missing"]}:
    for name, load in loads.items():
        try:
            load(ModelConfig(id=id, name="mine"))
        except UserError as error:
            found[f"{{id}} {{name}}"] = str(error)
try:
    loads["trunk"](ModelConfig(id="{OLD}"))
except UserError as error:
    found["refused"] = str(error)
trunk = loads["trunk"](ModelConfig(id="{OLD}", pickle=True))
found["old"] = trunk.norm.weight.tolist()
for thread in set(threading.enumerate()) - {{threading.main_thread()}}:
    thread.join(5)
print(json.dumps(found))
"""
LOADS = ("config", "tokenizer", "trunk", "fingerprint")


@pytest.fixture(scope="module")
def answers(
    libraries: Warm, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, object], list[str]]:
    """Load from a stand-in; the second part is what it was asked."""
    root = tmp_path_factory.mktemp("hub")
    for repository in REFUSED:
        save_tiny("llama", root / "models" / repository / "main")
    old = save_tiny("llama", root / "models" / OLD / "main")
    torch.save(load_file(old / "model.safetensors"), old / "pytorch_model.bin")
    (old / "model.safetensors").rename(root / "weights")
    with Hub(root) as hub:
        hub.refused |= REFUSED
        environment = hub_environment(hub, tmp_path_factory.mktemp("cache"))
        output = libraries.run([sys.executable, "-c", SCRIPT], env=environment).stdout
    found = json.loads(output.splitlines()[-1])
    saved = load_file(root / "weights")["model.norm.weight"].tolist()
    return found | {"saved": saved}, hub.requests


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize(
    ("repository", "words"),
    [
        ("anonymous", "is gated; accept its licence at https://huggingface.co/Org/anonymous and"),
        ("stranger", "is gated; accept its licence at https://huggingface.co/Org/stranger and"),
        ("narrow", "to your token (403); log in with `hf auth login` and a token that may read it"),
        (
            "expired",
            "to your token (401); log in with `hf auth login` and a token that may read it",
        ),
        ("missing", "is not on the Hub, or is private; check the name, log in with"),
    ],
)
def test_a_refusal_of_the_hub_says_to_log_in(
    answers: tuple[dict[str, object], list[str]], repository: str, words: str, load: str
) -> None:
    message = str(answers[0][f"Org/{repository} {load}"])
    assert message.startswith("model=mine: ")
    assert f"Org/{repository} " in message
    assert words in message
    assert "log in with `hf auth login`" in message
    assert message.endswith("or give a local copy with model.path=")
    assert "\n" not in message


def test_a_checkpoint_without_safetensors_is_refused_unless_asked_for_and_left_as_it_is(
    answers: tuple[dict[str, object], list[str]],
) -> None:
    found, requests = answers
    assert str(found["refused"]).startswith(f"model=old: {OLD} has no weights in safetensors; ")
    assert found["old"] == found["saved"]
    asked = [request for request in requests if OLD in request]
    assert any(request.endswith("pytorch_model.bin") for request in asked)
    # transformers would look in commits and discussions for a pull request that converts it, and
    # have one opened.
    assert [one for one in asked if "/commits/" in one or "/discussions" in one] == []
