"""A local stand-in of the Hugging Face Hub, enough of it for unmodified libraries to read from."""

import hashlib
import json
import os
import re
import threading
from collections import Counter
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

_FILE_ROUTE = re.compile(
    r"/(?P<kind>datasets/)?(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)"
)
_API_ROUTE = re.compile(
    r"/api/(?P<kind>models|datasets)/(?P<repo>[^/]+/[^/]+)"
    r"(/(?P<what>revision|tree|paths-info)/(?P<revision>[^/]+)(/(?P<path>.+))?)?"
)


class HubError(Exception):
    """An error as the Hub words it: a status and an ``X-Error-Code`` the client dispatches on."""

    def __init__(self, status: HTTPStatus, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = {"X-Error-Code": code, "X-Error-Message": message}


class Snapshot:
    """One revision of one repository.

    Parameters
    ----------
    folder
        The folder that holds the revision's files.

    Attributes
    ----------
    files
        Content by path inside the repository, in the paths' order.
    commit
        SHA-1 over the paths and contents of all files.
    """

    def __init__(self, folder: Path) -> None:
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        self.files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        listing = "".join(f"{path}\0{blob_id(body)}\n" for path, body in self.files.items())
        self.commit = hashlib.sha1(listing.encode()).hexdigest()

    def entries(self) -> dict[str, dict[str, Any]]:
        """Describe all files and folders in the Hub's words, by path."""
        found: dict[str, dict[str, Any]] = {}
        for path, body in self.files.items():
            found[path] = {"type": "file", "path": path, "size": len(body), "oid": blob_id(body)}
            for parent in PurePosixPath(path).parents[:-1]:
                oid = hashlib.sha1(bytes(parent)).hexdigest()
                entry = {"type": "directory", "path": str(parent), "size": 0, "oid": oid}
                found[str(parent)] = entry
        return found

    def tree(self, top: str, *, recursive: bool) -> list[dict[str, Any]]:
        """List what lies under a folder, or the file itself where ``top`` is one."""
        entries = self.entries()
        if top in self.files:
            return [entries[top]]
        start = f"{top}/" if top else ""
        below = [entry for path, entry in entries.items() if path.startswith(start)]
        if top and not below:
            raise self.missing(top)
        return [entry for entry in below if recursive or "/" not in entry["path"][len(start) :]]

    def missing(self, path: str) -> HubError:
        """Error for a path that the revision lacks."""
        error = HubError(HTTPStatus.NOT_FOUND, "EntryNotFound", f"Entry not found: {path}")
        # With it the client notes in its cache that this commit lacks the file, and asks no more.
        error.headers["X-Repo-Commit"] = self.commit
        return error


class Hub(ThreadingHTTPServer):
    """The server, as a context manager that serves between its entry and exit, once.

    Files are read at each request, so a test may add or change repositories while it runs.

    Parameters
    ----------
    root
        Folder of ``models/Org/Name/<revision>/`` and ``datasets/Org/Name/<revision>/``, which
        hold the revisions' files. A revision can also be asked for by its commit.

    Attributes
    ----------
    requests
        ``"METHOD target"`` of every request so far, in order; targets as sent (quoted, with
        the query).
    sent
        Bytes of each repository file sent so far, by its path.
    refused
        What to answer a request for a file of a repository (``Org/Name``) with, as for those whose
        licence the client has not accepted; their description and list of files stay public.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = Path(root)
        self.requests: list[str] = []
        self.refused: dict[str, HubError] = {}
        self.sent: Counter[str] = Counter()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    @property
    def url(self) -> str:
        """What ``HF_ENDPOINT`` is to hold."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def snapshot(self, repo: str, revision: str = "main", kind: str = "models") -> Snapshot:
        """Find a revision of ``Org/Name`` by its name or commit; ``kind`` is a folder of root."""
        folder = self.root / kind / repo
        if not folder.is_dir():
            # The real Hub's answer to an anonymous client, to whom a private repository and a
            # missing one are to look the same.
            message = "Invalid username or password."
            raise HubError(HTTPStatus.UNAUTHORIZED, "RepoNotFound", message)
        found = {path.name: Snapshot(path) for path in sorted(folder.iterdir()) if path.is_dir()}
        found = {snapshot.commit: snapshot for snapshot in found.values()} | found
        if revision not in found:
            message = f"Invalid rev id: {revision}"
            raise HubError(HTTPStatus.NOT_FOUND, "RevisionNotFound", message)
        return found[revision]


class _Handler(BaseHTTPRequestHandler):
    # The base class speaks HTTP/1.0, which closes each connection: none outlives the server.
    server: Hub

    def do_GET(self) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        form = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        target = urlsplit(self.path)
        try:
            if match := _API_ROUTE.fullmatch(target.path):
                reply = self._ask_api(match, parse_qs(target.query), parse_qs(form))
                self._send(HTTPStatus.OK, {}, json.dumps(reply).encode())
            elif match := _FILE_ROUTE.fullmatch(target.path):
                self._send_file(match)
            else:
                self._send(HTTPStatus.NOT_FOUND, {}, b"{}")
        except HubError as error:
            self._send(error.status, error.headers, json.dumps({"error": str(error)}).encode())

    do_HEAD = do_POST = do_GET  # noqa: N815 - names that http.server calls

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet: `Hub.requests` has the log."""

    def _ask_api(
        self, match: re.Match[str], query: dict[str, list[str]], form: dict[str, list[str]]
    ) -> dict[str, Any] | list[dict[str, Any]]:
        revision, path = unquote(match["revision"] or "main"), unquote(match["path"] or "")
        snapshot = self.server.snapshot(match["repo"], revision, match["kind"])
        if match["what"] == "tree":
            recursive = query.get("recursive", [""])[0].lower() == "true"
            return snapshot.tree(path, recursive=recursive)
        if match["what"] == "paths-info":
            entries = snapshot.entries()
            return [entries[path] for path in form.get("paths", []) if path in entries]
        siblings = [{"rfilename": path} for path in snapshot.files]
        flags: dict[str, Any] = {"private": False, "gated": False, "disabled": False, "tags": []}
        return {"id": match["repo"], "sha": snapshot.commit, "siblings": siblings, **flags}

    def _send_file(self, match: re.Match[str]) -> None:
        if match["repo"] in self.server.refused:
            raise self.server.refused[match["repo"]]
        kind = "datasets" if match["kind"] else "models"
        snapshot = self.server.snapshot(match["repo"], unquote(match["revision"]), kind)
        path = unquote(match["path"])
        if path not in snapshot.files:
            raise snapshot.missing(path)
        status, body = HTTPStatus.OK, snapshot.files[path]
        headers = {"ETag": f'"{blob_id(body)}"', "X-Repo-Commit": snapshot.commit}
        # Streamed data sets are read by ranges.
        if span := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, stop = int(span[1]), min(int(span[2] or len(body)) + 1, len(body))
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(body)}"
            status, body = HTTPStatus.PARTIAL_CONTENT, body[start:stop]
        if self.command == "GET":
            self.server.sent[path] += len(body)
        self._send(status, headers, body)

    def _send(self, status: HTTPStatus, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def blob_id(body: bytes) -> str:
    """Git's identifier of a file's content, which the Hub serves as the ETag."""
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()


def hub_environment(hub: Hub, cache: Path) -> dict[str, str]:
    """Environment of a subprocess that reads from a stand-in and keeps its cache in a folder.

    Parameters
    ----------
    hub
        The stand-in; it may have stopped, for a subprocess that is to find all in the cache.
    cache
        Becomes ``HF_HOME``.

    Returns
    -------
        This process's environment less what would steer the libraries elsewhere.
    """
    elsewhere = re.compile(r"(HF|HUGGING\w*|TRANSFORMERS|DATASETS)_.*|.*_PROXY", re.IGNORECASE)
    kept = {name: value for name, value in os.environ.items() if not elsewhere.fullmatch(name)}
    return kept | {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(cache),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "*",
        # `datasets` asks "datasets-server.<the endpoint's host>" for a parquet export, whatever
        # the endpoint: let that name fail soon where no name server answers.
        "RES_OPTIONS": "timeout:1 attempts:1",
    }
