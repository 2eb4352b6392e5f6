"""Filters decide alone and always alike; what they remove is counted with examples."""

import json
import os
import pickle
import random
import shutil
import sys
from collections import Counter
from importlib import metadata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import text, write_jsonl
from typer.testing import CliRunner

from escada.choices import SPLITS
from escada.cli.data import app
from escada.errors import EscadaError
from escada.files import content_hash
from escada.text.cleaning import clean
from escada.text.corpus import Corpus
from escada.text.documents import Document
from escada.text.filters import FilterCounts, Removed, open_chain
from escada.text.filters.personal_data import is_cnpj, is_cpf, mask
from escada.text.filters.repetition import repeated_lines, repeated_words
from escada.text.preparation import prepare as prepare_module
from escada.text.preparation.prepare import prepare
from escada.text.reading import ReferenceCounts, Rules, reference_document

PORTUGUESE = (
    "A menina encontrou o livro azul na praça e levou a carta do irmão para casa antes da chuva. "
    "O vizinho vendeu a bicicleta, comprou três maçãs e descreveu a viagem aos amigos da escola."
)
SPANISH = (
    "La niña encontró el libro azul en la plaza y llevó la carta de su hermano a casa. Después "
    "llovió mucho, y los vecinos hablaron durante horas de las cosechas de aquel año tan largo."
)


def document(content: str, number: int = 0) -> Document:
    return Document(f"d{number}", "notas", f"g{number}", content)


def reason(name: str, content: str) -> str | None:
    return open_chain([name])(document(content)).reason or None


# Each filter


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("language", SPANISH, "0 % of the text is pt; most of it seems es"),
        ("language", "The quick brown fox jumps over the dog", "0 % of the text is pt; most of"),
        ("language=es", PORTUGUESE, "of the text is es"),
        ("length", "curta", "5 characters"),
        ("length=3:4", "curta", "5 characters"),
        ("length=:4", "curta", "5 characters"),
        ("repetition", "leia mais\n" * 5, "80 % of the characters are repeated lines"),
        ("repetition", "um dois três quatro cinco " * 4, "75 % of the words are in repeated"),
        ("symbols", "12,5 | 13,7 | 99,1 | total", "% are no letters"),
    ],
)
def test_a_filter_removes_what_it_is_for_and_says_why(name, content, said):
    assert said in reason(name, content)


@pytest.mark.parametrize(
    "name",
    ["language", "language=pt:0.6", "length=10:500", "repetition", "repetition=0", "symbols"],
)
def test_ordinary_text_passes(name):
    assert reason(name, PORTUGUESE) is None


def test_a_text_too_short_to_tell_its_language_is_kept():
    assert reason("language", "Hello, Mr Smith") is None


def test_a_longer_text_is_judged_by_its_pieces():
    assert reason("language", PORTUGUESE * 3 + SPANISH) is None
    share = int(reason("language", SPANISH * 3 + PORTUGUESE).split(" %")[0])
    assert 10 <= share <= 40


def test_phrases_are_whole_words_in_any_case(tmp_path):
    path = tmp_path / "lista.txt"
    path.write_text("Clique aqui!\n\n---\ncassino\nclique já\n", encoding="utf-8")
    name = f"phrases={path}"
    assert reason(name, "Ganhe hoje: CLIQUE AQUI!") == "contains 'clique aqui'"
    assert reason(name, "Os cassinos fecharam; clique aquilo.") is None


def test_repeated_words_agree_with_sets_of_runs():
    rng = random.Random(2)
    for _ in range(200):
        words = rng.choices("abcd", k=rng.randrange(60))
        runs = [tuple(words[i : i + 5]) for i in range(len(words) - 4)]
        again = {n + k for n, run in enumerate(runs) if run in runs[:n] for k in range(5)}
        expected = len(again) / max(1, len(words))
        assert repeated_words(" ".join(words)) == pytest.approx(expected)


def test_measures_of_repetition_by_hand():
    assert repeated_lines("a\nbb\na\nbb\ncc") == pytest.approx(3 / 8)
    assert repeated_words("a b c d e x a b c d e f") == pytest.approx(5 / 12)
    assert repeated_words("a b c d e f a b c d e f") == pytest.approx(6 / 12)  # two runs overlap
    assert repeated_words("a b c") == repeated_lines("") == 0


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["langauge"], "did you mean 'language'"),
        (["perplexty=x"], "did you mean 'perplexity'"),
        (["xyz"], r"unknown filter 'xyz'.*known: language, length, perplexity, phrases"),
        (["symbols=2"], "2 is more than 1"),
        (["symbols=0,4"], r"use a point: 0\.4"),
        (["length=9:3"], "nothing is 9:3 long"),
        (["language=portugues"], "unknown language 'portugues'"),
        (["phrases"], "has no list"),
        (["phrases=nada.txt"], "file not found"),
        (["symbols", "symbols=0.1"], "given twice"),
        (["my.filters"], "no module 'my.filters'"),
    ],
)
def test_a_wrong_filter_is_one_clear_line(names, said):
    with pytest.raises(EscadaError, match=said):
        open_chain(names)


