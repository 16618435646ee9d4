"""A finished run whose files were damaged is met again: one line each, and nothing is touched."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from probe import api, pipeline
from probe.config import Config
from probe.errors import UserError
from probe.runs.manifest import seal
from probe.verify import verify
from tests.run_folders import draw_dots

Break = Callable[[bytes], bytes]


def without(key: str) -> Break:
    def change(content: bytes) -> bytes:
        manifest = json.loads(content)
        del manifest[key]
        return json.dumps(manifest | {"sha256": seal(manifest)}).encode()

    return change


def _half(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Path]:
    folder = tmp_path_factory.mktemp("done")
    (folder / "text.txt").write_text("The river carried boats of sand to the sea, every year. " * 4)
    config = api.compose(
        "data=text", f"data.path={folder / 'text.txt'}", "layers=[3]", "tracking=none",
        "measures.rewired=0", "runtime.device=cpu", f"output={folder / 'out'}",
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        draw_dots(patch)
        return config, pipeline.run(config)


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("manifest.json", _half, r"manifest.json is corrupt \(.*\); move the folder to keep it"),
        ("manifest.json", lambda _: b"\xff\xfe\x00", r"manifest.json is corrupt"),
        ("manifest.json", lambda _: b"[]", r"manifest.json is corrupt"),
        ("manifest.json", without("fingerprints"), r"manifest.json is corrupt"),
        ("manifest.json", lambda content: content.replace(b'"commit', b'"c0mmit', 1).replace(
            b'"examples": 1', b'"examples": 3', 1), r"manifest.json is corrupt"),
        ("measures.json", _half, r"measures.json is corrupt \(.*; do the run again with overwrite"),
        ("measures.json", lambda _: b"{}", r"measures.json is corrupt \(.*; do the run again"),
        ("measures.json", lambda _: b"[1]", r"measures.json is corrupt \(.*; do the run again"),
        ("topology/layer_3_avg_corr.npy", _half, r"has a corrupt matrix .*; repeat the run"),
        ("topology/layer_3_avg_corr.npy", lambda _: b"", r"has a corrupt matrix"),
    ],
)  # fmt: skip
def test_a_broken_file_of_a_finished_run_is_one_line(
    name: str, change: Break, says: str, done: tuple[Config, Path]
) -> None:
    config, run = done
    file = run / name
    content = file.read_bytes()
    assert change(content) != content
    file.write_bytes(change(content))
    try:
        with pytest.raises(UserError, match=says) as caught:
            pipeline.run(config)
        assert str(run) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert file.read_bytes() == change(content)
    finally:
        file.write_bytes(content)
    assert pipeline.run(config) == run
    assert verify(run).faults == []


@pytest.mark.parametrize("name", ["manifest.json", "measures.json"])
def test_overwrite_mends_it(
    name: str, done: tuple[Config, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, run = done
    draw_dots(monkeypatch)
    (run / name).write_bytes(b"{")
    assert pipeline.run(replace(config, overwrite=True)) == run
    assert verify(run).faults == []
