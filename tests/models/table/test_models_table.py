"""Small models of every architecture are read right, or refused with the reason."""

from pathlib import Path

import pytest

from probe.config import Site
from tests.models.table.architectures import ARCHITECTURES, REFUSED
from tests.models.table.attention import WRITTEN
from tests.models.table.measure import SITES, measure
from tests.models.table.page import MOST, PAGE

pytestmark = pytest.mark.campaign


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_is_read_is_right(architecture: str, tmp_path: Path) -> None:
    row = measure(architecture, tmp_path)
    residual = row.found[Site.residual.value]
    if architecture in REFUSED:
        assert isinstance(residual, str)
        assert REFUSED[architecture] in residual
        return
    assert isinstance(residual, float), residual
    assert residual <= MOST
    for site in SITES[1:]:
        found = row.found[site.value]
        # Nearly constant series are less exact than their values: these are single precision's.
        assert isinstance(found, str) or found <= MOST or row.noise[site.value] <= 1e-5
    line = next(
        x
        for x in PAGE.read_text(encoding="utf-8").splitlines()
        if x.startswith(f"| {architecture} |")
    )
    cells = [cell.strip() for cell in line.split("|")[2:5]]
    assert [cell in ("right", "rounded") for cell in cells] == [
        isinstance(row.found[site.value], float) for site in SITES
    ]


def test_enough_are_read() -> None:
    rows = [
        x.split(" | ") for x in PAGE.read_text(encoding="utf-8").splitlines() if x.startswith("| ")
    ][1:]
    assert [row[0].removeprefix("| ") for row in rows] == list(ARCHITECTURES)
    right = [[cell == "right" for cell in row[1:4]] for row in rows]
    assert sum(row[0] for row in right) >= len(rows) - 8 >= 60
    assert sum(row[1] for row in right) >= 40
    assert sum(row[2] for row in right) >= 40
    from_weights = [row[0].removeprefix("| ") in WRITTEN for row in rows]
    assert sum(one[2] for one, own in zip(right, from_weights, strict=True) if own) >= 40
    assert len(WRITTEN) == sum(from_weights)
