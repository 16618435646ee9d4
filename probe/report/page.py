"""Write the page from templates, with embedded figures."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from probe.errors import UserError
from probe.report.frame import Frame
from probe.report.glossary import FIGURES
from probe.report.images import ROOM, Images, page_figures
from probe.report.reading import read
from probe.report.records import Run, Study, Sweep
from probe.report.tables import format_number, halves_table, headlines, page_tables
from probe.system.files import atomic_write


def write_report(folder: Path, output: Path | None = None) -> Path:
    """Write the page of a run, a study or a sweep; return its path.

    Parameters
    ----------
    folder : Path
        Folder of a finished run, study or sweep.
    output : Path, optional
        The page; default: `report.html` in the folder.

    Raises
    ------
    UserError
        If the folder is neither, a file of it is missing, or the page cannot be written.
    """
    page = folder / "report.html" if output is None else output
    html = render(read(folder))
    try:
        if page.is_dir():
            raise UserError(f"{page} is a folder; give a file, --output {page / 'report.html'}")
        with atomic_write(page) as unfinished:
            unfinished.write_text(html, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UserError(
            f"{page} cannot be written ({error.strerror}); give another file with --output"
        ) from None
    return page


def render(content: Run | Study | Sweep, room: int = ROOM) -> str:
    """Return the page as HTML."""
    frame = Frame(
        filters={"number": format_number, "flat": flat, "figure_kind": figure_kind, "quoted": repr}
    )
    files = page_figures(content)
    with tqdm(total=len(files), desc="figures", disable=None, leave=False, delay=2) as progress:
        return frame.render(
            f"{type(content).__name__.lower()}.html",
            page=content,
            tables=page_tables(content),
            headlines=headlines,
            halves_table=halves_table,
            images=Images(files, room, progress),
            captions=FIGURES,
        )


def flat(content: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Flatten nested content to pairs of a dotted key and a value.

    Examples
    --------
    >>> list(flat({"a": {"b": [1, 2], "c": None}, "d": {}}))
    [('a.b', '1, 2'), ('a.c', '–'), ('d', 'none')]
    """
    if isinstance(content, dict) and content:
        for key, value in content.items():
            yield from flat(value, f"{name}.{key}" if name else str(key))
    elif isinstance(content, list | dict):
        yield name, ", ".join(map(str, content)) or "none"
    else:
        yield name, "–" if content is None else str(content)


def figure_kind(figure: Path, topology: str = "") -> str:
    """Return the kind of a figure: `heatmap` for `layer_3_heatmap.png`."""
    return figure.stem.removeprefix(topology + "_")
