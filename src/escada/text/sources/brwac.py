"""BrWaC, the Brazilian Portuguese Web as Corpus, in each of its published formats.

`nlpufg/brwac` on the hub has plain texts with `<END>` between lines; `UFRGS/brwac` and its
derivatives have paragraphs, each a list of sentences. The `.vert` release has one token per line
between tags: `<doc docid="…" title="…" uri="…">`, `<p>`, `<s>`, and `<g/>` where no space was
written. The `.conll` release has the token in the second column. A document's group is its site,
where the format has it. None of these rules applies to other sources: there an `<END>` is text.

Wagner Filho, Wilkens, Idiart and Villavicencio, The brWaC Corpus, LREC 2018. Academic,
non-commercial use only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from escada.text.documents import Document
from escada.text.sources.base import Licence
from escada.text.sources.intake import RowKind, host
from escada.text.sources.streams import Size, lines

HUB_NAME = "nlpufg/brwac"
NAME = "brwac"
DOCUMENTS = 3_530_796
"""In the release of January 2017."""
LICENCE = Licence("academic use only", "BrWaC is for academic, non-commercial use")

END_MARK = "<END>"
"""Separates the lines of a document in `nlpufg/brwac`."""

_ATTRIBUTE = re.compile(r'(\w+)="(.*?)"(?=\s|>|/)')
_MARK = re.compile(r"</?(?:doc|p|s|g|head|div)\b[^>]*/?>|</?(?:doc|text)\b.*>")

_MARK_CHARACTERS = 2**14
"""Maximum length of a line of markup: the time to find its attributes may grow as its square."""


def _joined(value: object) -> str | None:
    """Text from a column: a string, or paragraphs that are strings or lists of sentences."""
    if isinstance(value, str):
        if END_MARK not in value:
            return value
        return "\n".join(part.strip() for part in value.split(END_MARK))
    if isinstance(value, Mapping):
        return _joined(cast(Mapping[str, object], value).get("paragraphs"))
    if not isinstance(value, Sequence) or isinstance(value, bytes):
        return None
    paragraphs: list[str] = []
    for part in cast(Sequence[object], value):
        if isinstance(part, Mapping):
            part = cast(Mapping[str, object], part).get("paragraphs")
        if isinstance(part, Sequence) and not isinstance(part, str | bytes):
            sentences = cast(Sequence[object], part)
            if not all(isinstance(sentence, str) for sentence in sentences):
                return None
            part = " ".join(cast(Sequence[str], sentences))
        joined = _joined(part)
        if joined is None:
            return None
        paragraphs.append(joined)
    return "\n".join(paragraphs)


ROWS = RowKind(
    text_of=_joined,
    texts="a string nor paragraphs",
    ids=("id", "doc_id"),
    addresses=("uri", "url"),
)
"""Sentences are joined by spaces, paragraphs by newlines."""


def read_shard(path: Path, place: str) -> Iterator[Document]:
    """The hub's `.txt.gz`: a document a line, `END_MARK` between its own lines."""
    for number, line in enumerate(lines(path), start=1):
        if line.strip():
            text = "\n".join(part.strip() for part in line.split(END_MARK))
            yield Document(f"{place}:{number}", NAME, "", text)


class _Builder:
    def __init__(self, source: str, place: str) -> None:
        self.source, self.place, self.number = source, place, 0
        self.size = Size(place)
        self.attributes: dict[str, str] = {}
        self.paragraphs: list[str] = []
        self.words: list[str] = []
        self.glued = False

    def token(self, form: str) -> None:
        if self.words and not self.glued:
            self.words.append(" ")
        self.size.add(len(form))
        self.words.append(form)
        self.glued = False

    def end_paragraph(self) -> None:
        if self.words:
            self.paragraphs.append("".join(self.words))
        self.words, self.glued = [], False

    def end_document(self) -> Document | None:
        self.end_paragraph()
        text, found = "\n".join(self.paragraphs), self.attributes
        self.paragraphs, self.attributes, self.size.total = [], {}, 0
        if not text:
            return None
        self.number += 1
        name = found.get("docid") or found.get("id") or f"{self.place}:{self.number}"
        return Document(name, self.source, host(found.get("uri", "")) or "", text)

    def mark(self, line: str) -> Document | None:
        """Handle a line of markup; returns the document that it ends, if any."""
        ended = None
        if line.startswith(("<doc", "</doc")):
            ended = self.end_document()
            self.attributes = dict(_ATTRIBUTE.findall(line))
        elif line.startswith(("<p", "</p")):
            self.end_paragraph()
        elif line.startswith("<g"):
            self.glued = True
        return ended


def _read_columns(
    path: Path, place: str, source: str, form_of: Callable[[str], str | None]
) -> Iterator[Document]:
    builder = _Builder(source, place)
    for line in lines(path):
        bare = line.strip().removeprefix("# ")
        if bare.startswith("<") and len(bare) <= _MARK_CHARACTERS and _MARK.fullmatch(bare):
            if document := builder.mark(bare):
                yield document
        elif form := form_of(line):
            builder.token(form)
    if document := builder.end_document():
        yield document


def read_vert(path: Path, place: str, source: str) -> Iterator[Document]:
    """The `.vert` release: the token is the first column."""
    return _read_columns(path, place, source, lambda line: line.split("\t", 1)[0].strip() or None)


def _second_column(line: str) -> str | None:
    columns = line.split("\t")
    return columns[1] if len(columns) > 1 and columns[0].isdigit() else None


def read_conll(path: Path, place: str, source: str) -> Iterator[Document]:
    """The `.conll` release: the token is the second column; tags may follow `# `."""
    return _read_columns(path, place, source, _second_column)
