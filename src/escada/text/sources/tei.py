"""Texts in TEI, such as the files of Carolina: one document a `TEI` element.

The text is the paragraphs and headings of its body, a line each; the id is its `xml:id` or `n`.
A file is read tag by tag, and only text is kept: no tree. A document type within the file is
refused, since the entities and attributes that it declares may multiply a short file into
gigabytes. https://tei-c.org/release/doc/tei-p5-doc/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.parsers import expat

from escada.errors import EscadaError
from escada.text.documents import Document
from escada.text.sources.streams import Size, unpacked

SUFFIXES = (".xml",)
_CHUNK_BYTES = 2**16
_ROOTS = ("TEI", "teiCorpus")
_LINES = frozenset({"p", "head", "l", "ab", "item"})
_MOST_DEPTH = 1000
"""Elements within elements, each of which the parser remembers."""


def read_tei(path: Path, place: str, source: str) -> Iterator[Document]:
    """The documents of a TEI file; `place` begins the ids of those without one.

    Raises:
        EscadaError: missing or damaged file, no TEI, or a document is too long.
    """
    reader, number, size = _Reader(path), 0, Size(path)
    with unpacked(path) as file:
        try:
            while data := file.read(_CHUNK_BYTES):
                size.add(len(data))
                for name, text in reader.read(data):
                    number += 1
                    yield Document(name or f"{place}:{number}", source, "", text)
                    size.total = 0
            reader.end()
        except expat.ExpatError as error:
            fix = "download or write it again"
            raise EscadaError(f"broken XML: {error}", where=path, fix=fix) from error
        except (LookupError, ValueError) as error:  # the encoding that it declares
            fix = "save it as UTF-8"
            raise EscadaError(f"not readable as XML: {error}", where=path, fix=fix) from error


class _Reader:
    """Collects the texts of a file while expat reads its tags."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._document_type
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._ended: list[tuple[str, str]] = []
        self._name = ""
        self._depth = self._bodies = self._open_lines = 0
        """How many elements, bodies and lines are open."""
        self._lines: list[str] = []
        self._parts: list[str] = []
        """Of the line that is open or, as long as there is no line, of the body."""

    def read(self, data: bytes) -> list[tuple[str, str]]:
        """The names and texts of the documents that end in the next bytes of the file."""
        self._parser.Parse(data, False)
        ended, self._ended = self._ended, []
        return ended

    def end(self) -> None:
        """Check that the file is complete."""
        self._parser.Parse(b"", True)

    def _document_type(
        self, _name: str, _system: str | None, _public: str | None, is_within: bool
    ) -> None:
        if is_within:
            fix = "write it without: xmllint --noent --dropdtd FILE > NEW.xml"
            what = "XML that declares a document type of its own"
            raise EscadaError(what, where=self._path, fix=fix)

    def _start(self, tag: str, attributes: Mapping[str, str]) -> None:
        tag = tag.rpartition(":")[2]
        if not self._depth and tag not in _ROOTS:
            fix = "give TEI, or take the text out first and give the .txt"
            raise EscadaError(f"XML, but <{tag}> is no TEI", where=self._path, fix=fix)
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            fix = "close what is open"
            raise EscadaError(f"XML of more than {_MOST_DEPTH} levels", where=self._path, fix=fix)
        if tag == "TEI":
            self._name = attributes.get("xml:id") or attributes.get("n") or ""
            self._lines, self._parts = [], []
        elif tag == "body":
            self._bodies += 1
        elif tag in _LINES and self._bodies:
            if not self._open_lines:
                self._parts = []
            self._open_lines += 1

    def _end(self, tag: str) -> None:
        tag = tag.rpartition(":")[2]
        self._depth -= 1
        if tag == "TEI":
            text = "\n".join(self._lines) if self._lines else _one_line(self._parts)
            self._ended.append((self._name, text))
            self._lines, self._parts = [], []
        elif tag == "body":
            self._bodies -= 1
        elif tag in _LINES and self._bodies:
            self._open_lines -= 1
            if not self._open_lines:
                self._lines.append(_one_line(self._parts))
                self._parts = []

    def _text(self, data: str) -> None:
        if self._open_lines or (self._bodies and not self._lines):
            self._parts.append(data)


def _one_line(parts: list[str]) -> str:
    return " ".join("".join(parts).split())
