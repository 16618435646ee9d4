"""The text that comes with every Python: language reference topics and docstrings."""

import ast
import hashlib
import sys
import sysconfig
import tokenize
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

# Programs and jokes, not library documentation.
SKIPPED_MODULES = frozenset(
    {"__hello__", "__phello__", "antigravity", "idlelib", "test", "this", "turtledemo"}
)
SKIPPED_FOLDERS = frozenset({"test", "tests", "idle_test", "site-packages", "__pycache__"})

# Shorter paragraphs ("See also:", "Return True.") repeat naturally and do not count as copies.
SHORTEST_COPY = 80


@dataclass(frozen=True)
class Document:
    """
    One named text of the corpus.

    Parameters
    ----------
    name
        `topics/<topic>` or `modules/<dotted module name>`.
    text
        The text, ending with one line break.
    """

    name: str
    text: str


@dataclass(frozen=True)
class Corpus:
    """
    The documents, split into two sets.

    Parameters
    ----------
    train
        Documents to train on, sorted by name.
    held_out
        Documents to measure on, sorted by name.
    """

    train: tuple[Document, ...]
    held_out: tuple[Document, ...]


def load_corpus(held_out: float) -> Corpus:
    """
    Read the running Python's documentation and split it by document.

    No paragraph of `SHORTEST_COPY` characters or more occurs twice in the result, so no such
    held-out paragraph was trained on.

    Parameters
    ----------
    held_out
        Expected fraction of the documents to hold out.

    Returns
    -------
    Corpus
        Identical for the same Python version.
    """
    documents = sorted([*_topics(), *_modules()], key=lambda document: document.name)
    seen: set[str] = set()
    # Held-out documents come first: of two copies, the one in the training set is dropped.
    measured = _without_copies((d for d in documents if _share(d.name) < held_out), seen)
    trained = _without_copies((d for d in documents if _share(d.name) >= held_out), seen)
    return Corpus(train=tuple(trained), held_out=tuple(measured))


def count_bytes(documents: Iterable[Document]) -> int:
    """Count the UTF-8 bytes of the documents' texts."""
    return sum(len(document.text.encode()) for document in documents)


def _topics() -> Iterator[Document]:
    from pydoc_data.topics import topics

    for name, text in topics.items():
        yield Document(f"topics/{name}", text.strip() + "\n")


def _modules() -> Iterator[Document]:
    # Sources are parsed, not imported: no side effects, and the same result on every machine.
    root = Path(sysconfig.get_path("stdlib"))
    for name in sorted(sys.stdlib_module_names - SKIPPED_MODULES):
        for path in sorted([root / f"{name}.py", *(root / name).rglob("*.py")]):
            relative = path.relative_to(root)
            if not path.is_file() or SKIPPED_FOLDERS & set(relative.parts):
                continue
            text = "\n\n".join(_docstrings(path))
            if text:
                module = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
                yield Document(f"modules/{module}", text + "\n")


def _docstrings(path: Path) -> list[str]:
    with tokenize.open(path) as file:
        source = file.read()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(source)
    by_line: list[tuple[int, str]] = []
    for node in _statements(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring:
                by_line.append((node.body[0].lineno, docstring.strip()))
    return [docstring for _, docstring in sorted(by_line)]


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and its statements; expressions, most of a source, define nothing."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield from _statements(child)


def _without_copies(documents: Iterable[Document], seen: set[str]) -> Iterator[Document]:
    for document in documents:
        paragraphs: list[str] = []
        for paragraph in document.text.strip().split("\n\n"):
            if len(paragraph) >= SHORTEST_COPY:
                if paragraph in seen:
                    continue
                seen.add(paragraph)
            paragraphs.append(paragraph)
        if paragraphs:
            yield Document(document.name, "\n\n".join(paragraphs) + "\n")


def _share(name: str) -> float:
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
