"""Figures embedded in a page of limited size."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from probe.report.records import Run, Study, Sweep

# Bytes of figures in a page, 30 MB in base64: about the limit of mail and browsers.
ROOM = 22_000_000
_COLOURS = 256  # as many as a colour map has; heat maps of 896 neurons shrink to a third


class Images:
    """Figures as `data:` URLs, unchanged if all of them fit.

    Otherwise each is reduced to 256 colours if that makes it smaller, and those that still do not
    fit are left out.

    Parameters
    ----------
    figures : sequence of Path
        PNG files of the page.
    room : int
        Bytes for all figures.
    progress : tqdm
        Counts the figures.
    """

    def __init__(self, figures: Sequence[Path], room: int, progress: tqdm) -> None:
        self.reduced = sum(figure.stat().st_size for figure in figures) > room
        self._room = room
        self._progress = progress

    def source(self, figure: Path) -> str | None:
        """Return a `data:` URL, or None if there is no room left."""
        self._progress.update()
        content = figure.read_bytes()
        if self.reduced:
            content = min(content, _fewer_colours(content), key=len)
        if len(content) > self._room:
            return None
        self._room -= len(content)
        return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def page_figures(content: Run | Study | Sweep) -> list[Path]:
    """Return the figures of a page; for a sweep, only those of whole runs."""
    if isinstance(content, Study):
        return content.figures
    if isinstance(content, Run):
        each = [figure for topology in content.topologies for figure in topology.figures]
        return content.figures + each
    runs = [job.run for job in content.jobs if job.run is not None]
    return content.figures + [
        figure
        for run in runs
        for figure in (run.topologies[0].figures if len(run.topologies) == 1 else run.figures)
    ]


def _fewer_colours(content: bytes) -> bytes:
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        few = image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    stream = io.BytesIO()
    few.save(stream, "PNG")
    return stream.getvalue()
