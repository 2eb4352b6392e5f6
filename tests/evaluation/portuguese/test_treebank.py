"""Tokens found again in mended text, or the sentence is given up."""

from escada.evaluation.portuguese.treebank import align, contracted, in_the_case_of
from escada.text.sources.conllu import read_sentences

EXPANDED = """
Em em ADP
o o DET ms
poço poço NOUN ms
, , PUNCT
manter manter VERB inf
se se PRON
as o DET fp
falhas falha NOUN fp
"""


def tokens(rows):
    """The tokens of words given as `form lemma TAG features`; `1-2 da` joins two of them."""
    lines = ["# text = x", "# sent_id = x"]
    number = 0
    for row in rows.strip().splitlines():
        first, second, *rest = row.split()
        if "-" in first and first[0].isdigit():
            lines.append("\t".join([first, second, *"_" * 8]))
            continue
        number += 1
        lines.append("\t".join([str(number), first, second, rest[0], *"_" * 6]))
    (sentence,) = read_sentences(lines)
    return sentence.tokens()


def written(text, rows):
    places = align(text, tokens(rows))
    return None if places is None else [text[place.start : place.end] for place in places]


def test_contractions_and_hyphens_that_mending_made_are_found():
    found = written("No poço, manter-se as falhas", EXPANDED)
    assert found == ["No", "poço", ",", "manter", "se", "as", "falhas"]
    assert [len(p.words) for p in align("No poço, manter-se as falhas", tokens(EXPANDED))] == (
        [2, 1, 1, 1, 1, 1, 1]
    )


def test_a_contraction_that_the_treebank_kept_is_found_too():
    rows = "1-2 das\nde de ADP\nas o DET fp\nfalhas falha NOUN fp"
    assert written("das falhas", rows) == ["das", "falhas"]


def test_a_preposition_is_not_taken_for_the_start_of_a_contraction():
    assert written("a outra", "a a ADP\noutra outro DET fs") == ["a", "outra"]
    assert written("ao poço", "a a ADP\no o DET ms\npoço poço NOUN ms") == ["ao", "poço"]


def test_text_that_the_tokens_do_not_account_for_gives_the_sentence_up():
    assert written("No poço fundo", "Em em ADP\no o DET ms\npoço poço NOUN ms") is None
    assert written("No poço", EXPANDED) is None
    assert written("ofendê-la", "ofender ofender VERB\nla o PRON") is None


def test_a_contraction_takes_another_determiner_and_keeps_its_capitals():
    rows = "1-2 Das\nDe de ADP\nas o DET\nfalhas falha NOUN"
    contraction, noun = align("Das falhas", tokens(rows))
    assert contracted(contraction, "a") == "da"
    assert contracted(contraction, "umas") is None
    assert contracted(noun, "a") is None
    assert in_the_case_of("da", "Das") == "Da"
    assert in_the_case_of("da", "DAS") == "DA"
    assert in_the_case_of("o", "A") == "O"
