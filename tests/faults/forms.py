"""Files of every form that escada reads, made at random; and what a plain reading finds in them.

    make, plain = FORMS["a.csv"]
    data = damage(make(rng), rng)
    plain(data, "a.csv")                     # its documents; None: not a valid file

The plain readings are `json.loads`, `csv`, pyarrow and a few lines of string operations.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import json
import lzma
import os
import random
from collections import Counter
from collections.abc import Callable
from typing import TypeVar
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from escada.errors import EscadaError

ALPHABET = "aãçéÃÇ \t\r\u0085\u00a0\u2028\u2029\x0b\x0c\x1c\x00\"'\\,;|{}[]<END>#:1\ufeff😀\ud83d"
Rows = list[tuple[str, str, str]]
"""Id, group and text of each document."""


def a_text(rng: random.Random, *, newlines: bool = True, surrogates: bool = False) -> str:
    signs = ALPHABET + ("\n\n" if newlines else "")
    if not surrogates:
        signs = signs.replace("\ud83d", "")
    n = rng.choice([0, 1, 3, 10, 40])
    return "".join(rng.choice(signs) for _ in range(n))


def an_id(rng: random.Random) -> object:
    return rng.choice(
        [None, "", 0, 7, -1, 2.5, True, 10**20, "a", "a#2", "ação", "x\u2028y", {"a": 1}, [1]]
    )


# The plain readings, each from bytes; None: not a valid file.


def named(rows: list[dict[str, object]], numbers: list[int], place: str) -> Rows | None:
    """Documents of rows, with ids told apart as docs/corpus.md says."""
    found: Rows = []
    used: Counter[str] = Counter()
    taken: set[tuple[str, str]] = set()
    for row, number in zip(rows, numbers, strict=True):
        text = row.get("text")
        if not isinstance(text, str):
            return None

        def name(key: str, row: dict[str, object] = row) -> str:
            value = row.get(key)
            missing = value is None or value == "" or value != value
            return "" if missing else str(value).encode("utf-8", "replace").decode("utf-8")

        source = name("source") or place.split(".")[0]
        own = name("id") or f"{place}:{number}"
        used[f"{source}\0{own}"] += 1
        times, unique = used[f"{source}\0{own}"], own
        if times > 1:
            unique = f"{own}#{times}"
            while (source, unique) in taken:
                times += 1
                unique = f"{own}#{times}"
            used[f"{source}\0{own}"] = times
            used[f"{source}\0{unique}"] += 1
        taken.add((source, unique))
        found.append((unique, name("group") or unique, text))
    return found


def decoded(data: bytes) -> str | None:
    """The text of bytes, by their byte order mark or else as UTF-8."""
    marks = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32"}
    marks |= {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
    try:
        for mark, encoding in marks.items():
            if data.startswith(mark):
                return data.decode(encoding)
        return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError:
        return None


def plain_json_lines(data: bytes, place: str) -> Rows | None:
    text = decoded(data)
    if text is None:
        return None
    rows, numbers = [], []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                return None
            if not isinstance(row, dict):
                return None
            rows.append(row)
            numbers.append(number)
    return named(rows, numbers, place)


def plain_json_list(data: bytes, place: str) -> Rows | None:
    try:
        rows = json.loads(decoded(data) or "")
    except (ValueError, RecursionError):
        return None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return None
    return named(rows, list(range(1, len(rows) + 1)), place)


def plain_csv(delimiter: str) -> Callable[[bytes, str], Rows | None]:
    def read(data: bytes, place: str) -> Rows | None:
        text = decoded(data)
        if text is None:
            return None
        csv.field_size_limit(2**31 - 1)
        lines = io.StringIO(text, newline="\n")
        try:
            records = [r for r in csv.reader(lines, delimiter=delimiter, strict=True) if r]
        except csv.Error:
            return None
        if not records:
            return []
        names = [name.strip() for name in records[0]]
        full = [name for name in names if name]
        if "text" not in names or len(set(full)) < len(full):
            return None
        if any(len(record) != len(names) for record in records):
            return None
        rows = [dict(zip(names, record, strict=True)) for record in records[1:]]
        return named(rows, list(range(1, len(rows) + 1)), place)

    return read


def plain_parquet(data: bytes, place: str) -> Rows | None:
    try:
        with pq.ParquetFile(io.BytesIO(data)) as file:
            present = file.schema_arrow.names
            names = [name for name in present if name in ("text", "id", "group", "source")]
            if len(set(present)) < len(present):
                return None
            rows = file.read(columns=names).to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError, ValueError, KeyError, OverflowError):
        return None
    for row in rows:
        for key, value in row.items():
            if isinstance(value, bytes):
                try:
                    row[key] = value.decode("utf-8")
                except UnicodeDecodeError:
                    return None
    return named(rows, list(range(1, len(rows) + 1)), place)


def plain_text(data: bytes, place: str) -> Rows | None:
    text = decoded(data)
    if text is None:
        return None
    lines = [line.rstrip("\r\n") for line in text.split("\n")]
    blocks: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            blocks[-1].append(line)
        else:
            blocks.append([])
    blocks = [block for block in blocks if block]
    if len(blocks) == 1:
        blocks = [[line] for line in blocks[0]]
    rows: list[dict[str, object]] = [{"text": "\n".join(block)} for block in blocks]
    return named(rows, list(range(1, len(rows) + 1)), place)


def site(uri: str) -> str:
    """Who serves a web address, without `www.`; nothing where it is no address."""
    scheme, _, after = uri.partition("://") if "://" in uri else ("", "", uri)
    if scheme and not scheme.isalnum():
        return ""
    place = after.replace("/", "?").replace("#", "?").split("?")[0]
    if "[" in place or "]" in place:  # half an IPv6 address
        return ""
    return place.rpartition("@")[2].split(":")[0].lower().removeprefix("www.")


def attributes(mark: str) -> dict[str, str]:
    """`name="value"` pairs; a value ends at a quote before a space, a slash or the mark's end."""
    found, at = {}, 0
    while (equals := mark.find('="', at)) >= 0:
        name = equals
        while name > at and (mark[name - 1].isalnum() or mark[name - 1] == "_"):
            name -= 1
        end = equals + 2
        while end < len(mark) - 1 and not (
            mark[end] == '"' and (mark[end + 1] in "/>" or mark[end + 1].isspace())
        ):
            end += 1
        if name < equals and end < len(mark) - 1:
            found[mark[name:equals]] = mark[equals + 2 : end]
            at = end + 1
        else:
            at = equals + 1
    return found


