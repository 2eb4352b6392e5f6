"""BrWaC, the Brazilian Portuguese Web as Corpus, in each form that it is passed on in.

The hub's `nlpufg/brwac` holds plain texts, `<END>` between their lines; `UFRGS/brwac` and its
offspring hold paragraphs, each a list of sentences. The `.vert` release has one token a line
between marks: `<doc docid="…" title="…" uri="…">`, `<p>`, `<s>`, and `<g/>` where no space was
written. The `.conll` release is the same with the token in the second of several columns. A
document's group is its site, where the form still knows it. All this is BrWaC's own and is asked of
no other source: an `<END>` or a `uri` in somebody's notes is text and a column like any other.

Wagner Filho, Wilkens, Idiart and Villavicencio, The brWaC Corpus, LREC 2018. For academic,
non-commercial use: who trains on it says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast

from escada.errors import EscadaError
from escada.text.documents import Document
from escada.text.sources.base import (
    Intake,
    Licence,
    ReadCounts,
    RowOptions,
    host,
    name_in,
    not_text,
    text_of,
)
from escada.text.sources.opening import lines

HUB_NAME = "nlpufg/brwac"
SOURCE = "brwac"
DOCUMENTS = 3_530_796
"""In the release of January 2017."""
LICENCE = Licence("academic use only", "BrWaC is for academic, non-commercial use")

END_MARK = "<END>"
"""What stands between the lines of a document in `nlpufg/brwac`."""
_COLUMNS = ("text", "id", "doc_id", "source", "group", "uri", "url")

_ATTRIBUTE = re.compile(r'(\w+)="(.*?)"(?=\s|>|/)')
_MARK = re.compile(r"</?(?:doc|p|s|g|head|div)\b[^>]*/?>|</?(?:doc|text)\b.*>")


def brwac_intake(options: RowOptions, counts: ReadCounts) -> Intake:
    """For BrWaC's own files."""
    return Intake(SOURCE, options, counts, document_of_row, (*options.named, *_COLUMNS))


def document_of_row(
    row: Mapping[str, Any], *, place: str, source: str, where: object, options: RowOptions
) -> Document:
    """A document from a row of BrWaC.

    Args:
        row: `doc_id`, `uri` (its site is the group) and `text`: a string with `END_MARK` between
            its lines, or paragraphs, each a list of sentences. Sentences are joined by spaces,
            paragraphs by newlines. `id`, `source` and `group` are known, too.
        place: the id of a row without one.
        source: of a row without one.
        where: for errors.
        options: which columns are what.

    Raises:
        EscadaError: no text in the row, or no column that `options` names.
    """
    for column in options.named[1:]:
        text_of(row, column, where)
    value = text_of(row, options.text, where)
    text = _joined(value)
    if text is None:
        raise not_text(options.text, value, where, known="a string nor paragraphs")
    uri = name_in(row, "uri", "url")
    return Document(
        name_in(row, *([options.id_column] if options.id_column else ("id", "doc_id"))) or place,
        name_in(row, options.source_column or "source") or source,
        name_in(row, options.group_column or "group") or (host(uri) if uri else None) or "",
        text,
    )


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


def read_hub(
    limit: int | None = None, *, name: str = HUB_NAME, intake: Intake | None = None
) -> Iterator[Document]:
    """Stream the hub's data set, without keeping a copy.

    Args:
        limit: read no more documents than this.
        name: a data set on the hub or, for `datasets`, a local folder of the same form.
        intake: which columns are what, and what is counted.

    Raises:
        EscadaError: the `brwac` extra is not installed, or the hub cannot be reached.
    """
    try:
        import datasets  # pyright: ignore[reportMissingImports, reportUnknownVariableType]
    except ModuleNotFoundError as error:
        raise EscadaError(
            "BrWaC comes from the hub through the package 'datasets', which is not installed",
            fix="pip install 'escada[brwac]', or give a file of it with --source-file",
        ) from error
    load = cast(Callable[..., Iterable[Mapping[str, Any]]], datasets.load_dataset)  # pyright: ignore[reportUnknownMemberType]
    try:
        rows = load(name, split="train", streaming=True)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EscadaError(
            f"the data set cannot be opened: {reason}",
            where=name,
            fix="check the network, or give a file of it with --source-file",
        ) from error
    used = intake or brwac_intake(RowOptions(), ReadCounts())
    numbered = ((n, f"{name}, row {n}", row) for n, row in enumerate(rows, start=1))
    yield from islice(used.documents(numbered, lambda number: str(number)), limit)


def read_shard(path: Path, place: str, source: str = SOURCE) -> Iterator[Document]:
    """The hub's `.txt.gz`: a document a line, `END_MARK` between its own lines."""
    for number, line in enumerate(lines(path), start=1):
        if line.strip():
            text = "\n".join(part.strip() for part in line.split(END_MARK))
            yield Document(f"{place}:{number}", source, "", text)


class _Builder:
    """Collects the tokens of one document after another."""

    def __init__(self, source: str, place: str) -> None:
        self.source, self.place, self.number = source, place, 0
        self.attributes: dict[str, str] = {}
        self.paragraphs: list[str] = []
        self.words: list[str] = []
        self.glued = False

    def token(self, form: str) -> None:
        if self.words and not self.glued:
            self.words.append(" ")
        self.words.append(form)
        self.glued = False

    def end_paragraph(self) -> None:
        if self.words:
            self.paragraphs.append("".join(self.words))
        self.words, self.glued = [], False

    def end_document(self) -> Document | None:
        self.end_paragraph()
        text, found = "\n".join(self.paragraphs), self.attributes
        self.paragraphs, self.attributes = [], {}
        if not text:
            return None
        self.number += 1
        name = found.get("docid") or found.get("id") or f"{self.place}:{self.number}"
        return Document(name, self.source, host(found.get("uri", "")) or "", text)

    def mark(self, line: str) -> Document | None:
        """Take a line of markup; a document that it ends comes back."""
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
        if bare.startswith("<") and _MARK.fullmatch(bare):
            if document := builder.mark(bare):
                yield document
        elif form := form_of(line):
            builder.token(form)
    if document := builder.end_document():
        yield document


def read_vert(path: Path, place: str, source: str = SOURCE) -> Iterator[Document]:
    """The `.vert` release: the token is the line's first column."""
    return _read_columns(path, place, source, lambda line: line.split("\t", 1)[0].strip() or None)


def _second_column(line: str) -> str | None:
    columns = line.split("\t")
    return columns[1] if len(columns) > 1 and columns[0].isdigit() else None


def read_conll(path: Path, place: str, source: str = SOURCE) -> Iterator[Document]:
    """The `.conll` release: the token is the second column, marks may stand behind `# `."""
    return _read_columns(path, place, source, _second_column)
