"""Measure every architecture and write docs/models.md: `python -m tests.models.table.page`."""

import logging
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm
from transformers import __version__

from probe.config import Site
from tests.models.table.architectures import ARCHITECTURES, GIVEN
from tests.models.table.attention import WRITTEN
from tests.models.table.measure import SITES, Row, measure

PAGE = Path(__file__).resolve().parents[3] / "docs" / "models.md"
# Largest difference of r from float64.
MOST = 2e-6
_BATCHES = {"like": "padded", "equal": "equal length", "single": "one text", "": ""}
_HEAD = """\
# Models

What is read of text architectures of transformers, built small with random weights. *right*: the
correlations of every text are within 2e-6 of those of transformers in float64, one text at a time,
whichever side is padded. The residual is compared with transformers' own hidden states; MLP neurons
with what their formula makes of the MLP's input and the weights; attention outputs with softmax
attention written out from its input and the weights, for {written} of them, else with what the
output weights make of the heads' outputs. *rounded*: the activations are within 1e-5 (‖Δx‖/‖x‖),
but some neurons vary so little that their r is not. *batches*: what the checks that
[every run](models_and_data.md#models) does let a batch hold.

Written by `python -m tests.models.table.page` with transformers {version}: {right} of {all}
residuals are right, {mlp} MLPs and {attention} attentions; {refused} are refused.

| architecture | residual | `site=mlp` | `site=attention` | batches | give |
|---|---|---|---|---|---|
"""


def page(rows: Sequence[Row]) -> str:
    """Return the page."""
    counts = {site.value: sum(row.is_right(site) for row in rows) for site in SITES}
    head = _HEAD.format(
        version=__version__,
        right=counts["residual"],
        all=len(rows),
        mlp=counts["mlp"],
        written=sum(row.is_right(Site.attention) for row in rows if row.architecture in WRITTEN),
        attention=counts["attention"],
        refused=sum(isinstance(row.found["residual"], str) for row in rows),
    )
    return head + "".join(f"| {' | '.join(_cells(row))} |\n" for row in rows)


def _cells(row: Row) -> list[str]:
    given = GIVEN.get(row.architecture, {})
    keys = ", ".join(f"`model.{key}={value}`" for key, value in given.items())
    sites = [_cell(row.found[site.value]) for site in SITES]
    return [row.architecture, *sites, _BATCHES[row.batches], keys]


def _cell(found: float | str) -> str:
    if isinstance(found, str):
        # Without what is measured, which is another at random.
        return re.sub(r" \(its r .*?\)", "", found.partition("; ")[0].replace("|", "/"))
    return "right" if found <= MOST else "rounded"


def main() -> None:
    """Measure, and write the page."""
    logging.disable(logging.WARNING)
    rows = []
    for architecture in tqdm(ARCHITECTURES):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(architecture, Path(folder)))
    PAGE.write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
