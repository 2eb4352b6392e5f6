"""One normaliser for the corpus, the tokenizer's training, the prompts and the evaluation.

A profile is a named, idempotent map from text to text: clean(clean(x)) = clean(x). The output of
`reference` is the reference text of a document, and its UTF-8 bytes are the denominator of bits per
byte.

`reference` repairs encoding damage and keeps what was written: mojibake (UTF-8 read as Latin-1 and
the like) is undone line by line, text is normalised to NFC, control and invisible characters are
removed, blanks become single spaces, three or more newlines become two. Case, digits, accents,
quotes, ligatures, character width and newlines stay, as does a literal U+2581, SentencePiece's
space marker.

`roadmap` reproduces the preprocessing of the roadmap's scripts: NFKC, no addresses, only letters,
digits and a list of signs, lower case, each number replaced by 0 (the scripts kept one-digit
numbers; the roadmap says that digits become 0). Lines are dropped when they are shorter than 40
characters, have few letters, or are short and all capitals. Its figures are not comparable with
those of `reference`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from itertools import pairwise

import ftfy
from ftfy.badness import is_bad
from wordfreq import zipf_frequency

from escada.choices import PROFILES
from escada.errors import EscadaError, nearest

_MAX_ROUNDS = 64
"""A guard against bugs; five layers of mojibake take six rounds."""

_MOJIBAKE = ftfy.TextFixerConfig(
    unescape_html=False,
    remove_terminal_escapes=False,
    fix_latin_ligatures=False,
    fix_character_width=False,
    uncurl_quotes=False,
    fix_line_breaks=False,
    remove_control_chars=False,
    normalization=None,
    explain=False,
)

_LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\u2028\u2029]")
_SPACES = "\t\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\u2800"
"""Tab, every Unicode space but U+0020, and the empty Braille cell."""
_C1 = re.compile("[\x80-\x9f]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_INVISIBLE = (
    "\x00-\x08\x0e-\x1f\x7f-\x9f"  # controls, except tab and line ends
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\ufdd0-\ufdef\ufffe\uffff"  # noncharacters
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_ODD = re.compile(f"[{_SPACES}]+|[{_INVISIBLE}]+")
"""All that `reference` turns into a space or removes; most text has none of it."""
_BEYOND_ASCII_PAIR = re.compile("[\x80-\u266f\uf8ff\ufb01\ufb02\ufffd]{2}")
_SIGN = "".join(
    sign
    for sign in bytes(range(0x80, 0xC0)).decode("windows-1252", errors="ignore")
    if sign in "ªºµˆ" or not sign.isalpha()
)
"""The UTF-8 continuation bytes as read in Windows-1252, without letters."""
_LETTER = "A-Za-zÀ-ÖØ-öø-ÿ"
_WORD_AND_SIGN = re.compile(
    f"(?<![{_LETTER}])([{_LETTER}]*[À-ÖØ-öø-ÿ])"
    f"(?=[{_SIGN}](?![{_LETTER}])|(?<![ÂÃ])[{_SIGN}]|\u00a0|[–—…·][A-ZÀ-ÖØ-Þ])"
)
"""A word that ends in an accented letter, before a sign. Broken UTF-8 in Portuguese shows an Â or Ã
and another letter after it; there a sign does not end a word, unless it is a dash."""
_SURE_GAIN = 2.9
"""In log10 frequency: "à" is 3.0 more frequent than "ã", "só" 2.8 more than "sã"."""
_SPACE_RUN = re.compile("  +")
_SPACED_NEWLINE = re.compile(" *\n *")
_UNTIDY_LINES = re.compile("\n(?: |\n\n)| \n")
_NEWLINE_RUN = re.compile("\n{3,}")


def _windows_1252(match: re.Match[str]) -> str:
    """A C1 control is a Windows-1252 sign read as Latin-1; five of them are undefined."""
    return match[0].encode("latin-1").decode("windows-1252", errors="ignore")


def _join_surrogates(text: str) -> str:
    """Join surrogate pairs; a lone surrogate, which UTF-8 cannot encode, becomes U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _may_be_mojibake(text: str) -> bool:
    """A quick test without false negatives; ftfy's own, thirty times slower, decides.

    Each byte of a UTF-8 sequence reads as a non-ASCII sign, so two stand together, unless the
    second was a no-break space that became a space. Common Portuguese pairs are excluded.
    """
    if text.isascii():
        return False
    if "Ã " in text or "Â " in text:
        return True
    for own in ("çã", "çõ", "ÇÃ", "ÇÕ"):
        text = text.replace(own, "")
    return _BEYOND_ASCII_PAIR.search(text) is not None


