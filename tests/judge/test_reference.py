"""The stand-in charges what the ruler charges, and its controls apply."""

import math

import numpy as np
import pytest

from escada.evaluation.baselines.byte_ngrams import bigram_model, character_tokenizer, uniform_model
from escada.evaluation.ruler import score_documents
from escada.evaluation.scoring import Reading
from escada.files import read_json
from escada.judge.offline_judge import (
    charges_of,
    panel_charges,
    probe_shares,
    reference_findings,
)
from escada.judge.panel import Entrant, Opening, Panel, PanelText, Probe, gather_panel
from escada.judge.review import Settings, review_with_reference
from escada.judge.verdict import Probes, ProbeShare
from escada.text.documents import Document

TEXT = "O chapéu do carteiro desceu a corrente até a margem do rio. Ninguém o viu: 日本 ≠ 30 reais."


@pytest.mark.parametrize("model_name", ["lstm", "gru", "sinusoidal", "learned"])
@pytest.mark.parametrize("kind", ["characters", "bytes", "bpe"])
def test_a_whole_text_costs_what_the_ruler_charges_but_for_its_end(
    tiny, tokenizers, model_name, kind
):
    tokenizer = tokenizers[kind]
    model = tiny(model_name, tokenizer.vocab_size)
    ids = np.concatenate([[tokenizer.bos_id], tokenizer.encode(TEXT), [tokenizer.eos_id]])
    (tokens,) = Reading(model, tokenizer, [ids.astype(np.int64)]).scores()
    ruler = float(score_documents(model, tokenizer, [Document("d", "s", "g", TEXT)]).nats[0])
    (charge,) = charges_of(model, tokenizer, [("", TEXT)], None)
    assert charge.nats + float(tokens.nats[-1]) == pytest.approx(ruler, rel=1e-6)


def test_of_texts_charged_together_none_sees_another(tiny, tokenizers):
    tokenizer = tokenizers["bpe"]
    texts = [(TEXT[:n], TEXT[n : n + length]) for n in (0, 9, 40) for length in (1, 7, 45)]
    for name in ("lstm", "learned"):
        model = tiny(name, tokenizer.vocab_size)
        together = charges_of(model, tokenizer, texts, None)
        alone = [charges_of(model, tokenizer, [one], None)[0] for one in texts]
        assert [c.nats for c in together] == pytest.approx([c.nats for c in alone], rel=1e-6)


@pytest.mark.parametrize("model_name", ["lstm", "learned"])
@pytest.mark.parametrize("split", [0, 1, 17, 40, len(TEXT)])
def test_opening_and_continuation_add_up(tiny, tokenizers, model_name, split):
    tokenizer = tokenizers["bytes"]
    model = tiny(model_name, tokenizer.vocab_size)

    def charge(opening, text):
        return charges_of(model, tokenizer, [(opening, text)], None)[0]

    head, tail, whole = (
        charge("", TEXT[:split]),
        charge(TEXT[:split], TEXT[split:]),
        charge("", TEXT),
    )
    assert head.nats + tail.nats == pytest.approx(whole.nats, rel=1e-5)
    assert head.bytes + tail.bytes == whole.bytes == len(TEXT.encode())


def test_unknown_characters_are_paid_for(tiny, tokenizers):
    tokenizer = tokenizers["characters"]
    model = tiny("gru", tokenizer.vocab_size)
    known, unknown = charges_of(model, tokenizer, [("O", " rio"), ("O", " 日日日")], None)
    assert unknown.bits_per_byte > known.bits_per_byte
    assert unknown.nats > 3 * tokenizer.unknown_bits * math.log(2)


def test_by_hand_a_uniform_model_charges_log_v_a_token(tokenizers):
    tokenizer = tokenizers["bytes"]
    model = uniform_model(tokenizer)
    (charge,) = charges_of(model, tokenizer, [("Era", " uma")], None)
    assert charge.bits_per_byte == pytest.approx(math.log2(tokenizer.vocab_size))


