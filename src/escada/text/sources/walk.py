"""Finds the files to read below a folder or under a glob, and why others are left out.

Files of a known format are read in the order of their places (paths below the folder). Links are
followed, and each file is read once. Every file left out is counted by reason.
"""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from escada.errors import EscadaError
from escada.text.sources.rows import suffix_of
from escada.text.sources.streams import printable

_ABOUT = re.compile(
    r"(readme|leia-?me)([._-].*)?|licen[cs]e([.-][\w-]+)?"
    r"|(licen[cç]a|notice|copying|citation|changelog|contributing)(\.\w+)?"
    r"|dataset_infos?\.json|croissant\.json|_success|thumbs\.db|desktop\.ini",
    re.IGNORECASE,
)
"""Names of files about the data, and of system files."""
_ABOUT_SUFFIXES = frozenset({"", ".md", ".txt", ".text", ".rst", ".cff", ".json", ".db", ".ini"})

AS_TEXT = "take its text out first, for example with "
"""Start of the advice for a document with layout; the name of a tool follows."""
_REMEDIES = {
    (".pdf",): f"{AS_TEXT}pdftotext, and give the .txt",
    (".docx", ".odt", ".epub", ".html", ".htm", ".rtf", ".tex"): f"{AS_TEXT}pandoc (pandoc FILE "
    "-t plain -o FILE.txt), and give the .txt",
    (".doc", ".ppt", ".pptx"): f"{AS_TEXT}LibreOffice (save as text), and give the .txt",
    (".xls", ".xlsx", ".ods"): "save it as CSV (UTF-8)",
}

HIDDEN = "hidden"
ABOUT = "about the data (README, licence and the like)"
UNREADABLE = "unreadable"
BROKEN_LINK = "links to nothing"
SEEN = "links to what is read already"
IRREGULAR = "no regular files"
NOT_UTF8 = "not UTF-8"


def files_below(
    folder: Path, known: tuple[str, ...]
) -> tuple[dict[str, Path], list[tuple[str, str]]]:
    """The files below a folder, by place and in order, and (reason, place) of those left out.

    `known` are the suffixes of readable formats, in lower case.

    Raises:
        EscadaError: a file of another format, or the folder cannot be read.
    """
    return _each_once([folder], folder, known)


def files_matching(
    pattern: Path, known: tuple[str, ...]
) -> tuple[Path, dict[str, Path], list[tuple[str, str]]]:
    """The files under a glob, as `files_below` gives them, after the folder that all are below.

    `*`, `?` and `[…]` stand for parts of a name, `**` for any folders; a folder under the glob
    stands for what is below it.

    Raises:
        EscadaError: nothing is there, or what `files_below` raises.
    """
    folder, rest = _glob_parts(pattern)
    try:
        matching = set(folder.glob(rest))
    except ValueError as error:
        fix = "write ** alone between slashes"
        raise EscadaError(f"no glob: {error}", where=printable(pattern), fix=fix) from error
    outermost = sorted(path for path in matching if matching.isdisjoint(path.parents))
    files, left_out = _each_once(outermost, folder, known)
    if not files:
        fix = "check the path, and put the glob in quotes"
        raise EscadaError("no file is there", where=printable(pattern), fix=fix)
    return folder, files, left_out


def _each_once(
    paths: Iterable[Path], top: Path, known: tuple[str, ...]
) -> tuple[dict[str, Path], list[tuple[str, str]]]:
    """The files among paths and below the folders among them; see `files_below`."""
    left_out: list[tuple[str, str]] = []
    files: dict[str, Path] = {}
    targets: set[Path] = set()
    for path in sorted(_walk(paths, top, left_out, {top.resolve()}), key=os.path.islink):
        place = printable(path.relative_to(top))
        if (reason := _unfit(path)) is not None:
            left_out.append((reason, place))
        elif suffix_of(path) not in known:
            raise unknown_form(path, known)
        elif (target := path.resolve()) in targets:
            left_out.append((SEEN, place))
        else:
            targets.add(target)
            files[place] = path
    return dict(sorted(files.items())), sorted(left_out)


def is_there(name: str) -> bool:
    """Whether a name is a path, or a glob that matches one."""
    if Path(name).exists():
        return True
    folder, rest = _glob_parts(Path(name))
    try:
        return bool(rest) and any(True for _ in folder.glob(rest))
    except ValueError:  # `a**b`
        return False


def _glob_parts(pattern: Path) -> tuple[Path, str]:
    """The folder before the first part with a sign of a glob, and the rest, empty without any."""
    signs = [n for n, part in enumerate(pattern.parts) if glob.has_magic(part)]
    first = signs[0] if signs else len(pattern.parts)
    rest = pattern.parts[first:]
    return Path(*pattern.parts[:first]), str(Path(*rest)) if rest else ""


def unknown_form(path: Path, known: tuple[str, ...]) -> EscadaError:
    """The error for a file of an unknown format, or a document with layout."""
    suffix = suffix_of(path)
    forms = "use " + " ".join(part or "(none)" for part in known)
    fix = next((fix for suffixes, fix in _REMEDIES.items() if suffix in suffixes), forms)
    return EscadaError(f"unknown form {suffix or path.name!r}", where=path, fix=fix)


def _unfit(path: Path) -> str | None:
    """Why a path is not read; None if it is."""
    try:
        mode = path.stat().st_mode
    except PermissionError:
        return UNREADABLE
    except OSError:
        return BROKEN_LINK
    if not stat.S_ISREG(mode):
        return IRREGULAR
    if _ABOUT.fullmatch(path.name) and path.suffix.lower() in _ABOUT_SUFFIXES:
        return ABOUT
    return None if os.access(path, os.R_OK) else UNREADABLE


def is_hidden(place: Path) -> bool:
    """Whether a path below a folder, or a folder on the way to it, is hidden or a system's."""
    return any(part.startswith(".") or part == "__MACOSX" for part in place.parts)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except PermissionError:
        return False


def _walk(
    paths: Iterable[Path], top: Path, left_out: list[tuple[str, str]], visited: set[Path]
) -> Iterator[Path]:
    """The visible files among paths and below the folders among them; links come last."""
    for path in sorted(paths, key=os.path.islink):
        place = path.relative_to(top)
        if is_hidden(place):
            left_out.append((HIDDEN, printable(place)))
        elif not _is_folder(path):
            yield path
        elif (real := path.resolve()) in visited and path != top:
            left_out.append((SEEN, printable(place)))
        else:
            visited.add(real)
            yield from _walk(_entries(path, top, left_out), top, left_out, visited)


def _entries(folder: Path, top: Path, left_out: list[tuple[str, str]]) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        if folder == top:
            fix = "give a folder that you may read"
            raise EscadaError("the folder cannot be read", where=folder, fix=fix) from error
        left_out.append((UNREADABLE, printable(folder.relative_to(top))))
        return []