def _repair_mojibake(text: str) -> str:
    if not _may_be_mojibake(text):
        return text
    return "\n".join(map(_repair_line, text.split("\n")))


def _repair_line(line: str) -> str:
    """Undo mojibake, but keep what may be intended: "CAMPEÃ”" is not a broken "CAMPEÔ".

    Ambiguous words and signs stay, unless the whole line reads as UTF-8 and another part of it is
    clearly broken.
    """
    if not _is_suspicious(line):
        return line
    cuts = [match.end() for match in _WORD_AND_SIGN.finditer(line) if _is_as_written(match)]
    if not cuts:
        return ftfy.fix_encoding(line, _MOJIBAKE)
    parts = [line[a:b] for a, b in pairwise([0, *cuts, len(line)])]
    repaired = "".join(
        ftfy.fix_encoding(part, _MOJIBAKE) if _is_suspicious(part) else part for part in parts
    )
    if repaired != line and _is_utf8_throughout(line):
        return ftfy.fix_encoding(line, _MOJIBAKE)
    return repaired


def _is_suspicious(line: str) -> bool:
    return _may_be_mojibake(line) and is_bad(line)


def _is_as_written(match: re.Match[str]) -> bool:
    """Whether a word and the sign after it may be intended.

    Not if the word ends in an unexpected capital ("nÃ£o"), nor if decoding the two makes a far more
    frequent word ("JÃ¡": "já").
    """
    word, end = match[1], match.end()
    if not (word.isupper() or word[-1].islower()):
        return False
    signs = match.string[end : end + (1 if word.isupper() else 2)]
    decoded = _decoded(word[-1] + signs.replace(" ", "\u00a0"))
    if decoded is None:
        return word.isupper()
    if len(word) > 2 and word.isupper() and decoded.islower():
        return True  # "IRMÃ®" is not "IRMî"
    frequency = zipf_frequency(word.lower(), "pt")
    if not decoded.isalpha():  # "10Â°" and "â€”" are broken, but "IRMÃ—" is not "IRM×"
        return word[-1] not in "ÂÃâï" or (word.isupper() and len(word) > 1 and frequency > 0)
    return zipf_frequency((word[:-1] + decoded).lower(), "pt") - frequency < _SURE_GAIN


def _decoded(sequence: str) -> str | None:
    """The character whose UTF-8 bytes read as `sequence` in Windows-1252, if there is one."""
    try:
        return sequence.encode("sloppy-windows-1252").decode("utf-8")
    except UnicodeError:
        return None


def _is_utf8_throughout(line: str) -> bool:
    """Whether the whole line is UTF-8 that was read as Latin-1 or Windows-1252."""
    for encoding in ("latin-1", "sloppy-windows-1252"):
        try:
            line.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
        return True
    return False


def _is_plain(text: str) -> bool:
    """Latin-1 without controls, odd spaces or invisible signs: a fast path for most Portuguese."""
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return text.replace("\n", "").isprintable()


