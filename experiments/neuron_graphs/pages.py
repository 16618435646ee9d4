"""One page per unit, and the gallery of all: plain files that need no network."""

from collections import defaultdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from tqdm import tqdm

from experiments.neuron_graphs.console import number
from experiments.neuron_graphs.content import UnitContent
from experiments.neuron_graphs.picture import HEIGHT, WIDTH
from experiments.neuron_graphs.records import Record
from experiments.neuron_graphs.roles import ROLES
from experiments.neuron_graphs.store import Store
from experiments.neuron_graphs.unit import Unit
from experiments.neuron_graphs.visible import visible, word
from probe.api import atomic_write
from probe.api.pages import Frame

FOLDER, INDEX = "page", "index.html"
# A page takes some 60 kB, a unit some 600 bytes of the gallery.
MOST_PAGES, MOST_UNITS = 500, 20_000
_PATHS = 40
_FRAME = Frame(Path(__file__).with_name("template"), {"number": number})
Item = TypeVar("Item")


def page_name(unit: Unit) -> str:
    """Return the file of a unit's page.

    Examples
    --------
    >>> page_name(Unit(3, 17)), page_name(Unit(3, 17, -1))
    ('3_17.html', '3_17-.html')
    """
    return f"{unit.layer}_{unit.neuron}{'-' if unit.sign < 0 else ''}.html"


def write_pages(store: Store, folder: Path) -> Path:
    """Write the gallery and the pages of the units, evenly spread if there are many.

    Returns
    -------
    Path
        The gallery, `page/index.html`.
    """
    units = list(store.numbered().values())
    paged = spread(units, MOST_PAGES)
    for unit in tqdm(paged, desc="pages", disable=None, leave=False, delay=2):
        write_page(store, store.record(unit), folder / FOLDER / page_name(unit), INDEX)
    return _write(folder / FOLDER / INDEX, gallery(store, set(paged)))


def write_page(store: Store, record: Record, file: Path, gallery: str = "") -> Path:
    """Write the page of a unit, with a link to a gallery if it is named; return it."""
    content = UnitContent(store, record)
    graph = record.graph
    page = _FRAME.render(
        "neuron.html", page=content, paths=content.paths(_PATHS),
        n_paths=0 if graph is None else len(graph.ends), examples=list(content.examples()),
        gallery=gallery, width=WIDTH, height=HEIGHT,
    )  # fmt: skip
    return _write(file, page)


def gallery(store: Store, paged: set[Unit], most: int = MOST_UNITS) -> str:
    """Return the page on which units are searched, with links to those that have a page."""
    numbered = store.numbered()
    shown = dict(spread(list(numbered.items()), most))
    tokens = _tokens(store, set(shown))
    labels = store.vocabulary.labels
    used = {token for by_role in tokens.values() for own in by_role.values() for token in own}
    reasons = dict(store.rows("SELECT id, reason FROM units"))
    pieces = dict(store.rows("SELECT id, components FROM units"))
    f1, token_f1 = (
        dict(store.rows("SELECT unit, value FROM metrics WHERE name = ?", (name,)))
        for name in ("f1", "token_f1")
    )
    units: list[dict[str, Any]] = [
        {
            "unit": str(unit), "layer": unit.layer,
            "f1": f1.get(key), "token_f1": token_f1.get(key),
            "pieces": pieces[key] or 0, "reason": reasons[key],
            "repeats": len(set.intersection(*(set(tokens[key][role]) for role in ROLES))),
            **{role: tokens[key][role] for role in ROLES},
            **({"page": page_name(unit)} if unit in paged else {}),
        }
        for key, unit in shown.items()
    ]  # fmt: skip
    named = {token: [visible(labels[token], token), word(labels[token])] for token in sorted(used)}
    return _FRAME.render(
        "gallery.html", header=store.header, shown=len(shown), total=len(numbered),
        data={"units": units, "labels": named},
    )  # fmt: skip


def spread(items: list[Item], most: int) -> list[Item]:
    """Return at most so many items, evenly spread.

    Examples
    --------
    >>> spread([0, 1, 2, 3, 4, 5], 3), spread([0, 1], 3)
    ([0, 2, 5], [0, 1])
    """
    if len(items) <= most:
        return items
    return [items[int(place)] for place in np.linspace(0, len(items) - 1, most)]


def _tokens(store: Store, units: set[int]) -> dict[int, dict[str, list[int]]]:
    """Return the tokens of every unit by role, those of the largest weight first."""
    tokens: dict[int, dict[str, list[int]]] = defaultdict(lambda: {role: [] for role in ROLES})
    rows = store.rows("SELECT unit, role, token FROM postings ORDER BY weight DESC, token")
    for unit, role, token in rows:
        if unit in units:
            tokens[unit][role].append(token)
    return tokens


def _write(file: Path, page: str) -> Path:
    with atomic_write(file) as unfinished:
        unfinished.write_text(page, encoding="utf-8", newline="\n")
    return file
