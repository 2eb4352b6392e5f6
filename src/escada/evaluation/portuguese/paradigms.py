"""Inflected forms seen in the treebanks: `indica` and `indicam`.

    paradigms = Paradigms(words)
    paradigms.flip(word, "Number", "Plur")          # indica → indicam; None where uncertain

Only lemma, features and form of the annotated words are kept, and no form is made by a rule. `flip`
returns a form only when it and the given one are both the usual ones of their cells, differ, are in
the lexicon, and are not also read the other way (`simples`, `lápis` are both numbers).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from escada.evaluation.portuguese.lexicon import lexicon
from escada.evaluation.portuguese.treebank import feature
from escada.text.sources.conllu import Word

Cell = tuple[str, str, tuple[str | None, ...]]
"""Lemma, class, and the values of the class's features."""

CLASSES = {"VERB": "verb", "AUX": "verb", "DET": "DET", "ADJ": "ADJ", "NOUN": "NOUN"}
"""Parts of speech with paradigms; auxiliaries share those of verbs."""
VARYING = {
    "verb": ("Mood", "Tense", "Person", "Number"),
    "DET": ("Gender", "Number"),
    "ADJ": ("Gender", "Number"),
    "NOUN": ("Gender", "Number"),
}
USUAL_SHARE = 0.8
"""Minimum share of a cell's usual form; the rest are misprints and annotation errors."""
SLIP_SHARE = 0.05
"""Maximum share of contradictory readings of a form, to allow for annotation errors."""


class Paradigms:
    """Forms by lemma and features, and the readings of each form."""

    def __init__(self, words: Iterable[Word]) -> None:
        self._forms: dict[Cell, Counter[str]] = defaultdict(Counter)
        self._readings: dict[tuple[str, str], Counter[tuple[str | None, ...]]] = defaultdict(
            Counter
        )
        self._genders: dict[str, Counter[str | None]] = defaultdict(Counter)
        for word in words:
            kind = CLASSES.get(word.tag)
            if kind is None or not word.form.isalpha():
                continue
            values = _values(word, kind)
            form = word.form.lower()
            self._forms[word.lemma.lower(), kind, values][form] += 1
            self._readings[form, kind][values] += 1
            if kind == "NOUN":
                self._genders[word.lemma.lower()][feature(word, "Gender")] += 1

    def flip(self, word: Word, name: str, value: str) -> str | None:
        """The form of the same lemma with feature `name` set to `value` and all others unchanged.

        In lower case; None where there is none or it is uncertain.
        """
        kind = CLASSES[word.tag]
        if name not in VARYING[kind]:
            raise ValueError(f"{kind} has no paradigm of {name}")
        here = _values(word, kind)
        place = VARYING[kind].index(name)
        there = (*here[:place], value, *here[place + 1 :])
        good = word.form.lower()
        bad = self._usual(word.lemma.lower(), kind, there)
        if bad is None or bad == good or self._usual(word.lemma.lower(), kind, here) != good:
            return None
        if not {good, bad} <= lexicon():
            return None
        if self._share(bad, kind, place, here[place]) > SLIP_SHARE:
            return None
        return bad if self._share(good, kind, place, value) <= SLIP_SHARE else None

    def is_rather_a_noun(self, form: str) -> bool:
        """Whether a form is a noun at least as often as an adjective: `condições ambiente`."""
        nouns, adjectives = (self._readings[form, kind].total() for kind in ("NOUN", "ADJ"))
        return nouns >= adjectives

    def is_ever_an_adjective(self, form: str) -> bool:
        """Whether a form also occurs as an adjective."""
        return bool(self._readings.get((form, "ADJ")))

    def has_one_number(self, noun: Word) -> bool:
        """Whether a noun's form has only its own number, and shows it: `dado`, not `lápis`."""
        own = feature(noun, "Number")
        form = noun.form.lower()
        plural = own == "Plur"
        if own is None or plural != form.endswith("s") or form.endswith("x"):
            return False
        other = "Sing" if plural else "Plur"
        return self._share(form, "NOUN", VARYING["NOUN"].index("Number"), other) <= SLIP_SHARE

    def genders(self, lemma: str) -> Counter[str | None]:
        """Counts of a noun's genders; None where the treebank gives no gender."""
        return self._genders[lemma.lower()]

    def _usual(self, lemma: str, kind: str, values: tuple[str | None, ...]) -> str | None:
        forms = self._forms.get((lemma, kind, values))
        if not forms:
            return None
        form, times = min(forms.items(), key=lambda item: (-item[1], item[0]))
        return form if times >= USUAL_SHARE * forms.total() else None

    def _share(self, form: str, kind: str, place: int, value: str | None) -> float:
        """Share of a form's readings whose feature at `place` has `value`."""
        readings = self._readings[form, kind]
        hits = sum(times for values, times in readings.items() if values[place] == value)
        return hits / max(1, readings.total())


def _values(word: Word, kind: str) -> tuple[str | None, ...]:
    values = tuple(feature(word, name) for name in VARYING[kind])
    if kind == "verb" and feature(word, "VerbForm") != "Fin":
        return (feature(word, "VerbForm"), *values[1:])  # never the cell of a finite form
    if values == ("Ind", None, "3", "Plur"):
        # petrogold leaves the tense of `foram` unset, because it can also be pluperfect
        return ("Ind", "Past", "3", "Plur")
    return values
