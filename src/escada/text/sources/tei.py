"""Texts in TEI, such as the files of Carolina: one document a `TEI` element.

The text is the paragraphs and headings of its body, a line each; the id is its `xml:id` or `n`.
A file is read element by element, never whole. https://tei-c.org/release/doc/tei-p5-doc/
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

from escada.errors import EscadaError
from escada.text.documents import Document
from escada.text.sources.streams import Size, unpacked

SUFFIXES = (".xml",)
_CHUNK_BYTES = 2**16
Events = Iterator[tuple[str, ElementTree.Element]]
_XML_ID = "{http://www.w3.org/XML/1998/namespace}id"
_LINES = frozenset({"p", "head", "l", "ab", "item"})


def read_tei(path: Path, place: str, source: str) -> Iterator[Document]:
    """The documents of a TEI file; `place` begins the ids of those without one.

    Raises:
        EscadaError: missing or damaged file, no TEI, or a document is too long.
    """
    number, root = 0, None
    parser = cast(Any, ElementTree).XMLPullParser(("start", "end"))
    size = Size(path)
    with unpacked(path) as file:
        try:
            while data := file.read(_CHUNK_BYTES):
                size.add(len(data))
                parser.feed(data)
                for event, element in cast(Events, parser.read_events()):
                    if root is None:
                        root = _root(element, path)
                    if event == "end" and _tag(element) == "TEI":
                        number += 1
                        name = element.get(_XML_ID) or element.get("n") or f"{place}:{number}"
                        yield Document(name, source, "", _text(element))
                        root.clear()
                        size.total = 0
            parser.close()
        except ElementTree.ParseError as error:
            fix = "download or write it again"
            raise EscadaError(f"broken XML: {error}", where=path, fix=fix) from error


def _root(element: ElementTree.Element, path: Path) -> ElementTree.Element:
    if _tag(element) in ("TEI", "teiCorpus"):
        return element
    fix = "give TEI, or take the text out first and give the .txt"
    raise EscadaError(f"XML, but <{_tag(element)}> is no TEI", where=path, fix=fix)


def _text(tei: ElementTree.Element) -> str:
    body = next((one for one in tei.iter() if _tag(one) == "body"), None)
    if body is None:
        return ""
    found = [one for one in body.iter() if _tag(one) in _LINES]
    inner = {id(below) for one in found for below in one.iter() if below is not one}
    lines = ["".join(one.itertext()) for one in found if id(one) not in inner]
    return "\n".join(" ".join(line.split()) for line in lines or ["".join(body.itertext())])


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