def panel_of_words(n=6):
    openings = [Opening(f"o{i}", "O vento levou", held_out=True) for i in range(n)]

    def entrant(name, role, texts):
        written = {f"o{i}": PanelText(texts[i % len(texts)], False) for i in range(n)}
        return Entrant(name, role, name, written)

    return Panel(
        openings,
        [
            entrant("v1", "run", [" o oo vento to", " ao do doo o "]),
            entrant("human", "human", [" o chapéu do c", " a menina até "]),
            entrant("noise", "noise", ["xqzJ*k;w!jZ0pQ", "ÇÇ9x|qv]¢zzkkX"]),
        ],
        "hash",
        [
            Probe(
                Opening(f"p{i}", "O vento levou", held_out=True),
                {
                    "human": " o chapéu do carteiro até",
                    "short": " o chapéu do carte",
                    "shuffled": " até carteiro chapéu do o",
                    "elsewhere": " a menina correu da marge",
                },
            )
            for i in range(n)
        ],
    )


TRAINING = ["O vento levou o chapéu do carteiro até a margem. A menina correu."] * 5


def test_a_bigram_model_tells_noise_from_text_and_a_uniform_one_does_not():
    tokenizer = character_tokenizer(TRAINING)
    panel = panel_of_words()
    bigrams = bigram_model(tokenizer, TRAINING)
    charges = panel_charges(bigrams, tokenizer, panel, None)
    probes = probe_shares(bigrams, tokenizer, panel, None)
    verdict = reference_findings(panel, charges, probes).to_json()
    assert verdict["reliable"], verdict["reasons"]
    assert verdict["probes"]["shuffled"]["share"] == 1
    assert verdict["controls"]["noise"]["rating"] < verdict["controls"]["human"]["rating"]
    same = {"o": PanelText("abcd", False)}
    equal = Panel(
        [Opening("o", "x", True)],
        [Entrant(name, name, None, same) for name in ("human", "noise")],
        "",
    )
    charges = panel_charges(uniform_model(tokenizer), tokenizer, equal, None)
    probes = probe_shares(uniform_model(tokenizer), tokenizer, panel, None)
    verdict = reference_findings(equal, charges, probes).to_json()
    codes = {reason["code"] for reason in verdict["reasons"]}
    assert codes == {"bits_control", "direct_control", "rating_control", "probe_pairs"}


def test_an_empty_continuation_has_no_figure_and_no_comparison():
    tokenizer = character_tokenizer(TRAINING)
    written = {"o": PanelText("", True)}
    panel = panel_of_words()
    panel = Panel(
        [*panel.openings, Opening("o", "x", False)],
        [*panel.entrants, Entrant("mute", "run", "mute", written)],
        "",
    )
    charges = panel_charges(bigram_model(tokenizer, TRAINING), tokenizer, panel, None)
    won = ProbeShare.of(10, 10)
    probes = Probes(shuffled=won, elsewhere=won, longer=won, marks=None)
    verdict = reference_findings(panel, charges, probes).to_json()
    row = next(r for r in verdict["ratings"] if r["name"] == "mute")
    assert (row["rating"], row["bits_per_byte"], row["comparisons"]) == (None, None, 0)


def test_a_review_by_a_run_has_the_form_of_the_other_and_names_itself(runs, corpus, tmp_path):
    settings = Settings(prompts=3, device="cpu")
    verdict = review_with_reference(runs, corpus, tmp_path / "judge", runs[1], settings).to_json()
    assert verdict["kind"] == "reference"
    assert verdict["model"] == runs[1].name
    assert {"schema_version", "ratings", "controls", "reliable", "reasons", "calls"} <= set(verdict)
    assert "judged_by_itself" in [note["code"] for note in verdict["notes"]]
    assert read_json(tmp_path / "judge" / "verdict.json") == verdict
    panel = gather_panel(runs, corpus, prompts=3, device="cpu")
    model = runs[1].load_model("best")
    shown = panel.texts(panel.openings[0].id)[runs[0].name]
    (charge,) = charges_of(model, runs[1].tokenizer, [(panel.openings[0].text, shown)], None)
    assert charge.bits_per_byte < 12
    row = next(row for row in verdict["ratings"] if row["run"] == runs[0].name)
    low, high = row["bits_per_byte"]["ci95"]
    assert low < row["bits_per_byte"]["mean"] < high
