"""The playground's files, from the package's `static` folder.

They are read anew each time, since they are small; a browser asks each time too (`no-cache`), and
hears 304 where the hash of its copy is that of the file.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from starlette.responses import Response

from escada.serve.errors import ApiError

FOLDER = Path(__file__).parent / "static"
INDEX = "index.html"
CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
"""By suffix, of everything that is handed out; not asked of the system, whose answer varies."""
MAX_NAME = 200
"""Longer names are no files; a file system would complain."""


def static_file(name: str, if_none_match: str | None, folder: Path | None = None) -> Response:
    """A file of the page.

    Args:
        name: relative to the folder.
        if_none_match: the header, with which a browser names the copies that it has.
        folder: instead of the package's.

    Raises:
        ApiError: no such file, or none that is handed out.
    """
    folder = folder or FOLDER
    content_type = CONTENT_TYPES.get(Path(name).suffix)
    missing = ApiError(404, f"There is no file {name!r} here.")
    if content_type is None or "\0" in name or len(name) > MAX_NAME:
        raise missing
    path = Path(os.path.normpath(folder / name))
    if not path.is_relative_to(folder) or not path.is_file():
        raise missing
    content = path.read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    known = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    if etag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=content_type, headers=headers)
