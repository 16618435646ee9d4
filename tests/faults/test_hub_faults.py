"""A Hub that is down, slow, broken or breaks off costs one line, after a number of tries."""

import json
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from tests.hub import Hub, HubError, _Handler, hub_environment
from tests.tiny_models import save_tiny
from tests.warm import Warm

REFUSED = {
    "Org/error": HubError(HTTPStatus.INTERNAL_SERVER_ERROR, "", "Internal error"),
    "Org/gone": HubError(HTTPStatus.NOT_FOUND, "RepoNotFound", "Repository not found"),
}
NAMES = ("error", "gone", "slow", "short", "down")
# Seconds that the library may wait between its tries at one file.
PATIENCE = 30

# One process for everything. Pauses between tries are counted instead of waited for.
SCRIPT = f"""
import json
import os
import time

import torch
from huggingface_hub import constants

from probe.config import InitConfig, ModelConfig
from probe.errors import UserError
from probe.models import load_trunk

paused, found = [], {{}}
time.sleep = paused.append
for name in {NAMES}:
    if name == "down":
        constants.ENDPOINT = "http://127.0.0.1:9"
        constants.HUGGINGFACE_CO_URL_TEMPLATE = (
            constants.ENDPOINT + "/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        )
    paused.clear()
    try:
        load_trunk(ModelConfig(id="Org/" + name), InitConfig(), torch.device("cpu"))
        found[name] = ["loaded", sum(paused)]
    except UserError as error:
        found[name] = [str(error), sum(paused)]
print(json.dumps(found))
"""


class Faulty(_Handler):
    """Answers one repository late at first, and ends the weights of another one half-way."""

    server: "Quiet"

    def do_GET(self) -> None:  # noqa: N802 - as those below
        if "/Org/slow/resolve" in self.path and len(self.server.slow) < 2:
            self.server.slow.append(self.path)
            time.sleep(1.5)  # longer than the limit of the first try
        super().do_GET()

    do_HEAD = do_POST = do_GET  # noqa: N815 - names that http.server calls

    def _send(self, status: HTTPStatus, headers: dict[str, str], body: bytes) -> None:
        if self.command == "GET" and "/Org/short/" in self.path and "safetensors" in self.path:
            headers = {**headers, "Content-Length": str(len(body))}
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[: len(body) // 2])
            return
        super()._send(status, headers, body)

    def finish(self) -> None:
        with suppress(OSError):  # the client has not waited
            super().finish()


class Quiet(Hub):
    """Says nothing of clients that have gone."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.slow: list[str] = []

    def handle_error(self, request: Any, client_address: Any) -> None: ...


@pytest.fixture(scope="module")
def answers(
    libraries: Warm, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Mapping[str, Any], list[str]]:
    """Load from a stand-in; the second part is what it was asked."""
    root = tmp_path_factory.mktemp("hub")
    for name in NAMES:
        save_tiny("llama", root / "models" / "Org" / name / "main")
    with Quiet(root) as hub:
        hub.RequestHandlerClass = Faulty
        hub.refused |= REFUSED
        environment = hub_environment(hub, tmp_path_factory.mktemp("cache"))
        output = libraries.run(
            [sys.executable, "-c", SCRIPT], env=environment | {"HF_HUB_ETAG_TIMEOUT": "1"}
        ).stdout
    return json.loads(output.splitlines()[-1]), hub.requests


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("error", "the Hub answers 500 for Org/error; try again later, or give a local copy"),
        ("gone", "Org/gone is not on the Hub, or is private; check the name"),
        ("short", "Org/short could not be loaded (peer closed connection without sending"),
        ("down", "Org/down could not be loaded ("),
    ],
)
def test_what_the_hub_does_costs_one_line_after_some_tries(
    answers: tuple[Mapping[str, Any], list[str]], name: str, says: str
) -> None:
    found, requests = answers
    message, paused = found[name]
    assert message.startswith(f"model={name}: {says}")
    assert message.endswith("or give a local copy with model.path=")
    assert "\n" not in message
    assert paused <= PATIENCE
    asked = [word for word in requests if f"/Org/{name}/resolve" in word and word[:4] == "HEAD"]
    assert len(asked) <= 12


def test_a_hub_that_is_slow_is_waited_for(
    answers: tuple[Mapping[str, Any], list[str]],
) -> None:
    found, requests = answers
    assert found["slow"][0] == "loaded"
    assert found["slow"][1] <= PATIENCE
    asked = [word for word in requests if word[:4] == "HEAD" and "/Org/slow/resolve" in word]
    assert max(Counter(asked).values()) > 1