def mark_of(line: str) -> tuple[str, bool] | None:
    """Name of a line of markup, and whether it closes; None: no markup."""
    bare = line.strip().removeprefix("# ")
    if len(bare) < 3 or not (bare[0] == "<" and bare[-1] == ">"):
        return None
    closes = bare[1] == "/"
    inside = bare[1 + closes : -1]
    name = inside
    for place, sign in enumerate(inside):
        if not (sign.isalnum() or sign == "_"):
            name = inside[:place]
            break
    single = name in ("p", "s", "g", "head", "div") and ">" not in inside
    return (name, closes) if single or name in ("doc", "text") else None


def plain_brwac(form: Callable[[str], str]) -> Callable[[bytes, str], Rows | None]:
    """BrWaC's releases: the marks cut a list of tokens, each with whether a space is before it."""

    def read(data: bytes, place: str) -> Rows | None:
        text = decoded(data)
        if text is None:
            return None
        documents: list[tuple[dict[str, str], list[list[tuple[str, str]]]]] = [({}, [[]])]
        space = " "
        for line in text.split("\n"):
            match mark_of(line.rstrip("\r\n")):
                case ("doc", _):
                    documents.append((attributes(line.strip().removeprefix("# ")), [[]]))
                    space = " "
                case ("p", _):
                    documents[-1][1].append([])
                    space = " "
                case ("g", False):
                    space = ""
                case None if token := form(line.rstrip("\r\n")):
                    documents[-1][1][-1].append((space, token))
                    space = " "
        rows: list[dict[str, object]] = []
        for known, paragraphs in documents:
            texts = ["".join(sum(p, ())).removeprefix(p[0][0]) for p in paragraphs if p]
            if texts:
                own = {"id": known.get("docid") or known.get("id"), "text": "\n".join(texts)}
                rows.append({**own, "group": site(known.get("uri", ""))})
        return named(rows, list(range(1, len(rows) + 1)), place)

    return read


