"""README and docs/: links, modules, files and figures that they name are there."""

import re
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

import probe

ROOT = Path(__file__).resolve().parents[1]
ARCHITECTURE = ROOT / "docs" / "architecture.md"
PAGES = [
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "experiments").glob("*/*.md")),
]
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def _anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pages
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.is_file(), link
        assert file.is_relative_to(ROOT), link
        assert not anchor or anchor in _anchors(file), link


@pages
def test_every_module_that_is_run_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for module in re.findall(r"-m ((?:probe|experiments|benchmarks)[\w.]*)", text):
        if f"`{module.replace('.', '/')}/__main__.py`" in text:  # the page itself builds it
            continue
        spec = find_spec(module)
        assert spec is not None, module
        runs = spec.submodule_search_locations is None or find_spec(f"{module}.__main__")
        assert runs, module


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def _road() -> list[tuple[str, str]]:
    """Files of the reading order, each with what to look for."""
    page = ARCHITECTURE.read_text(encoding="utf-8").split("\n### Side roads")[0]
    return re.findall(r"^\| \d+ \| `(.+?)` \| (.+?) \|", page, re.MULTILINE)


def test_the_reading_order_is_short_and_names_what_is_in_its_files() -> None:
    road = _road()
    assert 15 <= len(road) <= 22
    for file, text in road:
        name = re.findall(r"`(\w+)`", text)[0]
        code = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"^(?:def|class) {name}\b", code, re.MULTILINE), (file, name)


def test_every_file_of_the_map_exists() -> None:
    files = re.findall(r"`([\w/]+/\w+\.py)`", ARCHITECTURE.read_text(encoding="utf-8"))
    assert files
    for file in files:
        assert (ROOT / file).is_file() or (ROOT / "probe" / file).is_file(), file


def _layers() -> list[set[str]]:
    """Layers of packages, as import-linter checks them, from the top."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = next(each["layers"] for each in contracts if each["type"] == "layers")
    return [set(layer.replace(" ", "").split("|")) for layer in layers]


def test_the_map_has_the_layers_of_the_imports() -> None:
    table = ARCHITECTURE.read_text(encoding="utf-8").split("\n## ")[2]
    rows = re.findall(r"^\| (`.+?`) \|", table, re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"\w+", row)]
    _check_order(names)


def test_the_short_map_has_them_too() -> None:
    assert probe.__doc__ is not None
    assert len(probe.__doc__.splitlines()) <= 40
    _check_order(re.findall(r"^    (\w+)  ", probe.__doc__, re.MULTILINE))


def _check_order(names: list[str]) -> None:
    for layer in _layers():
        assert set(names[: len(layer)]) == layer
        names = names[len(layer) :]
    assert not names
