"""Limits from controls, and verdicts that a contradiction takes away."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from escada.errors import EscadaError
from escada.guardrails import controls
from escada.guardrails.copying import Copy, longest_copies
from escada.guardrails.guardrail import ORIGIN, calibrate, guardrails
from escada.guardrails.likelihood import Likelihood
from escada.guardrails.measures import TextMeasures
from escada.guardrails.repetition import Repetition
from escada.guardrails.texts import SampleText
from escada.guardrails.verdicts import apply_guardrails, with_roadmap_limits
from escada.text.documents import Document
from escada.text.filters.language import languages

N = 10

GOOD = TextMeasures(
    source="contos",
    characters=100,
    tokens=100,
    fallback_tokens=1,
    short_tokens=50,
    words=20,
    known_words=19,
    portuguese_words=9,
    other_words=1,
    repetition=Repetition((0.9, 1.0, 1.0, 0.95), 2, 8, 100),
    copy=Copy(5, "o rio subiu dois metros"),
    languages=Counter(pt=6, gl=1),
    mojibake=False,
    likelihood=Likelihood(100, 500.0, 400.0),
)
OWN = replace(GOOD, likelihood=Likelihood(100, 400.0, 400.0), stored_bits=400.0)
LOOP = replace(GOOD, repetition=Repetition((0.1, 0.1, 0.1, 0.1), 18, 90, 100))
NOISE = replace(
    GOOD,
    fallback_tokens=30,
    known_words=2,
    portuguese_words=1,
    other_words=1,
    languages=Counter(pt=2, vec=5),
    short_tokens=40,
    repetition=Repetition((1.0, 1.0, 1.0, 1.0), 1, 2, 100),
    copy=Copy(1, "rio"),
    likelihood=Likelihood(100, 1400.0, 500.0),
)
CONTROLS = {
    "human": [GOOD] * N,
    "own": [OWN] * N,
    "noise": [NOISE] * N,
    "shuffled_words": [replace(GOOD, likelihood=Likelihood(100, 700.0, 450.0))] * N,
    "shuffled_characters": [replace(NOISE, short_tokens=95, languages=Counter(zxx=7))] * N,
    "looped": [LOOP] * N,
    "copied": [replace(GOOD, copy=Copy(20, "…"))] * N,
    "verbatim": [replace(GOOD, copy=Copy(40, "…"))] * N,
    **{
        name: [
            replace(GOOD, portuguese_words=ours, other_words=theirs, languages=Counter({name: 7}))
        ]
        * N
        for name, ours, theirs in (("english", 0, 10), ("spanish", 1, 9), ("galician", 6, 4))
    },
}


def result(samples, calibration=CONTROLS, checked=CONTROLS, kind="bpe"):
    return apply_guardrails({}, samples, calibration, checked, kind=kind, set_texts=N)


def judged(samples, calibration=CONTROLS, checked=CONTROLS, kind="bpe"):
    return result(samples, calibration, checked, kind).to_json()


def verdicts(found):
    records = {**found["guardrails"], "origin": found["origin"]}
    return {name: record["verdict"] for name, record in records.items()}


def failing(found):
    return {name for name, verdict in verdicts(found).items() if verdict == "fail"}


def named(name):
    return next(g for g in guardrails() if g.name == name)


def test_limits_lie_between_what_must_pass_and_what_must_fail():
    found = judged([OWN] * N)
    limits = {name: record["limit"] for name, record in found["guardrails"].items()}
    assert limits == pytest.approx(
        {
            "byte_fallback_ratio": (0.01 + 0.30) / 2,
            "short_piece_ratio": (0.50 + 0.95) / 2,
            "common_short_pieces": 0.40 + 0.10 / 4,
            "lexicon_share": (0.95 + 0.10) / 2,
            "portuguese_words": (0.9 + 0.6) / 2,
            "repetition": (0.08 + 0.90) / 2,
            "recurring_words": 0.02 + 0.16 / 4,
            "copied_training_text": (5 + 20) / 2,
            "shared_phrases": 1 + 4 / 4,
            "language": 6 / 7 * (1 - 0.15),
            "self_likelihood": (5 + 7) / 2,
        }
    )
    assert found["origin"]["limit"] == pytest.approx((0 + 1) / 2)
    assert found["guardrails"]["self_likelihood"]["calibration"]["nearest"] == "shuffled_words"
    assert found["verdict"] == "pass"
    assert set(verdicts(found).values()) == {"pass"}
    assert found["evidence"] == []


def test_human_text_passes_every_guardrail_of_text_and_noise_fails_all_that_hold_it_off():
    found = judged([OWN] * N)
    human, noise = (
        {name: one["verdict"] for name, one in found["controls"][control].items()}
        for control in ("human", "noise")
    )
    assert human.pop("origin") == "fail"
    assert set(human.values()) == {"pass"}
    assert {name for name, verdict in noise.items() if verdict == "pass"} == {
        "short_piece_ratio",
        "repetition",
        "copied_training_text",
    }
    for record in (*found["guardrails"].values(), found["origin"]):
        for control in record["must_fail"]:
            assert found["controls"][control][record["name"]]["verdict"] == "fail"


def test_the_limit_knows_how_much_sets_move_by_chance():
    rng = random.Random(0)
    spread = [replace(GOOD, known_words=rng.choice([16, 20])) for _ in range(60)]
    calm = [replace(GOOD, known_words=18)] * 60
    limits = [
        calibrate(named("lexicon_share"), CONTROLS | {"human": texts}, N).edge
        for texts in (spread, calm)
    ]
    assert limits[0].worst_that_must_pass < 0.87 < limits[1].worst_that_must_pass == 0.9
    assert limits[0].value < limits[1].value


def test_a_gap_that_only_these_texts_have_leaves_no_room_for_a_limit():
    rng = random.Random(0)
    humans = [replace(GOOD, short_tokens=rng.randint(40, 90)) for _ in range(60)]
    noises = [replace(NOISE, short_tokens=rng.randint(40, 60)) for _ in range(60)]
    found = judged([OWN] * N, calibration=CONTROLS | {"human": humans, "noise": noises})
    record = found["guardrails"]["common_short_pieces"]
    assert (record["verdict"], record["limit"]) == ("invalid", None)
    assert found["guardrails"]["short_piece_ratio"]["verdict"] == "pass", "the other side stands"


def test_training_text_word_for_word_fails_as_a_copy_and_as_nothing_else():
    terse = [replace(one, short_tokens=44, stored_bits=None) for one in CONTROLS["verbatim"]]
    found = judged(terse, calibration=CONTROLS | {"verbatim": terse})
    assert failing(found) == {"copied_training_text", "origin"}
    assert [cause["cause"] for cause in found["causes"]] == ["another_writer", "copy"]


@pytest.mark.parametrize("language", ["english", "spanish", "galician"])
def test_words_of_another_language_fail_though_the_lexicon_lets_them_pass(language):
    found = judged([replace(CONTROLS[language][0], languages=GOOD.languages)] * N)
    assert verdicts(found)["lexicon_share"] == "pass"
    assert verdicts(found)["portuguese_words"] == "fail"
    record = found["guardrails"]["portuguese_words"]
    assert record["ci95"][0] <= record["value"] <= record["ci95"][1] < record["limit"]


def test_the_model_s_own_price_at_its_temperature_must_pass():
    flat = [replace(GOOD, likelihood=Likelihood(100, 500.0, 690.0))] * N
    record = judged([OWN] * N, calibration=CONTROLS | {"human": flat})["guardrails"][
        "self_likelihood"
    ]
    assert record["limit"] == pytest.approx((6.9 + 7) / 2), "human text alone would give 6"


def test_each_source_has_its_share_of_every_set():
    rare = replace(GOOD, source="cartas", known_words=10)
    many = calibrate(named("lexicon_share"), CONTROLS | {"human": [GOOD] * 90 + [rare] * 2}, N)
    assert many.edge.worst_that_must_pass == pytest.approx((0.95 + 0.5) / 2)


def test_the_limit_of_copies_is_before_the_shortest_planted_one():
    planted = [replace(GOOD, copy=Copy(words, "…")) for words in (12, 30, 30, 30)]
    assert (
        calibrate(named("copied_training_text"), CONTROLS | {"copied": planted}, N).edge.value
        == 8.5
    )


def test_one_copy_among_good_samples_fails():
    copy = replace(OWN, copy=Copy(20, "Era uma vez um carteiro que perdeu o chapéu"))
    found = judged([OWN] * (N - 1) + [copy])
    assert failing(found) == {"copied_training_text"}
    (cause,) = found["causes"]
    assert cause["cause"] == "copy"
    assert "perdeu o chapéu" in cause["text"]


def test_loops_in_a_tenth_of_the_samples_fail_and_fewer_do_not():
    loop = replace(LOOP, likelihood=OWN.likelihood)
    found = judged([OWN] * 18 + [loop] * 2)
    assert failing(found) == {"repetition"}
    assert [cause["cause"] for cause in found["causes"]] == ["loop"]
    assert judged([OWN] * 19 + [loop])["verdict"] == "pass"


def test_noise_is_named_uniform_and_explains_all_that_fails():
    found = judged([replace(NOISE, likelihood=Likelihood(100, 1390.0, 500.0))] * N)
    assert found["verdict"] == "fail"
    (cause,) = found["causes"]
    assert cause["cause"] == "uniform"
    assert set(cause["shown_by"]) == failing(found)
    assert "uniformly drawn, not drawn from this model" in cause["text"]


def test_good_text_of_another_writer_fails_by_its_origin_alone():
    found = judged([GOOD] * N)
    assert failing(found) == {"origin"}
    assert found["evidence"] == ["origin"]
    (cause,) = found["causes"]
    assert cause["cause"] == "one_sign"
    assert "it cannot be said that the model did not write them" in cause["text"]


def test_samples_are_called_another_s_only_where_several_kinds_of_evidence_agree():
    costly = {"likelihood": Likelihood(100, 500.0, 400.0)}
    for told, kinds in (
        ({"stored_bits": 500.0}, ["origin"]),
        ({"stored_bits": 400.0}, ["origin", "stored"]),
        ({"stored_bits": 500.0, "known_words": 17}, ["origin", "unlike_own"]),
        ({"stored_bits": 900.0, "likelihood": OWN.likelihood}, ["stored"]),
    ):
        found = judged([replace(OWN, **costly | told)] * N)
        assert found["evidence"] == kinds
        accused = {"uniform", "another_writer"} & {one["cause"] for one in found["causes"]}
        assert bool(accused) == (len(kinds) > 1)


def test_a_sampler_that_still_ignores_the_logits_is_accused_by_what_it_draws_now():
    drawn = replace(NOISE, stored_bits=1400.0)
    controls = CONTROLS | {"own": [drawn] * N}
    found = judged([drawn] * N, calibration=controls, checked=controls)
    assert found["evidence"] == ["self_likelihood", "sampler"]
    assert found["causes"][0]["cause"] == "uniform"


def test_own_text_that_the_model_finds_improbable_is_no_evidence_while_its_sampler_works():
    flat = replace(OWN, likelihood=Likelihood(100, 1100.0, 1100.0), stored_bits=1100.0)
    controls = CONTROLS | {"own": [flat] * N}
    found = judged([flat] * N, calibration=controls, checked=controls)
    assert failing(found) == {"self_likelihood"}
    assert found["evidence"] == []
    assert [cause["cause"] for cause in found["causes"]] == ["undertrained"]


def test_an_undertrained_model_is_not_accused_where_its_origin_cannot_be_told():
    poor = replace(OWN, known_words=3, likelihood=Likelihood(100, 500.0, 400.0), stored_bits=500.0)
    near = CONTROLS | {"own": [poor] * N, "shuffled_characters": [poor] * N}
    found = judged([poor] * N, calibration=near, checked=near)
    assert verdicts(found)["origin"] == "invalid"
    assert {cause["cause"] for cause in found["causes"]} <= {"undertrained"}


def test_a_model_that_writes_no_words_is_undertrained_not_swapped():
    found = judged([replace(OWN, known_words=3)] * N)
    assert failing(found) == {"lexicon_share"}
    assert [cause["cause"] for cause in found["causes"]] == ["undertrained"]


@pytest.mark.parametrize(
    ("spoilt", "guardrail"),
    [
        ({"short_tokens": 42}, "common_short_pieces"),
        ({"repetition": NOISE.repetition}, "recurring_words"),
        ({"copy": NOISE.copy}, "shared_phrases"),
    ],
)
def test_too_little_of_what_human_text_has_fails_and_is_no_loop_or_copy(spoilt, guardrail):
    found = judged([replace(OWN, **spoilt)] * N)
    assert failing(found) == {guardrail}
    assert verdicts(found)["copied_training_text"] == verdicts(found)["repetition"] == "pass"
    assert [cause["cause"] for cause in found["causes"]] == ["undertrained"]


def test_another_language_and_mojibake_are_named():
    foreign = judged([replace(CONTROLS["english"][0], languages=Counter(en=7))] * N)
    assert {cause["cause"] for cause in foreign["causes"]} == {"another_writer", "language"}
    assert any("en (70)" in cause["text"] for cause in foreign["causes"])
    broken = judged([replace(GOOD, mojibake=True)] * N)
    assert {cause["cause"] for cause in broken["causes"]} == {"one_sign", "mojibake"}


def test_samples_are_judged_also_where_the_model_writes_nothing_now():
    silent = [replace(OWN, tokens=0, likelihood=Likelihood(0, 0.0, 0.0))] * N
    found = judged([NOISE] * N, checked=CONTROLS | {"own": silent})
    assert any("– for what it writes now" in cause["text"] for cause in found["causes"])


@pytest.mark.parametrize(
    ("control", "texts", "guardrail"),
    [
        ("human", [replace(GOOD, known_words=2)], "lexicon_share"),
        ("noise", [replace(NOISE, known_words=19)], "lexicon_share"),
        ("noise", [replace(NOISE, likelihood=GOOD.likelihood)], "self_likelihood"),
        ("own", [NOISE], "origin"),
        ("looped", [GOOD], "repetition"),
        ("spanish", [replace(GOOD, languages=Counter())], "language"),
        ("english", [GOOD], "portuguese_words"),
        ("noise", [replace(NOISE, repetition=GOOD.repetition)], "recurring_words"),
    ],
)
def test_a_control_that_contradicts_makes_the_guardrail_invalid(control, texts, guardrail):
    found = judged([OWN] * N, checked=CONTROLS | {control: texts * N})
    record = {**found["guardrails"], "origin": found["origin"]}[guardrail]
    assert record["verdict"] == "invalid"
    assert repr(control) in record["reason"]


def test_an_invalid_guardrail_neither_fails_bad_samples_nor_passes_good_ones():
    same = CONTROLS | {"looped": CONTROLS["human"]}
    for samples in (OWN, replace(LOOP, likelihood=OWN.likelihood)):
        found = judged([samples] * N, calibration=same)
        record = found["guardrails"]["repetition"]
        assert (record["verdict"], record["limit"]) == ("invalid", None)
        assert "does not tell them apart" in record["reason"]
        assert found["verdict"] == "pass"


def test_nothing_is_trusted_when_every_guardrail_is_invalid():
    same = dict.fromkeys(CONTROLS, [GOOD] * N)
    found = judged([OWN] * N, calibration=same)
    assert set(verdicts(found).values()) == {"invalid"}
    assert found["verdict"] == "invalid"


def test_a_wanted_control_that_cannot_be_told_apart_is_said_and_the_next_one_taken():
    near = CONTROLS | {"shuffled_words": [GOOD] * N}
    record = judged([OWN] * N, calibration=near, checked=near)["guardrails"]["self_likelihood"]
    assert record["not_told_apart"] == ["shuffled_words"]
    assert record["must_fail"] == ["noise", "shuffled_characters"]
    assert record["limit"] == pytest.approx((5 + 14) / 2)
    assert record["verdict"] == "pass"


def test_at_temperature_one_human_text_may_be_as_the_models_own():
    near = CONTROLS | {"own": [GOOD] * N}
    record = judged([GOOD] * N, calibration=near, checked=near)["origin"]
    assert record["not_told_apart"] == ["human"]
    assert record["verdict"] == "pass"


@pytest.mark.parametrize("kind", ["characters", "bytes"])
def test_pieces_have_no_meaning_for_characters_and_bytes(kind):
    found = judged([OWN] * N, kind=kind)
    for name in ("byte_fallback_ratio", "short_piece_ratio", "common_short_pieces"):
        assert found["guardrails"][name]["verdict"] == "not applicable"
        assert kind in found["guardrails"][name]["reason"]
        assert found["guardrails"][name]["value"] is None
    assert "noise" in found["guardrails"]["language"]["must_fail"]
    assert found["verdict"] == "pass"


def test_samples_too_short_for_a_language_are_not_passed():
    record = judged([replace(OWN, languages=Counter())] * N)["guardrails"]["language"]
    assert (record["verdict"], record["value"]) == ("not applicable", None)
    assert record["details"]["too_short"] == N


def test_the_roadmaps_limits_are_invalid_where_human_text_breaks_them():
    found = with_roadmap_limits(result([OWN] * N)).to_json()
    short = found["guardrails"]["short_piece_ratio"]
    assert (short["limit"], short["verdict"]) == (0.12, "invalid")
    assert "'human', which must pass" in short["reason"]
    assert found["guardrails"]["byte_fallback_ratio"]["verdict"] == "pass"
    bad = with_roadmap_limits(result([replace(OWN, fallback_tokens=4)] * N)).to_json()
    assert failing(bad) == {"byte_fallback_ratio"}
    assert bad["verdict"] == "fail"
    characters = with_roadmap_limits(result([OWN] * N, kind="characters")).to_json()
    assert characters["guardrails"]["short_piece_ratio"]["verdict"] == "not applicable"


# The controls themselves.

WORDS = "o carteiro perdeu na ponte velha o chapéu azul que a menina achou perto do rio depois"


def long_documents(source, n, words=60):
    rng = random.Random(source)
    return [
        Document(f"{source}{i}", source, f"g{i}", " ".join(rng.choices(WORDS.split(), k=words)))
        for i in range(n)
    ]


@pytest.fixture
def human_texts(tokenizers):
    documents = long_documents("contos", 30) + long_documents("cartas", 5, words=14)
    return documents, controls.human(documents, tokenizers["bytes"], [100, 20] * 10, seed=0)


def test_human_texts_go_on_from_openings_in_turns_at_the_wanted_lengths(human_texts):
    documents, texts = human_texts
    whole = {document.text for document in documents}
    for number, one in enumerate(texts):
        assert len(one.prompt.split()) == controls.OPENING_WORDS
        assert any(text.startswith(one.prompt + one.text) for text in whole)
        if one.source == "contos":
            assert len(one.text.encode()) in ((100, 99, 20, 19)[number % 2 * 2 :])
    assert [one.source for one in texts[:2] * 10] == [one.source for one in texts]
    assert {one.source for one in texts} == {"contos", "cartas"}
    long_ones = [one.prompt + one.text for one in texts if one.source == "contos"]
    assert len(set(long_ones)) == len(long_ones)


def test_documents_without_more_than_an_opening_are_no_human_control(tokenizers):
    with pytest.raises(EscadaError, match="8 words"):
        controls.human(long_documents("x", 3, words=8), tokenizers["bytes"], [5], seed=0)


def test_shuffles_keep_what_they_shuffle(human_texts):
    _, texts = human_texts
    for one, words, characters in zip(
        texts,
        controls.shuffled_words(texts, seed=0),
        controls.shuffled_characters(texts, seed=0),
        strict=True,
    ):
        assert sorted(words.text.split()) == sorted(one.text.split())
        assert sorted(characters.text) == sorted(one.text)
        assert len(words.text) == len(one.text)
    assert controls.shuffled_words(texts, seed=0) != texts


def test_noise_uses_every_token_that_stands_for_text_and_no_other(tokenizers):
    tokenizer = tokenizers["characters"]
    text = controls.noise([SampleText("", "")], tokenizer, [20_000], seed=0)[0].text
    assert len(text) == 20_000
    assert set(text) == set(tokenizer.characters)
    counts = [text.count(character) for character in tokenizer.characters]
    assert max(counts) < 2 * min(counts)


def test_planted_copies_are_found_as_long_as_they_are(human_texts):
    documents, _ = human_texts
    planted = controls.copied(documents, 10, seed=0)
    found = longest_copies([one.text for one in planted], (d.text for d in documents))
    assert {copy.words for copy in found} == {controls.COPIED_WORDS}


def test_a_loop_repeats_the_first_words_to_the_length_of_the_text():
    (loop,) = controls.looped([SampleText("", " o rio subiu e o sol caiu " * 2)])
    assert loop.text == " o rio subiu e o sol o rio subiu e o sol o rio subiu"


@pytest.mark.parametrize("language", ["english", "spanish", "galician"])
def test_foreign_texts_are_foreign_and_as_long_as_the_human_ones(language):
    texts = controls.foreign([SampleText("", "x" * 200)] * 12, language)
    found = sum((languages(one.text) for one in texts), Counter())
    assert (
        found.most_common(1)[0][0] == {"english": "en", "spanish": "es", "galician": "gl"}[language]
    )
    assert {len(one.text) for one in texts} == {201}
    assert len({one.text for one in texts}) == 6


def test_origin_is_no_guardrail_of_text():
    assert ORIGIN.must_pass == "own"
    assert all(guardrail.must_pass == "human" for guardrail in guardrails())