def first_column(line: str) -> str:
    return line.partition("\t")[0].strip()


def second_column(line: str) -> str:
    number, *columns = line.split("\t")
    return columns[0] if columns and number.isdigit() else ""


def plain_treebank(data: bytes, place: str) -> Rows | None:
    """CoNLL-U: blocks of lines, of which each `# newdoc` begins a document."""
    text = decoded(data)
    if text is None:
        return None
    blocks: list[list[str]] = [[]]
    for line in text.split("\n"):
        line = line.rstrip("\r\n")
        blocks[-1].append(line) if line.strip() else blocks.append([])

    def last(block: list[str], mark: str) -> str | None:
        values = [line[len(mark) :].strip() for line in block if line.startswith(mark)]
        return values[-1] if values else None

    documents: list[tuple[str, list[str]]] = []
    in_one = False
    for block in blocks:
        begins, said = last(block, "# newdoc"), last(block, "# text = ")
        if not said and any(line[0].isdigit() for line in block):
            return None
        if begins is not None:
            in_one = True
            documents.append((begins.removeprefix("id = "), []))
        elif not in_one:
            documents.append((last(block, "# sent_id = ") or "", []))
        documents[-1][1].extend([said] if said else [])
    rows: list[dict[str, object]] = [
        {"id": name, "text": "\n".join(texts)} for name, texts in documents if texts
    ]
    return named(rows, list(range(1, len(rows) + 1)), place)


def plain_tei(data: bytes, place: str) -> Rows | None:
    """TEI: the outermost paragraphs of each body, else all of it; words apart by one space."""
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, LookupError, ValueError):
        return None

    def name(element: ElementTree.Element) -> str:
        return element.tag.rpartition("}")[2]

    def lines(element: ElementTree.Element) -> list[str]:
        if name(element) in ("p", "head", "l", "ab", "item"):
            return ["".join(element.itertext())]
        return [line for below in element for line in lines(below)]

    if name(root) not in ("TEI", "teiCorpus"):
        return None
    rows: list[dict[str, object]] = []
    for tei in (one for one in root.iter() if name(one) == "TEI"):
        body = next((one for one in tei.iter() if name(one) == "body"), None)
        found = [] if body is None else lines(body) or ["".join(body.itertext())]
        text = "\n".join(" ".join(line.split()) for line in found)
        own = tei.get("{http://www.w3.org/XML/1998/namespace}id") or tei.get("n")
        rows.append({"id": own, "text": text})
    return named(rows, list(range(1, len(rows) + 1)), place)


# The makers of valid files.


def make_json_lines(rng: random.Random) -> bytes:
    lines = []
    for _ in range(rng.randint(1, 6)):
        row = {"text": a_text(rng, surrogates=True), "id": an_id(rng), "n": rng.random()}
        if rng.random() < 0.3:
            row["group"] = an_id(rng)
        if rng.random() < 0.1:
            row["source"] = rng.choice(["x", "é[/b]", ""])
        lines.append(json.dumps(row, ensure_ascii=True))
        if rng.random() < 0.5:
            plain = {key: value for key, value in row.items() if key != "text"}
            plain["text"] = a_text(rng)
            lines.append(json.dumps(plain, ensure_ascii=False))
        if rng.random() < 0.2:
            lines.append(rng.choice(["", "  ", "\u2028"]))
    return rng.choice(["", "\ufeff"]).encode() + rng.choice(["\n", "\r\n"]).join(lines).encode()


