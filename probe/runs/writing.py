"""Tables, figures and numbers of results: one way to write each."""

import json
import logging
import warnings
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe.config import Config, FiguresConfig
from probe.system.files import atomic_write
from probe.system.tables import aligned, write_csv

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)


class Results:
    """What a study writes into its folder, and shows in its log.

    Parameters
    ----------
    folder : Path
        The study's folder.
    config : Config, optional
        Its configuration, for the format and the dots per inch of figures.
    """

    def __init__(self, folder: Path, config: Config | None = None) -> None:
        self.folder = folder
        self._look = (config or Config()).figures

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows to `<name>.csv` under all columns that any has; without rows nothing."""
        if rows:
            write_csv(self.folder / f"{name}.csv", rows)

    def figure(self, name: str, figure: "Figure") -> None:
        """Write a figure to `figures/<name>.png`, and in another format that is asked for."""
        save_figure(figure, self.folder / "figures" / f"{name}.png", self._look)

    def figures(self, figures: Mapping[str, "Figure"]) -> None:
        """Write several figures, by name."""
        for name, figure in figures.items():
            self.figure(name, figure)

    def save(self, content: Mapping[str, Any] | Sequence[Any], name: str = "results") -> None:
        """Write numbers, words and lists to `<name>.json`."""
        with atomic_write(self.folder / f"{name}.json") as unfinished:
            unfinished.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def show(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Log an aligned table."""
    for line in aligned(header, rows):
        logger.info("%s", line)


def endings(look: FiguresConfig) -> list[str]:
    """Return the formats in which figures are written."""
    return list(dict.fromkeys(["png", look.format.value]))


def save_figure(figure: "Figure", file: Path, look: FiguresConfig | None = None) -> Path:
    """Write a figure as PNG, and in another format that is asked for; return the PNG.

    It is laid out once and drawn once for each format.
    """
    look = look or FiguresConfig()
    figure.set_dpi(look.dpi)
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)  # with one, matplotlib draws a figure twice
    for name in endings(look):
        # To compress runs of equal bytes only gives files as small, in a quarter of the time.
        options: dict[str, Any] = {"dpi": look.dpi}  # or it takes that of an earlier canvas
        if name == "png":
            options["pil_kwargs"] = {"compress_type": zlib.Z_RLE}
        with atomic_write(file.with_suffix(f".{name}")) as unfinished, warnings.catch_warnings():
            # Names may be in any script; a missing glyph in a title needs no warning.
            warnings.filterwarnings("ignore", "Glyph .* missing from")
            figure.savefig(unfinished, format=name, **options)
    return file
