"""An archive of a climb, to be deposited beside a paper: all that repeats and checks its results.

    write_archive(Path("runs/demo"), Path("demo.zip"))
    check_archive(Path("demo.zip"))          # sums, and bits per byte from the documents' scores

It holds the climb's folder as it is (records, specs, versions, logs, tokenizers, evaluations with
the scores of each document, samples, report) and of the weights the last and the best checkpoint,
without the optimizer's state; of weights kept on the way (`train.keep`) only the hashes. The corpus
is there as its manifest, which has its hashes; its text comes along only if asked for and if every
licence is known as open.

The same folder gives the same bytes: files in the order of their names, no dates, no compression
(whose bytes differ between versions of zlib). `SHA256SUMS` is in the form of `sha256sum -c`.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast

from escada.errors import EscadaError, counted
from escada.files import disk_errors, parse_json, read_json
from escada.runs.kept import is_kept_weights
from escada.text.corpus import Corpus

SUMS = "SHA256SUMS"
LADDER = "ladder.json"
OPEN = ("cc-by-4.0", "cc-by-sa-4.0", "cc0-1.0", "cc-by-3.0", "cc-by-sa-3.0", "odc-by", "apache-2.0",
        "mit")  # fmt: skip
"""Licences under which a text may be handed on, as the hub writes them."""
_HERE = Path(__file__).parent
_LEFT_OUT = ("mlflow.db", "wandb", "trackio", "training.safetensors")
"""What trackers keep, and states of optimizers."""
_DATE = (1980, 1, 1, 0, 0, 0)
_TOLERANCE = 1e-9
_BLOCK_BYTES = 2**20
_ENCRYPTED = 1
"""Bit of an entry's flags."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found right: files, and results computed anew."""

    files: int
    results: int


def write_archive(folder: Path, out: Path, *, with_corpus: bool = False) -> Path:
    """Write the archive of a climb's folder; return `out`.

    Raises:
        EscadaError: no finished climb, `out` exists, its corpus is gone or may not be handed on.
    """
    if not (folder / LADDER).is_file():
        raise EscadaError(f"no {LADDER} here", where=folder, fix="name the folder of a climb")
    if out.exists():
        raise EscadaError("a file lies there", where=out, fix="name another one or remove it")
    ladder = read_json(folder / LADDER)
    runs = [str(row["run"]) for row in ladder["rungs"] if row.get("run")]
    corpus = _corpus(folder, runs)
    if with_corpus:
        _check_licences(corpus)
    files: dict[str, Path | bytes] = dict(_files(folder))
    files |= {f"corpus/{name}": path for name, path in _corpus_files(corpus, with_corpus)}
    files["CITATION.cff"] = _HERE / "CITATION.cff"
    files["README.md"] = (
        (_HERE / "archive-readme.md")
        .read_text("utf-8")
        .format(
            rungs=", ".join(dict.fromkeys(str(row["name"]) for row in ladder["rungs"])),
            corpus=corpus.hash[:12],
            text="with its text" if with_corpus else "without its text",
        )
        .encode()
    )
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    with disk_errors(out, "no archive was written"):
        try:
            _write(temporary, files)
            temporary.replace(out)
        finally:
            temporary.unlink(missing_ok=True)
    return out


def _write(path: Path, files: dict[str, Path | bytes]) -> None:
    sums: list[str] = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            content = files[name]
            entry = _entry(name)
            entry.file_size = len(content) if isinstance(content, bytes) else content.stat().st_size
            source = io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")
            digest = hashlib.sha256()
            with source, archive.open(entry, "w") as target:
                while block := source.read(_BLOCK_BYTES):
                    digest.update(block)
                    target.write(block)
            sums.append(f"{digest.hexdigest()}  {name}\n")
        archive.writestr(_entry(SUMS), "".join(sums))


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.create_system, entry.external_attr = 3, 0o644 << 16  # the same on every system
    return entry


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """The climb's files by their names in the archive."""
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        if any(part.startswith(".") or part in _LEFT_OUT for part in place.parts):
            continue
        if is_kept_weights(place):
            continue
        if path.is_symlink():
            raise EscadaError("a link cannot be archived", where=path, fix="put the file there")
        if path.is_file():
            yield place.as_posix(), path


