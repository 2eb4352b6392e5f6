"""Sentences of a CoNLL-U file, with or without their words.

Ten tab-separated columns, a blank line after each sentence; see https://universaldependencies.org.
`# text` and `# sent_id` come in either order. Empty nodes ("8.1") are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from escada.errors import EscadaError
from escada.text.documents import Document
from escada.text.sources.streams import Size


@dataclass(frozen=True, slots=True)
class Word:
    """A syntactic word.

    Attributes:
        number: position in the sentence, from 1.
        form: as written, or as it would be written outside a contraction.
        tag: universal part of speech.
        features: as in the file, `Gender=Fem|Number=Sing`, or `_`.
        head: the number of its governor; 0 for a root and where none is given.
        relation: dependency relation to its head, or `_`.
    """

    number: int
    form: str
    lemma: str
    tag: str
    features: str
    head: int
    relation: str


@dataclass(slots=True)
class Sentence:
    """A block between two blank lines.

    Attributes:
        words: by number; empty if not requested.
        spans: tokens of several words ("da"): first word, last word, form.
        begins: id from `# newdoc` if a document begins here; None otherwise.
        line: number of its first line.
        annotated: whether it has word lines.
    """

    id: str = ""
    text: str = ""
    words: dict[int, Word] = field(default_factory=dict[int, Word])
    spans: list[tuple[int, int, str]] = field(default_factory=list[tuple[int, int, str]])
    begins: str | None = None
    line: int = 1
    annotated: bool = False

    def tokens(self) -> list[tuple[str, list[Word]]]:
        """Written tokens with their words: `("da", [de, a])`, `("casa", [casa])`."""
        tokens = {number: (word.form, [word]) for number, word in self.words.items()}
        for first, last, form in self.spans:
            numbers = range(first, last + 1)
            words = [self.words[number] for number in numbers if number in self.words]
            for number in numbers:
                tokens.pop(number, None)
            tokens[first] = (form, words)
        return [tokens[number] for number in sorted(tokens)]


def read_sentences(lines: Iterable[str], *, with_words: bool = True) -> Iterator[Sentence]:
    """The sentences with a text and an id; reading their words takes most of the time."""
    return (part for part in _blocks(lines, with_words) if part.id and part.text)


def _blocks(lines: Iterable[str], with_words: bool) -> Iterator[Sentence]:
    """All blocks between blank lines, complete or not."""
    sentence = Sentence()
    for number, line in enumerate(lines, start=1):
        line = line.rstrip("\r\n")
        if line.startswith("# text = "):
            sentence.text = line.removeprefix("# text = ").strip()
        elif line.startswith("# sent_id = "):
            sentence.id = line.removeprefix("# sent_id = ").strip()
        elif line.startswith("# newdoc"):
            sentence.begins = line.removeprefix("# newdoc").strip().removeprefix("id = ")
        elif not line.strip():
            yield sentence
            sentence = Sentence(line=number + 1)
        elif line[0].isdigit():
            sentence.annotated = True
            if with_words:
                _read_word(line, sentence)
    yield sentence


def read_treebank(
    lines: Iterable[str],
    place: str,
    source: str,
    on_bad_sentence: Callable[[EscadaError], None],
) -> Iterator[Document]:
    """The texts of a treebank, one sentence per line.

    A document begins at `# newdoc`, even in a block of its own; without such marks each sentence is
    a document.

    Args:
        place: of the file, for the ids of documents without one.
        on_bad_sentence: called for words without `# text`; if it returns, they are left out.
    """
    parts: list[str] = []
    name, number, marked, size = "", 0, False, Size(place)
    for sentence in _blocks(lines, with_words=False):
        if sentence.begins is not None:
            if parts:
                yield Document(name, source, "", "\n".join(parts))
            parts, marked, name, size.total = [], True, sentence.begins, 0
        if not sentence.text:
            if sentence.annotated:
                on_bad_sentence(_without_text(place, sentence.line))
            continue
        if parts and not marked:
            yield Document(name, source, "", "\n".join(parts))
            parts, size.total = [], 0
        if not parts:
            number += 1
            name = (name if marked else sentence.id) or f"{place}:{number}"
        size.add(len(sentence.text))
        parts.append(sentence.text)
    if parts:
        yield Document(name, source, "", "\n".join(parts))


def _without_text(place: str, line: int) -> EscadaError:
    fix = "give its text as written in a line `# text = …`, or add --skip-bad-rows"
    return EscadaError("a sentence without `# text`", where=f"{place}, line {line}", fix=fix)


def _read_word(line: str, sentence: Sentence) -> None:
    number, form, lemma, tag, _, features, head, relation, *_ = line.split("\t")
    if "-" in number:
        first, _, last = number.partition("-")
        sentence.spans.append((int(first), int(last), form))
    elif number.isdigit():
        place = int(number)
        governor = int(head) if head.isdigit() else 0
        sentence.words[place] = Word(place, form, lemma, tag, features, governor, relation)
