"""Names and tags are within what the service takes, and still tell runs from each other."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from probe.config import TrackingConfig
from probe.tracking.writer import shortened, tags, write

LONG = "a-model-of-many-words-" * 11 + "2750e006"


@pytest.mark.parametrize("n", [1, 127, 128, 129, 242])
def test_a_name_has_128_letters_at_most_with_both_its_ends(n: int) -> None:
    name = LONG[-n:]
    short = shortened(name)
    assert len(short) == min(n, 128)
    assert short == name or (short.startswith(name[:31]) and short.endswith(name[-94:]))


def test_tags_have_64_letters_at_most_and_none_comes_twice() -> None:
    found = tags("tiny", None, "", "tiny", LONG, "x" * 64)
    assert (found[0], found[2], len(found)) == ("tiny", "x" * 64, 3)
    assert len(found[1]) == 64


def test_what_the_service_gets_is_within_its_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    given: dict[str, Any] = {}
    run = SimpleNamespace(dir=str(tmp_path / "wandb" / "x"), finish=lambda: None)
    monkeypatch.setattr(wandb, "init", lambda **about: given.update(about) or run)
    tracking = TrackingConfig(mode="offline")
    about = {"name": LONG, "group": LONG, "job_type": "correlate", "tags": tags(LONG), "config": {}}
    assert write(tracking, tmp_path, about, lambda _: None) is not None
    assert [len(given[name]) for name in ("name", "group")] == [128, 128]
    assert given["name"].endswith("2750e006")
