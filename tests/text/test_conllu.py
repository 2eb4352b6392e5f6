"""Sentences out of CoNLL-U: both orders of the comments, words of contractions, empty nodes."""

import pytest

from escada.errors import EscadaError
from escada.text.sources import RowOptions, open_source
from escada.text.sources.conllu import Word, read_sentences

FILE = """\
# text = Vim da rua.
# sent_id = a-1
1\tVim\tvir\tVERB\t_\tNumber=Sing\t0\troot\t_\t_
2-3\tda\t_\t_\t_\t_\t_\t_\t_\t_
2\tde\tde\tADP\t_\t_\t4\tcase\t_\t_
3\ta\to\tDET\t_\tGender=Fem|Number=Sing\t4\tdet\t_\t_
3.1\tvazio\tvazio\tX\t_\t_\t_\t_\t_\t_
4\trua\trua\tNOUN\t_\tGender=Fem|Number=Sing\t1\tobl\t_\tSpaceAfter=No
5\t.\t.\tPUNCT\t_\t_\t_\t_\t_\t_

# sent_id = a-2
# text = Sim.
1\tSim\tsim\tINTJ\t_\t_\t0\troot\t_\t_

# sent_id = without text
1\tNão\tnão\tADV\t_\t_\t0\troot\t_\t_
"""


def test_words_carry_their_morphology_and_their_head():
    first, second = read_sentences(FILE.splitlines())
    assert (first.id, first.text) == ("a-1", "Vim da rua.")
    assert first.words[4] == Word(4, "rua", "rua", "NOUN", "Gender=Fem|Number=Sing", 1, "obl")
    assert first.words[5].head == 0
    assert list(first.words) == [1, 2, 3, 4, 5]
    assert second.id == "a-2"


def test_a_contraction_is_one_token_of_two_words():
    first, _ = read_sentences(FILE.splitlines())
    tokens = first.tokens()
    assert [form for form, _ in tokens] == ["Vim", "da", "rua", "."]
    assert [word.form for word in tokens[1][1]] == ["de", "a"]


def test_words_may_be_left_out():
    first, second = read_sentences(FILE.splitlines(), with_words=False)
    assert not first.words
    assert not first.tokens()
    assert second.text == "Sim."


def documents(path, **options):
    source = open_source(str(path), options=RowOptions(**options))
    return [(document.id, document.text) for document in source]


def test_a_new_document_s_mark_holds_for_the_sentence_after_it(tmp_path):
    path = tmp_path / "a.conllu"
    path.write_text(
        "# newdoc id = a\n# text = Um.\n1\tUm\n\n# newdoc id = b\n\n# text = Dois.\n1\tDois\n"
    )
    assert documents(path) == [("a", "Um."), ("b", "Dois.")]


def test_sentences_without_their_text_are_told_and_not_left_out(tmp_path):
    path = tmp_path / "a.conllu"
    path.write_text("# text = Um.\n1\tUm\n\n# sent_id = x\n1\tDois\n\n# text = Três.\n1\tTrês\n")
    with pytest.raises(EscadaError, match=r"without `# text`.*line 4"):
        documents(path)
    texts = [text for _, text in documents(path, skip_bad_rows=True)]
    assert texts == ["Um.", "Três."]
