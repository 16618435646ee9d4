"""A run says which tokens it read: a template with the time gives others for the same texts."""

import logging
from pathlib import Path

import pytest

from probe import api
from probe.errors import UserError
from probe.runs.manifest import read_manifest
from tests.tiny_models import CONTEXT, save_tiny

TEMPLATE = (
    "{{ strftime_now('%H:%M:%S.%f') }}{% for m in messages %}{{ m['content'][:60] }}{% endfor %}"
)


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    folder = save_tiny("llama", tmp_path / "dated")
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return [
        *("model=local", f"model.path={folder}", "model.chat=true", "data=sample"),
        *("data.split=questions", "data.limit=3", "layers=each", "tracking=none"),
        *(f"output={tmp_path / 'out'}", "measures.rewired=0", f"data.max_tokens={CONTEXT}"),
    ]


def test_a_template_that_asks_for_the_clock_is_told(
    words: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "probe")
    run = api.run(*words)
    told = "writes the date or time into every text (strftime_now): the same texts give other"
    assert sum(told in line for line in caplog.messages) == 1
    before = read_manifest(run)["fingerprints"]["tokens"]
    assert before.startswith("sha256 ")
    assert api.run(*words) == run  # found without a tokenizer
    again = api.run(*words, "overwrite=true")
    assert read_manifest(again)["fingerprints"]["tokens"] != before
    assert any("the tokens are not those of the run that is replaced" in x for x in caplog.messages)


def test_a_template_that_has_changed_is_not_the_same_run(words: list[str]) -> None:
    run = api.run(*words)
    assert "chat template" in read_manifest(run)["fingerprints"]
    path = next(word.partition("=")[2] for word in words if word.startswith("model.path="))
    (Path(path) / "chat_template.jinja").write_text(TEMPLATE + "!")
    with pytest.raises(UserError, match="was made with another chat template"):
        api.run(*words)
