"""A hub on the loopback address: the few requests by which `datasets` streams a data set.

It serves the files of a folder as one data set at one commit.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

NAME = "ana/cartas"
CARD = "README.md"


class Hub(ThreadingHTTPServer):
    """The server; `commit`, the newest, may change while it runs.

    Attributes:
        older: the cards of older commits; their other files are the same.
        refusals: how often a file is still answered with 403.
    """

    daemon_threads = True

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.name, self.commit = folder, name, "a" * 40
        self.older: dict[str, bytes] = {}
        self.refusals: Counter[str] = Counter()
        self.requests: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def entry(self, path: Path) -> dict[str, object]:
        data = path.read_bytes()
        name = path.relative_to(self.folder).as_posix()
        digest = hashlib.sha1(data).hexdigest()
        return {"type": "file", "path": name, "size": len(data), "oid": digest}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def reply(self, body: object, code: int = 200, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.requests.append(f"{self.command} {path}")
        api = f"/api/datasets/{self.server.name}"
        resolve = f"/datasets/{self.server.name}/resolve/"
        rest = path.removeprefix(api)
        if path == api or rest.startswith("/revision/"):
            self.about(rest)
        elif path.startswith(f"{api}/tree/"):
            self.tree(rest.removeprefix("/tree/").partition("/")[2])
        elif path.startswith(resolve):
            revision, _, name = path.removeprefix(resolve).partition("/")
            self.file(name, revision)
        else:
            self.reply({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")

    do_HEAD = do_GET

    def about(self, revision: str) -> None:
        commit = revision.removeprefix("/revision/")
        if commit in ("", "main"):
            commit = self.server.commit
        if commit not in {self.server.commit, *self.server.older}:
            return self.reply({"error": "No revision"}, 404, X_Error_Code="RevisionNotFound")
        names = [path.relative_to(self.server.folder).as_posix() for path in self.files()]
        about = {
            "id": self.server.name,
            "sha": commit,
            "private": False,
            "gated": False,
            "disabled": False,
        }
        about |= {
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "lastModified": "2026-01-01T00:00:00.000Z",
        }
        return self.reply({**about, "siblings": [{"rfilename": name} for name in names]})

    def tree(self, below: str) -> None:
        entries = [self.server.entry(path) for path in self.files()]
        found = [entry for entry in entries if str(entry["path"]).startswith(below)]
        folders = {str(Path(str(entry["path"])).parent) for entry in entries} - {"."}
        none = {"type": "directory", "oid": "0" * 40, "size": 0}
        self.reply([*found, *({**none, "path": folder} for folder in sorted(folders))])

    def file(self, name: str, revision: str) -> None:
        path = self.server.folder / name
        if self.server.refusals[name]:
            self.server.refusals[name] -= 1
            return self.reply({"error": "Not now"}, 403)
        if not path.is_file():
            return self.reply({"error": "Entry not found"}, 404, X_Error_Code="EntryNotFound")
        is_older = revision in self.server.older
        data = self.server.older[revision] if is_older and name == CARD else path.read_bytes()
        commit = revision if is_older else self.server.commit
        headers = {"X_Repo_Commit": commit, "Accept_Ranges": "bytes"}
        headers["ETag"] = f'"{hashlib.sha1(data).hexdigest()}"'
        if asked := self.headers.get("Range"):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or len(data)), len(data) - 1)
            headers["Content_Range"] = f"bytes {start}-{end}/{len(data)}"
            return self.reply(data[start : end + 1], 206, **headers)
        return self.reply(data, **headers)

    def files(self) -> list[Path]:
        return sorted(path for path in self.server.folder.rglob("*") if path.is_file())


@contextlib.contextmanager
def serve(folder: Path, name: str = NAME) -> Iterator[Hub]:
    """Serve a folder as a data set until the block ends."""
    with Hub(folder, name) as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        yield hub
        hub.shutdown()
