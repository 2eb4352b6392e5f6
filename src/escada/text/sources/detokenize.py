"""Restores a treebank's sentence to the text as it was written.

Two of the four treebanks in the default corpus expand contractions ("de a Justiça", "em o ano"),
lose the hyphen of a clitic ("manter se filiado"), and put spaces around punctuation ( " assim " ).
Each function undoes one of these. Only the contractions that Portuguese requires are restored; of
the optional ones ("num", "dum") the original form is unknown.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from itertools import product

_ARTICLES = ("o", "a", "os", "as")
_DEMONSTRATIVES = (
    *(s + ending for s, ending in product(("est", "ess", "aquel"), ("e", "a", "es", "as"))),
    *("isto", "isso", "aquilo"),
)
_PRONOUNS = ("ele", "ela", "eles", "elas")


def _contractions() -> dict[tuple[str, str], str]:
    table: dict[tuple[str, str], str] = {}
    for word in _ARTICLES + _DEMONSTRATIVES + _PRONOUNS:
        table["de", word] = "d" + word
        table["em", word] = "n" + word
    for article in _ARTICLES:
        table["por", article] = "pel" + article
    table |= {("a", "o"): "ao", ("a", "os"): "aos", ("a", "a"): "à", ("a", "as"): "às"}
    for word in _DEMONSTRATIVES:
        if word.startswith("aquel") or word == "aquilo":
            table["a", word] = "à" + word[1:]
    return table | {
        ("de", "aqui"): "daqui",
        ("de", "ali"): "dali",
        ("de", "aí"): "daí",
        ("de", "entre"): "dentre",
        ("a", "onde"): "aonde",
        ("com", "mim"): "comigo",
        ("com", "si"): "consigo",
    }


CONTRACTIONS = _contractions()
"""(preposition, next word) → contraction, in lower case."""

_FOLLOWERS = "|".join(sorted({word for _, word in CONTRACTIONS}, key=len, reverse=True))
_EXPANDED = re.compile(rf"\b(de|em|por|a|com) +({_FOLLOWERS})\b(?!-)", re.IGNORECASE)


def _contract(match: re.Match[str]) -> str:
    before, preposition, word = match.string[: match.start()], match[1], match[2]
    joined = CONTRACTIONS.get((preposition.lower(), word.lower()))
    if joined is None or before.endswith(("-", "'", "’")):
        return match[0]
    if preposition.isupper() and word.isupper() and len(preposition + word) > 2:
        return joined.upper()
    return joined.capitalize() if preposition[0].isupper() else joined


def rejoin_contractions(text: str) -> str:
    """`de a Justiça` → `da Justiça`, `Em o entanto` → `No entanto`, `a as 10h` → `às 10h`."""
    return _EXPANDED.sub(_contract, text)


# Punctuation. A word is what stands between two spaces.

_CLOSING = re.compile(r"[,.;:!?…)\]}%°º]+")
_OPENING = frozenset("([{")
_QUOTES = frozenset("\"'")


def _quote_opens(words: Sequence[str], i: int, *, inside: bool) -> bool:
    """Whether the quotation mark at `i` opens: by its neighbours, else alternating."""
    if i == 0:
        return True
    if i == len(words) - 1 or _CLOSING.fullmatch(words[i + 1]):
        return False
    if words[i - 1][-1] in _OPENING or words[i - 1] == ":":
        return True
    return not inside


def rejoin_signs(text: str) -> str:
    """`" Sim " , disse ( ele ) .` → `"Sim", disse (ele).`; spaced dashes keep their spaces."""
    words = text.split()
    out = ""
    glue = True  # no space before the next word
    inside = dict.fromkeys(_QUOTES, False)
    for i, word in enumerate(words):
        opens = word in _OPENING
        closes = _CLOSING.fullmatch(word) is not None
        if word in _QUOTES:
            opens = _quote_opens(words, i, inside=inside[word])
            closes = not opens
            inside[word] = opens
        else:
            for quote in _QUOTES:
                if quote != "'" and word.count(quote) % 2:
                    inside[quote] = not inside[quote]
        out += word if glue or closes else " " + word
        glue = opens
    return out


# Clitics, which need parts of speech.

_CLITICS = frozenset({"se", "me", "te", "nos", "vos", "lhe", "lhes"})
_ACCUSATIVES = frozenset({"lo", "la", "los", "las"})
_ARTICLE_LIKE = frozenset(_ARTICLES)
_BEFORE_ACCUSATIVE = {"ar": "á", "er": "ê", "ir": "i", "or": "ô"}
"""Ending of an infinitive before `lo`; most treebank forms have it already."""

Token = tuple[str, str, str]
"""Form, universal part of speech, features."""


def _takes_hyphen(tokens: Sequence[Token], i: int) -> bool:
    """Whether the pronoun at `i` was hyphenated to the verb before; not in `vai se tornar`."""
    (_, verb_tag, verb), (form, tag, features) = tokens[i - 1], tokens[i]
    form = form.lower()
    if tag != "PRON" or verb_tag not in ("VERB", "AUX"):
        return False
    if form in _ACCUSATIVES:
        return True
    if form in _ARTICLE_LIKE:
        return "Case=Acc" in features
    if form not in _CLITICS:
        return False
    after = tokens[i + 1] if i + 1 < len(tokens) else ("", "", "")
    starts = i == 1 or tokens[i - 2][1] == "PUNCT"
    if after[1] not in ("VERB", "AUX") or starts:
        return True
    return verb_tag == "VERB" and "VerbForm=Inf" in verb and "VerbForm=Part" in after[2]


def rejoin_clitics(text: str, tokens: Sequence[Token]) -> str:
    """`Trata se de provocá lo` → `Trata-se de provocá-lo`.

    `tokens` has one entry per space-separated word of `text`; if not, the text is unchanged.
    """
    words = text.split()
    if len(words) != len(tokens):
        return text
    out = words[:1]
    for i in range(1, len(words)):
        if not _takes_hyphen(tokens, i):
            out.append(words[i])
            continue
        verb = out[-1]
        if words[i].lower() in _ACCUSATIVES and verb[-2:] in _BEFORE_ACCUSATIVE:
            verb = verb[:-2] + _BEFORE_ACCUSATIVE[verb[-2:]]
        out[-1] = f"{verb}-{words[i]}"
    return " ".join(out)


# Theses and tweets.

_SYMBOL_FONT = str.maketrans(
    {"\uf0b7": "•", "\uf0fc": "✓", "\uf06c": "λ", "\uf066": "ø", "\uf06d": "μ"}
)
"""Private-use code points of two symbol fonts in petrogold."""
_DOUBLED_STOP = re.compile(r" ?\. \.$")
_FUSED_TAGS = re.compile(r"(?<=\w)(?=#\w)")
_PARTED_SIGN = re.compile(r"(?<!\S)([+-]) (?=\d[\d.,]* ?%)")
_LOST_EMOJI = re.compile(r"(?<![\w?!)”\"])\?{2,}|(?<=[!)”\"])\?{4,}|\?{2,}(?=[^\W\d_])")
_ADDRESS = re.compile(
    r"(?:https?://|www\.|pic\.twitter\.com/|\bt\.co/)\S*"
    r"|\bh(?:t(?:t(?:ps?(?::/{0,2}\S*)?)?)?)?…"  # truncated by a retweet
)


def remove_addresses(text: str) -> str:
    """Remove web addresses, including those truncated by a retweet."""
    return " ".join(_ADDRESS.sub(" ", text).split())


def remove_lost_emoji(text: str) -> str:
    """Remove the question marks that an export put in place of emoji.

    Two or more stay right after a word, where they may be intended.
    """
    return " ".join(_LOST_EMOJI.sub(" ", text).split())


def is_spaced_out(text: str) -> bool:
    """Whether most punctuation is separated from the word before it."""
    apart = re.findall(r"(?:^|\s)[,.:;](?=\s|$)", text)
    attached = re.findall(r"\w[,.:;](?=\s|$)", text)
    return len(apart) > len(attached)


def restore_news(text: str, tokens: Sequence[Token], *, expanded: bool) -> str:
    """Restore a sentence of porttinari, which separates all punctuation and clitics.

    Args:
        tokens: one per space-separated word of `text`.
        expanded: whether contractions are expanded. They are in sentences without multiword
            tokens; in the others "de o" is intended ("o fato de o juiz ter").
    """
    text = rejoin_clitics(text, tokens)
    return rejoin_signs(rejoin_contractions(text) if expanded else text)


def restore_thesis(text: str) -> str:
    """Restore a sentence of petrogold: some are tokenised, some signs are of a symbol font."""
    text = _DOUBLED_STOP.sub(" .", text.translate(_SYMBOL_FONT))
    return rejoin_signs(text) if is_spaced_out(text) else text


def restore_tweet(text: str) -> str:
    """Restore a tweet: addresses and HTML entities removed, tokenised ones rejoined."""
    text = rejoin_contractions(remove_addresses(html.unescape(text)))
    if is_spaced_out(text):
        text = rejoin_signs(text)
    return _PARTED_SIGN.sub(r"\1", _FUSED_TAGS.sub(" ", text))