# Perplexity


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_jsonl(tmp_path_factory.mktemp("reference") / "r.jsonl", 400))


def test_text_unlike_the_reference_is_removed_by_its_perplexity(reference):
    ((_, decide),) = open_chain([f"perplexity={reference}"]).filters
    rng = random.Random(9)
    ordinary = [document(text(rng, 9), n) for n in range(40)]
    kept = sum(isinstance(decide(one), Document) for one in ordinary)
    assert kept >= 36
    letters = "".join(rng.sample(ordinary[0].text, len(ordinary[0].text)))
    assert decide(document(letters)).endswith("bits per byte")
    assert decide(document(SPANISH * 2)).endswith("bits per byte")
    assert decide(document("xqz kwv")) == document("xqz kwv")  # too short to tell


def test_the_filters_bits_per_byte_are_those_of_the_kneser_ney_baseline(reference):
    from escada.evaluation.baselines.kneser_ney import Asked, KneserNeyBaseline
    from escada.evaluation.baselines.perplexity import ORDER, model_of
    from escada.text.sources import open_source
    from escada.text.tokenizers.bytes import ByteTokenizer

    texts = [one.text for n, one in enumerate(open_source(reference)) if n % 10]
    orders = (ORDER, ORDER)
    baseline = KneserNeyBaseline(ByteTokenizer(), texts, [PORTUGUESE], orders=orders)
    baseline.score([Asked(PORTUGUESE)])
    expected = baseline.figures[ORDER]
    assert model_of(reference).bits_per_byte(PORTUGUESE) == pytest.approx(expected, rel=1e-12)


def test_the_limit_and_the_reference_are_part_of_the_identity(reference, tmp_path):
    drawn = dict(open_chain([f"perplexity={reference}"]).identity)
    ((_, decide),) = open_chain([f"perplexity={reference}:3.25"]).filters
    assert decide.limit == 3.25
    settings = drawn[f"perplexity={reference}"]["settings"]
    assert 0 < settings["limit"] < 3
    assert settings["hash"] == decide.hash
    assert len(pickle.dumps(decide)) < 1000
    other = write_jsonl(tmp_path / "other.jsonl", 400, seed=1)
    assert open_chain([f"perplexity={other}"]).filters[0][1].hash != decide.hash