def make_json_list(rng: random.Random) -> bytes:
    rows = [{"text": a_text(rng), "id": an_id(rng)} for _ in range(rng.randint(0, 5))]
    return json.dumps(rows, ensure_ascii=False, indent=rng.choice([None, 2])).encode()


def make_csv(delimiter: str) -> Callable[[random.Random], bytes]:
    def make(rng: random.Random) -> bytes:
        file = io.StringIO()
        end = rng.choice(["\n", "\r\n"])
        writer = csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
        writer.writerow(["id", "text", "x"])
        for _ in range(rng.randint(0, 5)):
            writer.writerow([rng.choice(["", "1", "2", "é"]), a_text(rng), a_text(rng)])
        return rng.choice(["", "\ufeff"]).encode() + file.getvalue().encode()

    return make


def make_parquet(rng: random.Random) -> bytes:
    n = rng.randint(0, 5)
    texts = pa.array([a_text(rng) for _ in range(n)], pa.string())
    kinds = [pa.string(), pa.large_string(), pa.binary(), pa.string_view()]
    columns = {"text": texts.cast(rng.choice(kinds))}
    if rng.random() < 0.3:
        columns["text"] = texts.dictionary_encode()
    if rng.random() < 0.5:
        columns["id"] = pa.array([rng.choice([None, 1, 2, 3]) for _ in range(n)], pa.int64())
    if rng.random() < 0.5:
        columns["group"] = pa.array([rng.choice([None, 0.5, float("nan")]) for _ in range(n)])
    if rng.random() < 0.3:
        columns["outra"] = pa.array([{"a": [i]} for i in range(n)])
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, compression=rng.choice(["none", "snappy", "zstd"]))
    return file.getvalue()


def make_text(rng: random.Random) -> bytes:
    return "\n".join(a_text(rng) for _ in range(rng.randint(0, 6))).encode()


URIS = [
    "http://www.a.br/x",
    "https://Eu:senha@b.org:80?q",
    "c.net#d",
    "",
    "www.é.br",
    "//[::",
    "[x://a",
]


def make_doc(rng: random.Random) -> str:
    values = {"docid": rng.choice("ab1"), "uri": rng.choice(URIS), "title": a_text(rng)}
    values["id"] = rng.choice(["", "i", 'diz "sim"'])
    names = rng.sample(sorted(values), rng.randint(0, 4))
    inside = "".join(f' {name}="{values[name]}"' for name in names)
    return f"{rng.choice(['', '# '])}<doc{inside}>".replace("\n", " ")


def make_vert(rng: random.Random) -> bytes:
    marks = ["</doc>", "<p>", "</p>", "<s>", "<g/>", "<g/>", "<doc", "<text id='a'>", "<p>x", "<b>"]
    lines: list[str] = []
    for _ in range(rng.randint(0, 30)):
        kinds = [rng.choice(marks), make_doc(rng), "casa", " da\tDET", a_text(rng, newlines=False)]
        lines.append(rng.choice(kinds))
    return rng.choice(["\n", "\r\n"]).join(lines).encode()


def make_conll(rng: random.Random) -> bytes:
    marks = ["# <p>", "# </doc>", "<g/>", "# sent_id = s", "", "1-2\tda\t_"]
    words = ["1\tUm\tum\tDET\t_\t_\t0\troot\t_\t_", "x\t", "1", "9" * 30 + "-\ta", "2\t.\tp"]
    lines = [
        rng.choice([rng.choice(marks), make_doc(rng), rng.choice(words), a_text(rng)])
        for _ in range(rng.randint(0, 30))
    ]
    return "\n".join(lines).encode()