def _corpus(folder: Path, runs: list[str]) -> Corpus:
    """The corpus of the climb's runs, where their data.json says that it lies."""
    if not runs:
        raise EscadaError("no rung is finished", where=folder, fix="rerun the climb")
    return Corpus.open(Path(str(read_json(folder / runs[0] / "data.json")["path"])))


def _corpus_files(corpus: Corpus, with_text: bool) -> Iterator[tuple[str, Path]]:
    yield "manifest.json", corpus.path / "manifest.json"
    if with_text:
        for split in corpus.manifest.splits.values():
            yield split.file, corpus.path / split.file


def _check_licences(corpus: Corpus) -> None:
    """Raise an EscadaError unless all of the corpus's text may be handed on."""
    licences = corpus.manifest.licences
    closed = [
        f"{source} ({licence.name})"
        for source, licence in sorted(licences.items())
        if licence.name.strip().lower().replace(" ", "-") not in OPEN
    ]
    if closed or not licences:
        raise EscadaError(
            "not every licence of its text is known as open: "
            + (", ".join(closed) or "the corpus names none"),
            where=corpus.path,
            fix="leave out --with-corpus: manifest and hashes are archived",
        )


def check_archive(file: Path) -> Checked:
    """Check an archive: every file by its sum, none more or less, and each run's bits per byte.

    Raises:
        EscadaError: no archive of escada's, or something differs.
    """
    fix = "get the archive again"
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            if any(one.compress_type or one.flag_bits & _ENCRYPTED for one in archive.infolist()):
                # As written they are neither, so nothing in it is larger than the archive.
                raise EscadaError("compressed or encrypted files in it", where=file, fix=fix)
            if SUMS not in names:
                raise EscadaError(f"no {SUMS} in it", where=file, fix="name an `escada archive`")
            lines = archive.read(SUMS).decode().splitlines()
            wanted = {name: total for total, _, name in (line.partition("  ") for line in lines)}
            if found := sorted({*names} ^ {*wanted, SUMS}):
                raise EscadaError(f"missing or added: {', '.join(found[:5])}", where=file, fix=fix)
            if len(names) != len(set(names)):
                raise EscadaError("a name stands there twice", where=file, fix=fix)
            for name, total in wanted.items():
                if _sha256(archive, name) != total:
                    raise EscadaError(f"changed: {name}", where=file, fix=fix)
            return Checked(len(wanted), _check_results(archive, names, file))
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError, OSError) as error:
        raise EscadaError(f"not a whole archive: {error}", where=file, fix=fix) from error


def _sha256(archive: zipfile.ZipFile, name: str) -> str:
    digest = hashlib.sha256()
    with archive.open(name) as content:
        while block := content.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _check_results(archive: zipfile.ZipFile, names: list[str], file: Path) -> int:
    """The number of results whose bits per byte follow from the scores of their documents."""
    checked = 0
    for name in names:
        place = PurePosixPath(name)
        if "evaluation" not in place.parts[:-1] or not name.endswith("-documents.jsonl"):
            continue
        result = str(place.with_name(place.name.replace("-documents.jsonl", ".json")))
        if result not in names:
            continue
        try:
            rows = [
                cast(dict[str, Any], json.loads(one)) for one in archive.read(name).splitlines()
            ]
            scored = [row for row in rows if "nats" in row]
            bits = sum(row["nats"] for row in scored) / math.log(2)
            found = bits / sum(row["bytes"] for row in scored)
            wanted = parse_json(archive.read(result), where=f"{file}: {result}")["bits_per_byte"]
            follows = math.isclose(found, wanted, rel_tol=_TOLERANCE)
        except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
            what = f"{name} cannot be read: {type(error).__name__}"
            raise EscadaError(what, where=file, fix="ask who made it") from error
        if not follows:
            raise EscadaError(
                f"{result} does not follow from the scores of its documents",
                where=file,
                fix="ask who made it",
            )
        checked += 1
    return checked


def say_checked(checked: Checked) -> str:
    """One line."""
    results = counted(checked.results, "result")
    return f"whole: {checked.files:,} files as SHA256SUMS has them; {results} computed anew"
