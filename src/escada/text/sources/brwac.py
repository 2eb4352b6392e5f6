"""BrWaC, the Brazilian Portuguese Web as Corpus, in each form that it is passed on in.

The hub's `nlpufg/brwac` holds plain texts, `<END>` between their lines; `UFRGS/brwac` and its
offspring hold paragraphs, each a list of sentences. The `.vert` release has one token a line
between marks: `<doc docid="…" title="…" uri="…">`, `<p>`, `<s>`, and `<g/>` where no space was
written. The `.conll` release is the same with the token in the second of several columns. A
document's group is its site, where the form still knows it.

Wagner Filho, Wilkens, Idiart and Villavicencio, The brWaC Corpus, LREC 2018. For academic,
non-commercial use: who trains on it says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from escada.errors import EscadaError
from escada.text.documents import Document
from escada.text.sources.base import END_MARK, Licence, document_of_row, host, lines

HUB_NAME = "nlpufg/brwac"
SOURCE = "brwac"
DOCUMENTS = 3_530_796
"""In the release of January 2017."""
LICENCE = Licence("academic use only", "BrWaC is for academic, non-commercial use")

_ATTRIBUTE = re.compile(r'(\w+)="(.*?)"(?=\s|>|/)')
_MARK = re.compile(r"</?(?:doc|p|s|g|head|div)\b[^>]*/?>|</?(?:doc|text)\b.*>")


def read_hub(limit: int | None = None, *, name: str = HUB_NAME) -> Iterator[Document]:
    """Stream the hub's data set, without keeping a copy.

    Args:
        limit: read no more documents than this.
        name: a data set on the hub or, for `datasets`, a local folder of the same form.

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
    for number, row in enumerate(rows, start=1):
        if limit is not None and number > limit:
            return
        where = f"{name}, row {number}"
        yield document_of_row(row, default_id=str(number), default_source=SOURCE, where=where)


def read_shard(path: Path, source: str = SOURCE) -> Iterator[Document]:
    """A text file of the hub's data set: one document a line, `<END>` between its own lines."""
    stem = path.name.split(".")[0]
    for number, line in enumerate(lines(path), start=1):
        if line.strip():
            name = f"{stem}:{number}"
            text = "\n".join(part.strip() for part in line.split(END_MARK))
            yield Document(name, source, name, text)


class _Builder:
    """Collects the tokens of one document after another."""

    def __init__(self, source: str, stem: str) -> None:
        self.source, self.stem, self.number = source, stem, 0
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
        name = found.get("docid") or found.get("id") or f"{self.stem}:{self.number}"
        return Document(name, self.source, host(found.get("uri", "")) or name, text)

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
    path: Path, source: str, form_of: Callable[[str], str | None]
) -> Iterator[Document]:
    builder = _Builder(source, path.name.split(".")[0])
    for line in lines(path):
        bare = line.strip().removeprefix("# ")
        if bare.startswith("<") and _MARK.fullmatch(bare):
            if document := builder.mark(bare):
                yield document
        elif form := form_of(line):
            builder.token(form)
    if document := builder.end_document():
        yield document


def read_vert(path: Path, source: str = SOURCE) -> Iterator[Document]:
    """The `.vert` release: the token is the line's first column."""
    return _read_columns(path, source, lambda line: line.split("\t", 1)[0].strip() or None)


def _second_column(line: str) -> str | None:
    columns = line.split("\t")
    return columns[1] if len(columns) > 1 and columns[0].isdigit() else None


def read_conll(path: Path, source: str = SOURCE) -> Iterator[Document]:
    """The `.conll` release: the token is the second column, marks may stand behind `# `."""
    return _read_columns(path, source, _second_column)
