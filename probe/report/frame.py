"""The frame of every page: one style, escaped content, and a policy that forbids the network."""

import base64
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_HERE = Path(__file__).parent / "template"


class Frame:
    """Renders templates that extend `base.html`, each to one page that needs no other file.

    Content is escaped; scripts and styles are the frame's and the caller's own, by their hash, so
    that nothing in the content can run or load anything.

    Parameters
    ----------
    folder : Path, optional
        Templates of the caller, with a `page.css` or `page.js` of their own that follow the
        frame's.
    filters : mapping of str to callable
        Filters for the templates.
    """

    def __init__(
        self, folder: Path | None = None, filters: Mapping[str, Callable[..., Any]] | None = None
    ) -> None:
        folders = [_HERE] if folder is None else [folder, _HERE]
        self._environment = Environment(
            loader=FileSystemLoader(folders), autoescape=True, undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        self._environment.filters |= dict(filters or {})
        style, script = _joined(folders[::-1], "page.css"), _joined(folders[::-1], "page.js")
        policy = (
            "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; "
            f"style-src 'sha256-{_digest(style)}'; script-src 'sha256-{_digest(script)}'"
        )
        self._frame = {"style": style, "script": script, "policy": policy}

    def render(self, template: str, **content: Any) -> str:
        """Return a template as a page of HTML, with its content under the given names."""
        return self._environment.get_template(template).render(**content, **self._frame)


def _joined(folders: list[Path], name: str) -> str:
    files = (folder / name for folder in folders)
    return "\n".join(file.read_text("utf-8") for file in files if file.is_file())


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
