"""Figures inside a page, whose size has a limit."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from probe.report.records import Run, Sweep

# Bytes of figures in a page, 30 MB in base64: mail and browsers take no more gladly.
ROOM = 22_000_000
_COLOURS = 256  # a colour map has no more; heat maps of 896 neurons shrink to a third


class Images:
    """Figures as addresses that hold the image itself, as they are if all of them have room.

    Otherwise each is written in 256 colours where that makes it smaller, and those that have no
    room even so are left out.

    Parameters
    ----------
    figures : sequence of Path
        PNG files that the page shows.
    room : int
        Bytes that they may take in all.
    progress : tqdm
        Counts the figures.
    """

    def __init__(self, figures: Sequence[Path], room: int, progress: tqdm) -> None:
        self.reduced = sum(figure.stat().st_size for figure in figures) > room
        self._room = room
        self._progress = progress

    def source(self, figure: Path) -> str | None:
        """Return a `data:` address, or None where there is no room left."""
        self._progress.update()
        content = figure.read_bytes()
        if self.reduced:
            content = min(content, _fewer_colours(content), key=len)
        if len(content) > self._room:
            return None
        self._room -= len(content)
        return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def shown(found: Run | Sweep) -> list[Path]:
    """Return the figures that a page shows: of a sweep's runs, only those of the whole run."""
    if isinstance(found, Run):
        each = [figure for topology in found.topologies for figure in topology.figures]
        return found.figures + each
    runs = [job.run for job in found.jobs if job.run is not None]
    return found.figures + [
        figure
        for run in runs
        for figure in (run.topologies[0].figures if len(run.topologies) == 1 else run.figures)
    ]


def _fewer_colours(content: bytes) -> bytes:
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        few = image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    written = io.BytesIO()
    few.save(written, "PNG")
    return written.getvalue()