@pytest.mark.parametrize(
    ("value", "said"),
    [("", "no reference text"), ("=nada.jsonl", "source not found"), ("=few", "too few documents")],
)
def test_a_wrong_reference_is_one_clear_line(value, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few").write_text("um\n\ndois\n")
    with pytest.raises(EscadaError, match=said):
        open_chain([f"perplexity{value}"])


# A chain


def test_a_chain_is_the_same_in_another_process_and_in_any_order(tmp_path):
    (tmp_path / "l.txt").write_text("praça\n", encoding="utf-8")
    names = ["language", "length=20", "repetition", "symbols", f"phrases={tmp_path / 'l.txt'}"]
    chain = open_chain(names)
    rng = random.Random(0)
    documents = [document(text(rng, 4), n) for n in range(30)] + [document(SPANISH), document("a")]
    results = list(map(chain, documents))
    again = pickle.loads(pickle.dumps(chain))
    assert list(map(again, reversed(documents))) == results[::-1]
    assert {result.removed_by for result in results} >= {None, "language", "length=20", names[-1]}


def test_a_filter_may_change_the_document_for_those_after_it(tmp_path, monkeypatch):
    (tmp_path / "shorten.py").write_text(
        "from dataclasses import replace\n"
        "def shorten(document):\n    return replace(document, text=document.text[:10])\n"
        "def build(value):\n    return shorten\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    result = open_chain(["shorten", "length=11"])(document(PORTUGUESE))
    assert (result.removed_by, result.document.text) == ("length=11", PORTUGUESE[:10])
    before = open_chain(["shorten"]).identity
    (tmp_path / "shorten.py").write_text("def build(value):\n    return lambda one: one\n")
    sys.modules.pop("shorten")
    from escada.code_hash import bare_code

    bare_code.cache_clear()
    assert open_chain(["shorten"]).identity != before


def test_the_order_of_filters_is_part_of_the_identity():
    names = ["length=20", "symbols"]
    there, back = open_chain(names).identity, open_chain(names[::-1]).identity
    assert sorted(there) == sorted(back)
    assert content_hash(there) != content_hash(back)


def test_the_library_that_tells_languages_is_part_of_the_identity(monkeypatch):
    before = open_chain(["language"]).identity
    assert open_chain(["language"]).identity == before
    monkeypatch.setattr(metadata, "version", lambda name: f"another {name}")
    assert "another py3langid" in json.dumps(open_chain(["language"]).identity)


def test_a_list_whose_name_is_not_utf_8_has_an_identity(tmp_path):
    path = tmp_path / os.fsdecode(b"pre\xe7o.txt")
    path.write_text("cassino\n")
    chain = open_chain([f"phrases={path}"])
    assert content_hash(chain.identity)
    removed = chain(document("um cassino")).removed_by
    assert removed == f"phrases={tmp_path}/pre\\xe7o.txt"


def test_removed_documents_are_counted_with_three_examples_without_personal_data():
    chain = open_chain(["length=1000"])
    counts = FilterCounts.of(chain)
    for n in range(5):
        counts.add(chain(document(f"Escreva para ana{n}@exemplo.com.br já.", n)))
    part = counts.removed["length=1000"]
    assert (part.documents, part.bytes) == (5, 5 * 37)
    assert [example.id for example in part.examples] == ["d0", "d1", "d2"]
    assert part.examples[0].text == "Escreva para [E-MAIL] já."
    assert part.examples[0].reason == "36 characters"


def test_the_reason_and_the_end_of_an_example_have_no_personal_data_either():
    part = Removed()
    e_mails = " ".join(f"pessoa.de.nome.longo.{n:03}@exemplo.com.br" for n in range(40))
    part.add(document(e_mails), "contém 529.982.247-25")
    assert part.examples[0].reason == "contém [CPF]"
    assert len(part.examples[0].text) == 200
    assert "nome" not in part.examples[0].text


def test_what_is_masked_is_counted_in_the_documents_that_stay():
    chain = open_chain(["length=30"])
    rules = Rules("reference", min_characters=20, mask_personal_data=True, chain=chain)
    counts = ReferenceCounts(filters=FilterCounts.of(chain))
    for words in ("", "com palavras", "com palavras que bastam"):
        counts.add(reference_document(document(f"ana@exemplo.com.br {words}"), rules))
    assert (counts.short, counts.filters.documents) == (1, 1)
    assert (counts.filters.masked_documents, counts.filters.masked) == (1, {"E-MAIL": 1})


# Personal data


@pytest.mark.parametrize(
    ("content", "masked"),
    [
        ("CPF 529.982.247-25.", "CPF [CPF]."),
        ("cpf nº 52998224725", "cpf nº [CPF]"),
        ("CNPJ: 11.222.333/0001-81,", "CNPJ: [CNPJ],"),
        ("CNPJ 11222333000181", "CNPJ [CNPJ]"),
        ("o novo 12.ABC.345/01DE-35", "o novo [CNPJ]"),
        ("(ana.silva+x@mail.exemplo.com.br)", "([E-MAIL])"),
        ("ligue (11) 98765-4321 ou 21 2345-6789", "ligue [TELEFONE] ou [TELEFONE]"),
        ("+55 11 98765 4321", "[TELEFONE]"),
        ("tel.: 32345678; fone 3234-5678", "tel.: [TELEFONE]; fone [TELEFONE]"),
        ("no 98765-4321 agora", "no [TELEFONE] agora"),
        ("CEP 01310-100, CEP: 01310100", "CEP [CEP], CEP: [CEP]"),
        ("Av. Paulista, 01310-100 - SP", "Av. Paulista, [CEP] - SP"),
    ],
)
def test_personal_data_is_masked(content, masked):
    found, counts = mask(content)
    assert found == masked
    assert counts.total() == masked.count("[")


@pytest.mark.parametrize(
    "content",
    [
        "CPF 529.982.247-26",  # a wrong check digit
        "111.111.111-11",
        "CNPJ 11.222.333/0001-80",
        "de 2010-2015 e de 1998-2003",
        "processo 0001234-56.2020.8.26.0100",
        "o item 1139284657 e o código 20345678901",
        "R$ 1.234.567,89 em 25/12/2020 às 10h30",
        "ISBN 978-85-359-0277-8",
        "fale com @ana no Twitter: ana@casa",
        "placar 3-2, página 12345-6789",
        "temperatura de 20-25 graus, 1500-2000 pessoas",
        "0800 123 4567",
    ],
)
def test_other_numbers_stay(content):
    assert mask(content) == (content, Counter())


def test_check_digits_are_those_of_the_receita():
    assert is_cpf("529.982.247-25")
    assert is_cpf("00000000191")
    assert is_cpf("123.456.789-09")  # the rest of its first digit is 1
    assert not is_cpf("00000000000")
    assert is_cnpj("00.000.000/0001-91")
    assert is_cnpj("12ABC34501DE35")  # the example of IN RFB 2.229/2024
    for digit in range(10):
        assert is_cpf(f"5299822472{digit}") == (digit == 5)


@given(st.text("0123456789 ()-./+@abCPF\u00a0", max_size=60))
def test_masked_text_is_stable_under_masking_and_cleaning(content):
    once = mask(clean(content, "reference"))[0]
    assert mask(once) == (once, Counter())
    assert clean(once, "reference") == once


@pytest.mark.parametrize("profile", ["reference", "roadmap"])
def test_masking_comes_before_the_profile_takes_digits_away(profile):
    content = "O contribuinte de CPF\u00a0529.982.247\u00ad-25 pediu a certidão ontem à tarde."
    result = reference_document(document(content), Rules(profile, mask_personal_data=True))
    assert result.masked == {"CPF": 1}
    assert "529" not in result.document.text
    assert "cpf" in result.document.text.lower()
    assert "0.0" not in result.document.text


# In the preparation


def test_preparation_counts_filters_and_masks_and_is_made_again_when_they_change(tmp_path):
    rng = random.Random(3)
    rows = [{"id": f"n{n}", "text": text(rng, 6), "group": f"g{n}"} for n in range(60)]
    rows[7]["text"] += " Escreva para ana@exemplo.com.br ou (11) 98765-4321."
    rows += [{"id": "es", "text": SPANISH}, {"id": "curta", "text": "Só isto."}]
    source = tmp_path / "notas.jsonl"
    source.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    out = tmp_path / "c"
    plain = prepare(str(source), out)
    arguments = ["prepare", "--source", str(source), "--out", str(out), "--filter", "language"]
    arguments += ["--filter", "length=20", "--mask-personal-data"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "1 by language, 1 by length=20" in " ".join(result.stdout.split())
    assert "for example es: 0 % of the text is pt" in result.stdout
    assert "masked in 1 document, before duplicates: 1 E-MAIL, 1 TELEFONE" in result.stdout
    corpus = Corpus.open(out)
    assert corpus.hash != plain.hash
    assert corpus.manifest.filters.removed["language"].examples[0].text == SPANISH[:200]
    texts = [one.text for split in SPLITS for one in corpus.documents(split)]
    assert sum("ou [TELEFONE]." in one for one in texts) == 1
    assert not any("@" in one for one in texts)
    before = (out / "manifest.json").stat().st_mtime_ns
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert (out / "manifest.json").stat().st_mtime_ns == before


def test_each_part_of_what_is_asked_makes_another_corpus(tmp_path, monkeypatch):
    class FoundError(Exception):
        pass

    def found(_, key):
        raise FoundError(key)

    monkeypatch.setattr(prepare_module, "is_made", found)
    source = write_jsonl(tmp_path / "a.jsonl", 60)
    asked = [
        {},
        {"filters": ["length=1"]},
        {"filters": ["length=2"]},
        {"filters": ["length=1", "symbols"]},
        {"filters": ["symbols", "length=1"]},
        {"mask_personal_data": True},
        {"protect": ["test", str(source)]},
        {"protect": [str(source), "test"]},
        {"source": str(write_jsonl(tmp_path / "b.jsonl", 60))},
        {"source": str(tmp_path / "a.ndjson")},
        {"source": "brwac", "source_file": source},
    ]
    shutil.copy(source, tmp_path / "a.ndjson")
    keys = []
    for options in asked:
        with pytest.raises(FoundError) as caught:
            prepare(**{"source": str(source), "out": tmp_path / "c"} | options)
        keys.append(str(caught.value))
    assert len(set(keys)) == len(asked)


def test_where_filters_remove_all_the_error_says_so(tmp_path):
    source = tmp_path / "a.jsonl"
    source.write_text('{"text": "um texto"}\n' * 4, encoding="utf-8")
    with pytest.raises(EscadaError, match=r"kept by the filters, which removed 4.*fewer or wider"):
        prepare(str(source), tmp_path / "c", filters=["length=100"])
