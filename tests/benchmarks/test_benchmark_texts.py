"""The benchmark of memory by texts compares medians, says their noise, and repeats small sizes."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import texts
from benchmarks.report import Report


def _of(tokens: int, *memory: int) -> list[dict[str, int]]:
    return [{"tokens": tokens, "memory": one} for one in memory]


def test_growth_is_between_medians_over_the_tokens_in_between() -> None:
    by_size = {
        10: _of(1_000_000, 100_000_000, 101_000_000, 104_000_000),
        40: _of(4_000_000, 113_000_000, 111_000_000, 113_000_000),
        90: _of(9_000_000, 133_000_000),
    }
    assert texts.rows("runs", by_size) == [
        ["runs", "10", "1000000", "101.0", "100.0 to 104.0", "", ""],
        ["runs", "40", "4000000", "113.0", "111.0 to 113.0", "4.0", "1.0"],
        ["runs", "90", "9000000", "133.0", "", "4.0", ""],
    ]


def test_small_sizes_are_repeated_and_only_one_kind_has_another_allocator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: Counter[tuple[str, str]] = Counter()

    def run(words: Sequence[str], environment: dict[str, str]) -> dict[str, int]:
        given = dict(word.split("=", 1) for word in words)
        done[Path(given["data.path"]).stem, *environment] += 1
        return {"tokens": 100 * int(Path(given["data.path"]).stem), "memory": 10**8}

    def measured(module: str, *words: str) -> dict[str, int]:
        if len(words) == 1:
            return dict.fromkeys(
                ("tokens", "texts", "memory", "file", "request", "tokens of a share"), 8
            )
        return run([*words], {"planned": ""})

    monkeypatch.setattr(texts, "run_once", run)
    monkeypatch.setattr(texts, "measured", measured)
    reports: list[Report] = []
    monkeypatch.setattr(texts, "save", reports.append)
    texts.run([2, 8, 32], 3, 64)
    assert done == {
        ("2", "MALLOC_MMAP_THRESHOLD_"): 3,
        ("8", "MALLOC_MMAP_THRESHOLD_"): 3,
        ("32", "MALLOC_MMAP_THRESHOLD_"): 1,
        ("2",): 3,
        ("8",): 3,
        ("2", "planned"): 3,
        ("8", "planned"): 3,
        ("32", "planned"): 1,
    }
    assert [row[:3] for row in reports[0].rows[:3]] == [
        ["whole runs, memory returned at once", "2", "200"],
        ["whole runs, memory returned at once", "8", "800"],
        ["whole runs, memory returned at once", "32", "3200"],
    ]
