"""`escada tokenizer`: train one, look at what it does to a text, measure it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from escada import choices
from escada.cli.shared import completion, options
from escada.errors import EscadaError
from escada.files import new_directory
from escada.terminal import echo, echo_json, echo_text

if TYPE_CHECKING:
    from escada.text.tokenizers import Tokenizer

app = typer.Typer(help="Train, use and measure tokenizers.", no_args_is_help=True)

Profile = Annotated[
    choices.Profile | None,
    typer.Option(help="Clean the text first, as this profile does."),
]


@app.command()
def train(
    out: Annotated[Path, typer.Option("--out", help="The tokenizer's new folder.")],
    data: options.Data = None,
    kind: Annotated[
        str,
        typer.Option(
            help="characters, bytes, bpe or unigram, or a module on the path.",
            autocompletion=completion.among("characters", "bytes", "bpe", "unigram"),
        ),
    ] = "bpe",
    vocab_size: Annotated[
        int | None,
        typer.Option(help="Size of bpe and unigram; without it, 4096.", min=260, max=65_536),
    ] = None,
    min_count: Annotated[
        int, typer.Option(help="characters: one seen fewer times becomes UNK.", min=1)
    ] = 3,
    profile: options.CorpusProfile = "reference",
) -> None:
    """Train a tokenizer on the training split of a corpus."""
    from escada.api import open_corpus
    from escada.extensions import trust
    from escada.spec import TOKENIZERS, TokenizerSpec
    from escada.text.tokenizers import train_tokenizer

    trust(kind)
    TOKENIZERS.load(kind)
    subwords = kind in ("bpe", "unigram")
    if vocab_size is not None and kind in ("characters", "bytes"):
        raise EscadaError(f"--vocab-size has no meaning for {kind!r}", fix="leave it out")
    spec = TokenizerSpec.model_validate(
        {
            "kind": kind,
            "vocab_size": vocab_size or (4096 if subwords else None),
            "min_count": min_count,
        }
    )
    corpus = open_corpus(data, profile)
    with new_directory(out) as temporary:
        tokenizer = train_tokenizer(spec, (d.text for d in corpus.documents("train")))
        tokenizer.save(temporary)
    echo(f"{tokenizer.kind}, {tokenizer.vocab_size} ids: {out}")


@app.command()
def encode(
    tokenizer: options.TokenizerFolder,
    text: Annotated[str | None, typer.Argument(help="Text; without it, standard input.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="A UTF-8 file.")] = None,
    pieces: Annotated[bool, typer.Option("--pieces", help="Print pieces, not ids.")] = False,
    profile: Profile = None,
    trust_code: options.TrustCode = False,
) -> None:
    """Print the ids of a text on one line; of --pieces, one a line."""
    if text is not None and file is not None:
        raise EscadaError("both a text and a file", where="--file", fix="give one of them")
    used = _open(tokenizer)
    given = _read(text, file)
    if profile is not None:
        from escada.text.cleaning import clean

        given = clean(given, profile)
    ids = used.encode(given).tolist()
    if pieces:
        for token in ids:
            echo_text(f"{token}\t{used.token_text(token)!r}")
    else:
        echo(" ".join(map(str, ids)))


@app.command()
def decode(
    tokenizer: options.TokenizerFolder,
    ids: Annotated[list[str] | None, typer.Argument(help="Ids; without them, stdin.")] = None,
    trust_code: options.TrustCode = False,
) -> None:
    """Print the text of some ids."""
    used = _open(tokenizer)
    given = ids or sys.stdin.read().split()
    try:
        numbers = [int(word) for word in " ".join(given).replace(",", " ").split()]
    except ValueError as error:
        raise EscadaError(
            f"ids are whole numbers: {error}", fix="write for example 17 4 210"
        ) from error
    if outside := [n for n in numbers if not 0 <= n < used.vocab_size]:
        raise EscadaError(
            f"id {outside[0]} is outside the vocabulary of {used.vocab_size}",
            where=tokenizer,
            fix=f"ids go from 0 to {used.vocab_size - 1}",
        )
    echo_text(used.decode(numbers))


@app.command()
def stats(
    tokenizer: options.TokenizerFolder,
    data: options.Data = None,
    split: options.Split = "train",
    profile: options.CorpusProfile = "reference",
    json: options.Json = False,
    trust_code: options.TrustCode = False,
) -> None:
    """Measure a tokenizer on a split of a corpus."""
    from escada.api import open_corpus
    from escada.text.tokenizers.statistics import tokenizer_statistics

    used = _open(tokenizer)
    corpus = open_corpus(data, profile)
    found = tokenizer_statistics(used, (d.text for d in corpus.documents(split)))
    row: dict[str, object] = {
        "tokenizer": {"kind": used.kind, "vocab_size": used.vocab_size, "hash": used.hash},
        "split": split,
        "corpus_hash": corpus.hash,
        **asdict(found),
    }
    if json:
        echo_json({"schema_version": 1, **row})
        return
    echo(f"{used.kind}, {used.vocab_size} ids, on the {split} split of {corpus.path}")
    for name, value in asdict(found).items():
        shown = f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
        echo(f"  {name.replace('_', ' '):<22}{shown:>14}")


def _open(folder: Path) -> Tokenizer:
    """The tokenizer in a folder, or in the run's folder that it is."""
    from escada.runs.run import open_tokenizer
    from escada.text.tokenizers import METADATA

    inside = folder / "tokenizer"
    if not (folder / METADATA).exists() and (inside / METADATA).exists():
        folder = inside
    return open_tokenizer(folder)


def _read(text: str | None, file: Path | None) -> str:
    """The user's text, which must be Unicode."""
    try:
        if file is not None:
            from escada.text.sources.streams import whole_text

            return whole_text(file)
        given = sys.stdin.buffer.read().decode("utf-8") if text is None else text
        given.encode("utf-8")  # an argument that is not UTF-8 arrives with surrogates
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise EscadaError(
            "the text is not UTF-8",
            where="standard input" if text is None else "the argument",
            fix=f"convert it first ({error.reason} at {error.start})",
        ) from error
    return given