def _reference(text: str) -> str:
    """One round of `reference`."""
    if not (plain := _is_plain(text)) and _SURROGATES.search(text):
        text = _join_surrogates(text)
    text = _repair_mojibake(text)
    if not plain:
        text = _C1.sub(_windows_1252, text)
        text = _LINE_ENDS.sub("\n", text)
        text = _ODD.sub(lambda match: " " if match[0][0] in _BLANKS else "", text)
    text = unicodedata.normalize("NFC", text)
    if "  " in text:
        text = _SPACE_RUN.sub(" ", text)
    if "\n" in text and _UNTIDY_LINES.search(text):
        text = _NEWLINE_RUN.sub("\n\n", _SPACED_NEWLINE.sub("\n", text))
    return text.strip(" \n")


_BLANKS = frozenset(
    chr(code) for code in range(0x3001) if unicodedata.category(chr(code)) == "Zs" or code == 9
) | {"\u2800"}

# The rest belongs to `roadmap` alone.

_ADDRESS = re.compile(r"https?://\S+|\S+@\S+", re.IGNORECASE)
_NUMBER = re.compile(r"\d+")
_LETTERS = re.compile(r"[^\W\d_]+")
_SIGNS = re.escape(",.;:!?\"'()[]{}-–—_/\\%&*+=@#$°ºª|«»`´’‘“”~^…·•<>€")
_NEITHER_WORD_NOR_SIGN = re.compile(rf"[^\w\n{_SIGNS}]+")
MIN_LINE_CHARACTERS = 40
"""`roadmap` drops shorter lines."""
MIN_LETTER_SHARE = 0.4
"""`roadmap` drops lines with a smaller share of letters."""
MAX_CAPITAL_LINE_CHARACTERS = 80
"""`roadmap` drops shorter lines without any lower case (headings and menus)."""


def _roadmap_line(line: str, *, keep_all: bool) -> str | None:
    line = " ".join(line.split())
    lower = line.lower()
    if keep_all:
        return lower
    if len(lower) < MIN_LINE_CHARACTERS:
        return None
    if sum(map(len, _LETTERS.findall(lower))) < MIN_LETTER_SHARE * len(lower):
        return None
    if line.isupper() and len(line) < MAX_CAPITAL_LINE_CHARACTERS:
        return None
    return lower


def _roadmap(text: str, *, keep_all: bool = False) -> str:
    """One round of `roadmap`."""
    if _SURROGATES.search(text):
        text = _join_surrogates(text)
    text = unicodedata.normalize("NFKC", _LINE_ENDS.sub("\n", text))
    text = re.sub("[\ufeff\u200b]", "", text)
    if "@" in text or "://" in text:
        text = _ADDRESS.sub(" ", text)
    text = _NUMBER.sub("0", _NEITHER_WORD_NOR_SIGN.sub(" ", text))
    lines = (_roadmap_line(line, keep_all=keep_all) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def _settle(text: str, step: Callable[[str], str]) -> str:
    """Repeat `step` to a fixpoint, which makes a profile idempotent."""
    for _ in range(_MAX_ROUNDS):
        after = step(text)
        if after == text:
            return text
        text = after
    raise AssertionError(f"cleaning does not settle: {text[:80]!r}")


def check_profile(profile: str) -> None:
    """Raise `EscadaError` for an unknown profile; it names the nearest known one."""
    if profile not in PROFILES:
        raise EscadaError(f"unknown profile {profile!r}", fix=nearest(profile, PROFILES))


def clean(text: str, profile: str) -> str:
    """Clean text with a profile; the result always encodes as UTF-8.

    Args:
        text: any string, lone surrogates included.

    Raises:
        EscadaError: unknown profile.
    """
    check_profile(profile)
    return _settle(text, _reference if profile == "reference" else _roadmap)


def clean_prompt(text: str, profile: str) -> str:
    """Clean a prompt: like `clean`, with the same errors, but no line is dropped."""
    check_profile(profile)
    if profile == "reference":
        return clean(text, profile)
    return _settle(text, lambda part: _roadmap(part, keep_all=True))