def make_treebank(rng: random.Random) -> bytes:
    lines: list[str] = []
    for _ in range(rng.randint(0, 8)):
        if rng.random() < 0.3:
            mark = rng.choice(["# newdoc", "# newdoc id = d", "# newdoc id = d"])
            lines += [mark, *rng.choice([[], [""]])]  # the mark may have a block of its own
        said = a_text(rng, newlines=False) if rng.random() < 0.5 else "Um ."
        comments = [f"# sent_id = {rng.choice('ab')}"] * rng.choice([0, 1, 1])
        comments += [f"# text = {said}"] * (rng.random() < 0.95)
        rng.shuffle(comments)
        words = ["1\tUm\tum\tDET\t_\t_\t0\troot\t_\t_", "1.1\tvazio", "2-3\tda"]
        lines += [*comments, *rng.sample(words, rng.randint(0, 3)), rng.choice(["", " ", "\t"])]
    return rng.choice(["\n", "\r\n"]).join(lines).encode()


def make_tei(rng: random.Random) -> bytes:
    def a_line() -> str:
        tag = rng.choice(["p", "head", "l", "item", "hi", "list"])
        inside = escape("".join(c for c in a_text(rng) if c not in "\0\x0b\x0c\x1c"))
        return f"<{tag}>{inside}{a_line() if rng.random() < 0.2 else ''}</{tag}>"

    documents: list[str] = []
    for _ in range(rng.randint(0, 3)):
        mark = rng.choice(["", ' xml:id="a"', ' n="b"', ' n=""'])
        body = "".join(a_line() for _ in range(rng.randint(0, 4)))
        documents.append(f"<TEI{mark}><teiHeader><p>x</p></teiHeader><body>{body}</body></TEI>")
    encoding = rng.choice(["UTF-8", "UTF-8", "utf-8", "latin-1", "shift_jis", "utf-7", "x"])
    head = rng.choice(["", f'<?xml version="1.0" encoding="{encoding}"?>'])
    return f"{head}<teiCorpus>{''.join(documents)}</teiCorpus>".encode()


FORMS: dict[str, tuple[Callable[[random.Random], bytes], Callable[[bytes, str], Rows | None]]] = {
    "a.jsonl": (make_json_lines, plain_json_lines),
    "a.json": (make_json_list, plain_json_list),
    "a.csv": (make_csv(","), plain_csv(",")),
    "b.csv": (make_csv(";"), plain_csv(";")),
    "a.tsv": (make_csv("\t"), plain_csv("\t")),
    "a.parquet": (make_parquet, plain_parquet),
    "a.txt": (make_text, plain_text),
    "a.md": (make_text, plain_text),
    "a.vert": (make_vert, plain_brwac(first_column)),
    "a.conll": (make_conll, plain_brwac(second_column)),
    "a.conllu": (make_treebank, plain_treebank),
    "a.xml": (make_tei, plain_tei),
}
PACK = {
    ".gz": gzip.compress,
    ".xz": lambda data: lzma.compress(data, preset=0),
    ".bz2": bz2.compress,
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,  # as the program does
}


def damage(data: bytes, rng: random.Random) -> bytes:
    """A few bytes flipped, cut off, doubled, removed or written over."""
    out = bytearray(data)
    for _ in range(rng.choice([0, 1, 1, 2, 5])):
        at = rng.randrange(len(out) + 1)
        match rng.randrange(6):
            case 0 if out:
                out[min(at, len(out) - 1)] ^= 1 << rng.randrange(8)
            case 1:
                del out[at:]
            case 2:
                del out[at : at + rng.randint(1, 8)]
            case 3:
                out[at:at] = rng.choice(
                    [b"\n", b'"', b"\xe7\xe3", b"\0", b"{", b"\xff\xfe", b"[", b","]
                )
            case 4:
                out[at:at] = out[at : at + 20]
            case _:
                out[at : at + 4] = rng.randbytes(4)
    return bytes(out)


INPUTS = int(os.environ.get("ESCADA_FUZZ_INPUTS", "2000"))
T = TypeVar("T")


def told(read: Callable[[], T]) -> tuple[T | None, str]:
    """What is read, or the one line of an `EscadaError`; every other exception gets through."""
    try:
        return read(), ""
    except EscadaError as error:
        message = str(error)
    assert "\n" not in message
    message.encode("utf-8")
    return None, message
