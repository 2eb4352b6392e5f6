"""Sentences of a CoNLL-U file, with as much of their annotation as somebody asks for.

Ten columns separated by tabs, a blank line after each sentence; https://universaldependencies.org
describes them. `# text` and `# sent_id` come in either order. Empty nodes ("8.1") are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from escada.errors import EscadaError
from escada.text.documents import Document


@dataclass(frozen=True, slots=True)
class Word:
    """A syntactic word.

    Attributes:
        number: its place in the sentence, from 1.
        form: as written, or as it would be written outside a contraction.
        lemma: its dictionary form.
        tag: universal part of speech.
        features: as in the file, `Gender=Fem|Number=Sing`, or `_`.
        head: the number of the word that it depends on; 0 for a root and where none is given.
        relation: to its head, or `_`.
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
    """What stands between two blank lines.

    Attributes:
        id: `# sent_id`.
        text: `# text`.
        words: by their number; empty unless they were asked for.
        spans: tokens of several words ("da"): first word, last word, form.
        begins: `# newdoc`: the document that begins here; None: the one before goes on.
        line: the number of its first line.
        annotated: whether a line of it is a word's.
    """

    id: str = ""
    text: str = ""
    words: dict[int, Word] = field(default_factory=dict[int, Word])
    spans: list[tuple[int, int, str]] = field(default_factory=list[tuple[int, int, str]])
    begins: str | None = None
    line: int = 1
    annotated: bool = False

    def tokens(self) -> list[tuple[str, list[Word]]]:
        """What is written as one, with its words: `("da", [de, a])`, `("casa", [casa])`."""
        tokens = {number: (word.form, [word]) for number, word in self.words.items()}
        for first, last, form in self.spans:
            numbers = range(first, last + 1)
            words = [self.words[number] for number in numbers if number in self.words]
            for number in numbers:
                tokens.pop(number, None)
            tokens[first] = (form, words)
        return [tokens[number] for number in sorted(tokens)]


def read_sentences(lines: Iterable[str], *, with_words: bool = True) -> Iterator[Sentence]:
    """The sentences that have a text and an identifier.

    Args:
        lines: of the file.
        with_words: whether to read the words, which takes most of the time.
    """
    return (part for part in _blocks(lines, with_words) if part.id and part.text)


def _blocks(lines: Iterable[str], with_words: bool) -> Iterator[Sentence]:
    """What stands between blank lines, whatever it lacks."""
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
    """The texts of a treebank, a sentence a line.

    A document is what `# newdoc` begins, also where the mark has a block of its own; without such
    marks, a sentence.

    Args:
        lines: of the file.
        place: of the file, for the ids of documents without one.
        source: that the documents are said to come from.
        on_bad_sentence: told of words without their `# text`; where it returns, they are left out.
    """
    parts: list[str] = []
    name, number, marked = "", 0, False
    for sentence in _blocks(lines, with_words=False):
        if sentence.begins is not None:
            if parts:
                yield Document(name, source, "", "\n".join(parts))
            parts, marked, name = [], True, sentence.begins
        if not sentence.text:
            if sentence.annotated:
                on_bad_sentence(_without_text(place, sentence.line))
            continue
        if parts and not marked:
            yield Document(name, source, "", "\n".join(parts))
            parts = []
        if not parts:
            number += 1
            name = (name if marked else sentence.id) or f"{place}:{number}"
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
