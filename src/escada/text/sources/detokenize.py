"""Turns a treebank's sentence back into what somebody wrote.

Treebanks cut text for their own ends. Two of the four in the default corpus print contractions
expanded ("de a Justiça", "em o ano"), lose the hyphen of a clitic ("manter se filiado"), and put
spaces around every sign ( " assim " ). A model trained on that learns a language nobody writes, so
each function here undoes one of these cuts. The table holds the contractions that Portuguese
requires; of the optional ones ("num", "dum") nobody can tell which was written.
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
"""What a preposition and the word after it become, in lower case."""

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


# Signs. A word is what stands between two spaces.

_CLOSING = re.compile(r"[,.;:!?…)\]}%°º]+")
_OPENING = frozenset("([{")
_QUOTES = frozenset("\"'")


def _quote_opens(words: Sequence[str], i: int, *, inside: bool) -> bool:
    """Whether the quotation mark at `i` opens, going by its neighbours, else by turns."""
    if i == 0:
        return True
    if i == len(words) - 1 or _CLOSING.fullmatch(words[i + 1]):
        return False
    if words[i - 1][-1] in _OPENING or words[i - 1] == ":":
        return True
    return not inside


def rejoin_signs(text: str) -> str:
    """` " Sim " , disse ( ele ) .` → `"Sim", disse (ele).`; a dash between spaces keeps them."""
    words = text.split()
    out = ""
    glue = True  # nothing between what is there and what comes
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


# Clitics, which need the treebank's parts of speech.

_CLITICS = frozenset({"se", "me", "te", "nos", "vos", "lhe", "lhes"})
_ACCUSATIVES = frozenset({"lo", "la", "los", "las"})
_ARTICLE_LIKE = frozenset(_ARTICLES)
_BEFORE_ACCUSATIVE = {"ar": "á", "er": "ê", "ir": "i", "or": "ô"}
"""What the ending of an infinitive becomes before `lo`: most are printed so, some are not."""

Token = tuple[str, str, str]
"""Form, universal part of speech, features, as the treebank gives them."""


def _takes_hyphen(tokens: Sequence[Token], i: int) -> bool:
    """Whether the pronoun at `i` hung on the verb before it; `vai se tornar` has none."""
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

    Args:
        text: words between spaces.
        tokens: one for each word; with any other number of them the text is left as it is.
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
"""Private code points of two fonts, as they are used in petrogold."""
_DOUBLED_STOP = re.compile(r" ?\. \.$")
_FUSED_TAGS = re.compile(r"(?<=\w)(?=#\w)")
_PARTED_SIGN = re.compile(r"(?<!\S)([+-]) (?=\d[\d.,]* ?%)")
_LOST_EMOJI = re.compile(r"(?<![\w?!)”\"])\?{2,}|(?<=[!)”\"])\?{4,}|\?{2,}(?=[^\W\d_])")
_ADDRESS = re.compile(
    r"(?:https?://|www\.|pic\.twitter\.com/|\bt\.co/)\S*"
    r"|\bh(?:t(?:t(?:ps?(?::/{0,2}\S*)?)?)?)?…"  # cut short by a retweet
)


def remove_addresses(text: str) -> str:
    """The text without its web addresses, those that a retweet cut short included."""
    return " ".join(_ADDRESS.sub(" ", text).split())


def remove_lost_emoji(text: str) -> str:
    """The text without the question marks that an export put in place of emoji.

    Two or more of them stay where somebody may have written them: right after a word.
    """
    return " ".join(_LOST_EMOJI.sub(" ", text).split())


def is_spaced_out(text: str) -> bool:
    """Whether most of the sentence signs stand apart from the word before them."""
    apart = re.findall(r"(?:^|\s)[,.:;](?=\s|$)", text)
    attached = re.findall(r"\w[,.:;](?=\s|$)", text)
    return len(apart) > len(attached)


def restore_news(text: str, tokens: Sequence[Token], *, expanded: bool) -> str:
    """A sentence of porttinari, whose every sign and clitic stands apart.

    Args:
        text: the treebank's `# text`.
        tokens: the words between the spaces of `text`.
        expanded: whether contractions are printed expanded. They are in a sentence without any
            token made of several words; in the others "de o" is meant ("o fato de o juiz ter").
    """
    text = rejoin_clitics(text, tokens)
    return rejoin_signs(rejoin_contractions(text) if expanded else text)


def restore_thesis(text: str) -> str:
    """A sentence of petrogold: a few were cut into tokens, some signs come from a symbol font."""
    text = _DOUBLED_STOP.sub(" .", text.translate(_SYMBOL_FONT))
    return rejoin_signs(text) if is_spaced_out(text) else text


def restore_tweet(text: str) -> str:
    """A tweet without addresses and entities, and, where somebody cut it into tokens, rejoined."""
    text = rejoin_contractions(remove_addresses(html.unescape(text)))
    if is_spaced_out(text):
        text = rejoin_signs(text)
    return _PARTED_SIGN.sub(r"\1", _FUSED_TAGS.sub(" ", text))
