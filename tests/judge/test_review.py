"""Reviews through a real server: whom they believe, and what they survive."""

from collections import Counter

import pytest

from escada.errors import EscadaError
from escada.files import read_json
from escada.judge.budget import CallBudget, TokenPrices
from escada.judge.client import RetryPolicy

PROMPTS = 3
QUESTIONS = PROMPTS * (3 + 6) + (PROMPTS + 1) // 2 * (4 + 12) + 10 * (2 + 3 * 2)
"""Marks and ordered pairs of two runs and noise; on held-out openings of human text too; and ten
probes."""


def opinion(verdict):
    """A verdict without what depends on how it was reached."""
    way = {"calls", "tokens", "usd", "base_url", "degraded", "answers_by_form"}
    return {key: value for key, value in verdict.items() if key not in way}


def codes(verdict):
    return {reason["code"] for reason in verdict["reasons"]}


def asked_once(*served):
    answered = Counter(question for one in served for question in one.answered)
    return max(answered.values()) == 1 and len(answered) == QUESTIONS


# --- whom to believe --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("judge", "failing"),
    [
        ("right", set()),
        ("first", {"probe_pairs", "swap_contradictions", "direct_control", "rating_control"}),
        ("longer", {"probe_pairs", "swap_contradictions", "direct_control", "rating_control"}),
        ("noise-then-first", {"probe_pairs", "probe_marks", "swap_contradictions"}),
        ("noise-then-coin", {"probe_pairs", "probe_marks"}),
        ("noise-then-longer", {"probe_pairs", "probe_marks"}),
    ],
)
def test_of_six_judges_only_the_right_one_is_reliable(serve, review, judge, failing):
    verdict, _ = review(serve(judge))
    assert verdict["reliable"] == (judge == "right")
    assert codes(verdict) - {"swap_contradictions"} == failing - {"swap_contradictions"}
    assert failing <= codes(verdict)


def test_what_is_easy_does_not_dilute_what_needs_judgement(serve, review):
    verdict, _ = review(serve("noise-then-first"))
    assert verdict["human_above_noise"]["direct_share"] == 1
    assert verdict["human_above_noise"]["rubric"]["difference"] > 2
    swaps = verdict["swap_contradictions"]
    assert swaps["pairs"] == PROMPTS * 1 + (PROMPTS + 1) // 2 * 3, "none with noise"
    assert swaps["contradicted"] / QUESTIONS < 0.1 < 0.4 < swaps["share"] < swaps["ci95"][1]
    probes = verdict["probes"]
    assert {kind: probes[kind]["share"] for kind in ("shuffled", "elsewhere", "longer")} == {
        "shuffled": 0.5,
        "elsewhere": 0.5,
        "longer": 0.5,
    }
    assert probes["marks"]["difference"] == 0


def test_a_judge_that_takes_the_longer_loses_every_probe_of_longer_nonsense(serve, review):
    verdict, _ = review(serve("noise-then-longer"))
    longer = verdict["probes"]["longer"]
    assert (longer["share"], longer["pairs"]) == (0, 10)
    assert longer["ci95"][1] < 0.5


def test_a_right_judge_is_reliable(serve, review, tmp_path, runs):
    served = serve("right")
    verdict, stop = review(served)
    assert stop == "done"
    assert verdict["reliable"], verdict["reasons"]
    assert verdict["reasons"] == verdict["notes"] == []
    assert asked_once(served)
    assert verdict["calls"] == QUESTIONS
    assert verdict["tokens"] == {"input": 300 * QUESTIONS, "output": 40 * QUESTIONS}
    assert verdict["usd"] is None
    human, noise = verdict["controls"]["human"], verdict["controls"]["noise"]
    assert human["rating"] > max(row["rating"] for row in verdict["ratings"])
    assert human["ci95"][0] <= human["rating"] <= human["ci95"][1]
    assert human["rubric"]["overall"]["mean"] > noise["rubric"]["overall"]["mean"] + 2
    assert {row["run"] for row in verdict["ratings"]} == {run.name for run in runs}
    assert verdict["swap_contradictions"]["contradicted"] == 0
    assert verdict["position_bias"]["first_share"] == pytest.approx(0.5, abs=0.02)
    assert read_json(tmp_path / "judge" / "verdict.json") == verdict


def test_a_judge_that_always_takes_the_first_is_unreliable_and_its_bias_measured(serve, review):
    verdict, _ = review(serve("first"))
    assert not verdict["reliable"]
    assert {"direct_control", "rating_control", "swap_contradictions"} <= codes(verdict)
    assert verdict["position_bias"]["first_share"] == 1
    assert verdict["swap_contradictions"]["share"] == 1
    assert all(row["rating"] == pytest.approx(0, abs=1e-6) for row in verdict["ratings"])


def test_a_judge_that_prefers_noise_is_unreliable(serve, review):
    verdict, _ = review(serve("inverted"))
    assert not verdict["reliable"]
    assert {"rubric_control", "direct_control", "rating_control"} <= codes(verdict)
    assert verdict["human_above_noise"]["rubric"]["difference"] < -2
    assert verdict["human_above_noise"]["direct_share"] == 0
    assert [note["code"] for note in verdict["notes"]] == ["above_human"]
    assert "noise above human text" in verdict["reasons"][0]["text"]


def test_a_judge_that_never_decides_is_unreliable(serve, review):
    verdict, _ = review(serve("tie"))
    assert codes(verdict) == {"direct_control", "rating_control", "probe_pairs"}
    assert verdict["position_bias"]["first_share"] is None
    assert verdict["swap_contradictions"]["share"] is None


def test_a_judge_whose_answers_cannot_be_used_is_unreliable_and_none_is_guessed(serve, review):
    served = serve("right", faults=dict.fromkeys(range(2, 4 * QUESTIONS), "malformed"))
    verdict, stop = review(served)
    assert stop == "done"
    assert {"unusable_answers", "rubric_control"} <= codes(verdict)
    assert verdict["questions"]["unusable"] == QUESTIONS - 1
    assert set(Counter(line["question"] for line in served.lines[1:]).values()) == {3}
    assert all(row["rating"] is None for row in verdict["ratings"])
    again, _ = review(served)
    assert len(served.lines) == 3 * QUESTIONS - 2, "what was given up is not asked again"
    assert again == verdict


# --- what is noticed before it costs ----------------------------------------------------------


@pytest.mark.parametrize("content", ["after-thinking", "parts"])
def test_answers_behind_thinking_or_in_parts_cost_one_call_each(serve, review, content):
    served = serve("right", "--content", content)
    verdict, _ = review(served)
    assert len(served.lines) == QUESTIONS
    assert verdict["questions"]["answered"] == QUESTIONS


@pytest.mark.parametrize(
    ("fault", "calls", "message", "fix"),
    [
        ("page", 1, r"answers with a web page.*it began: <html>Sign in</html>", "ends in /v1"),
        ("malformed", 6, "none of the first 6 .*: Prefiro o A, sem dúvida", "JSON"),
        ("wrong", 6, "none of the first 6 .*another form", "JSON"),
        ("length", 6, "none of the first 6 .*cut off", "more than --max-output-tokens 400"),
        ("empty", 6, "none of the first 6 .*no text in the reply", "--model"),
        ("declines", 6, "declines: Não posso avaliar isso", "--model"),
        ("only-thinking", 6, "no answer after the thinking", "--model"),
        ("error-200", 6, "no chat completion; it began: .*Unexpected endpoint", "--base-url"),
        ("unknown-model", 1, "no such path or model .*not a valid model", "--model"),
        ("401", 1, "wants another key", "ESCADA_JUDGE_API_KEY"),
        ("404", 1, "no such path or model", "--model"),
    ],
)
def test_an_endpoint_that_never_answers_is_noticed_after_a_few_calls(
    serve, review, fault, calls, message, fix
):
    served = serve("right", "--always", fault)
    with pytest.raises(EscadaError, match=message) as raised:
        review(served)
    assert len(served.lines) == calls
    assert fix in str(raised.value.fix)
    assert served.base_url in str(raised.value)


def test_what_ended_a_review_is_shown_without_secrets_and_short(serve, review, monkeypatch):
    monkeypatch.setenv("ESCADA_JUDGE_API_KEY", KEY)
    with pytest.raises(EscadaError, match=r"\[hidden\]") as raised:
        review(serve("right", "--always", "malformed", "--echo-key"))
    assert KEY not in str(raised.value)


# --- what it survives -------------------------------------------------------------------------

EVERY_FAULT = {
    2: "429",
    5: "500",
    9: "503",
    14: "reset",
    19: "cut",
    23: "malformed",
    24: "wrong",
    31: "hang",
    37: "page",
    41: "length",
    44: "reset",
    45: "408",
}


def test_every_fault_on_the_way_ends_in_the_verdict_of_an_undisturbed_review(serve, review):
    undisturbed, _ = review(serve("right"), out="undisturbed")
    served = serve("right", faults=EVERY_FAULT)
    verdict, stop = review(served, out="disturbed", timeout_seconds=1.5)
    assert stop == "done"
    assert opinion(verdict) == opinion(undisturbed)
    assert asked_once(served)
    assert [line["outcome"] for line in served.lines if line["outcome"] != "answered"] == list(
        EVERY_FAULT.values()
    )
    assert verdict["calls"] == QUESTIONS + len(EVERY_FAULT)
    bad = {"malformed", "wrong", "page", "length"}
    again = {line["question"] for line in served.lines if line["again"]}
    assert again == {line["question"] for line in served.lines if line["outcome"] in bad}


def test_a_429_is_waited_for_as_long_as_the_server_says(serve, review):
    served = serve("right", faults={6: "429"})
    review(served)
    (told,) = served.outcomes("429")
    later = [line["time"] for line in served.lines if line["n"] > told["n"]]
    # what is sent while the 429 travels is one thing, half a second later is another
    assert not [moment for moment in later if told["time"] + 0.5 < moment < told["time"] + 1]
    assert sum(moment < told["time"] + 1 for moment in later) < QUESTIONS // 2
    repeated = [line["time"] for line in served.lines if line["question"] == told["question"]]
    assert len(repeated) == 2
    assert repeated[1] - repeated[0] >= 1


def test_no_more_calls_at_a_time_than_were_allowed(serve, review):
    served = serve("right", "--delay", "0.02")
    review(served, concurrency=3)
    assert max(line["most_in_flight"] for line in served.lines) == 3


def test_a_server_that_stays_down_ends_the_review_and_what_was_answered_is_kept(serve, review):
    served = serve("right", faults=dict.fromkeys(range(21, 60), "503"))
    with pytest.raises(EscadaError, match=r"failed 4 times in a row \(HTTP 503") as raised:
        review(served)
    assert "same command later" in str(raised.value)
    done = len(served.answered)
    assert done == 20
    good = serve("right")
    verdict, _ = review(good)
    assert verdict["reliable"]
    assert asked_once(served, good)


def test_a_wait_of_a_day_is_not_waited_for(serve, review):
    with pytest.raises(EscadaError, match="asks for a wait of 86400 s"):
        review(serve("right", faults={3: "429-long"}))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("401", "wants another key"),
        ("404", "knows no such path or model"),
        ("quota", "no money left"),
        ("400", "refuses every question"),
    ],
)
def test_what_no_retry_mends_ends_at_once_with_what_to_do(serve, review, fault, message):
    served = serve("right", "--always", fault)
    with pytest.raises(EscadaError, match=message):
        review(served)
    assert len(served.lines) <= 12
    good = serve("right")
    assert review(good)[0]["reliable"], "nothing of it is held against the questions"


def test_a_single_question_that_the_server_refuses_is_given_up_and_counted(serve, review):
    served = serve("right", faults=dict.fromkeys((20, 21, 22), "400"))
    verdict, _ = review(served, concurrency=1)
    assert verdict["questions"]["unusable"] == 1
    assert verdict["questions"]["answered"] == QUESTIONS - 1
    assert verdict["reliable"]


@pytest.mark.parametrize(
    ("refuse", "status", "forms", "dropped"),
    [
        ("json_schema", "400", {"json_object"}, {"json_schema"}),
        ("json_schema,json_object", "422", {"words"}, {"json_schema", "json_object"}),
        ("response_format", "500", {"words"}, {"json_schema", "json_object"}),
        ("response_format", "mute", {"words"}, {"json_schema", "json_object"}),
        ("temperature", "400", {"json_schema"}, {"temperature"}),
        ("max_tokens", "400", {"json_schema"}, {"max_tokens"}),
    ],
)
def test_what_the_server_refuses_is_left_out_and_recorded(
    serve, review, refuse, status, forms, dropped
):
    served = serve("right", "--refuse", refuse, "--refusal", status)
    said = []
    verdict, _ = review(served, say=said.append)
    assert verdict["reliable"]
    assert asked_once(served)
    assert set(verdict["answers_by_form"]) == forms
    assert {one["part"] for one in verdict["degraded"]} == dropped
    assert len(said) == len(dropped)
    refusals = len(served.lines) - QUESTIONS
    assert refusals <= 4 * len(dropped), "once refused, never sent again"
    assert verdict["calls"] == len(served.lines)
    again = serve("right")
    review(again)
    assert again.lines == []


def test_what_a_server_refused_is_remembered_for_that_server_only(serve, review):
    served = serve("right", "--refuse", "json_schema")
    review(served, budget=CallBudget(max_calls=30))
    before = len(served.lines)
    review(served, budget=CallBudget(max_calls=10))
    later = served.lines[before:]
    assert {line["outcome"] for line in later} == {"answered"}
    other = serve("right")
    verdict, _ = review(other)
    assert verdict["answers_by_form"].keys() == {"json_object", "json_schema"}


# --- budgets and going on ---------------------------------------------------------------------


def test_a_budget_in_calls_is_never_passed_and_the_same_review_goes_on(serve, review):
    served = serve("right")
    verdict, stop = review(served, budget=CallBudget(max_calls=25))
    assert stop == "budget"
    assert len(served.lines) == 25
    assert codes(verdict) >= {"incomplete"}
    assert verdict["questions"]["pending"] == QUESTIONS - 25
    assert not verdict["reliable"]
    _, stop = review(served, budget=CallBudget(max_calls=25))
    assert stop == "budget"
    assert len(served.lines) == 50
    verdict, stop = review(served)
    assert stop == "done"
    assert asked_once(served)
    undisturbed, _ = review(serve("right"), out="undisturbed")
    assert opinion(verdict) == opinion(undisturbed)


def test_a_budget_in_money_is_never_passed(serve, review):
    served = serve("right")
    prices = TokenPrices(input=10.0, output=100.0)  # 0.003 + 0.004 USD a call, as the server counts
    budget = CallBudget(max_usd=0.2, prices=prices)
    verdict, stop = review(served, budget=budget)
    assert stop == "budget"
    spent = len(served.lines) * 0.007
    assert verdict["usd"] == pytest.approx(spent)
    assert 0.1 < spent <= 0.2
    assert budget.usd == pytest.approx(spent)


def test_no_money_means_no_call(serve, review):
    served = serve("right")
    _, stop = review(served, budget=CallBudget(max_usd=0.0, prices=TokenPrices(1.0, 1.0)))
    assert (stop, served.lines) == ("budget", [])


def test_another_model_is_asked_anew_and_its_verdict_put_beside_not_over(serve, review, tmp_path):
    served = serve("right")
    first, _ = review(served)
    second, _ = review(served, model="other")
    assert len(served.lines) == 2 * QUESTIONS
    kept = tmp_path / "judge" / f"verdict-{first['key'][:8]}.json"
    assert read_json(kept) == first
    assert read_json(tmp_path / "judge" / "verdict.json") == second


def test_the_judge_is_never_told_who_wrote_a_text(serve, review, tmp_path, runs):
    verdict, _ = review(serve("right"))
    panel = read_json(tmp_path / "judge" / verdict["panel"])
    from escada.judge.panel import Entrant, Opening, Panel, PanelText
    from escada.judge.questions import Judge, questions

    names = [one["name"] for one in panel["entrants"]]
    assert names[-2:] == ["human", "noise"]
    bare = Panel(
        [Opening("o", "Era uma vez", True)],
        [Entrant(name, "run", name, {"o": PanelText("x", False)}) for name in names],
        "",
    )
    for question in questions(bare, Judge("j")):
        assert not any(name in question.words for name in names)


# --- keys -------------------------------------------------------------------------------------

KEY = "sk-very-secret-1234567890"


def test_no_key_reaches_a_file_a_message_or_an_answer(serve, review, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("ESCADA_JUDGE_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another-key-that-must-not-be-used")
    monkeypatch.setenv("OPENAI_LOG", "debug")
    served = serve("right", "--echo-key", faults=EVERY_FAULT)
    said = []
    review(served, timeout_seconds=1.5, say=said.append)
    with pytest.raises(EscadaError, match="wants another key") as raised:
        review(serve("right", "--echo-key", "--always", "401"), out="refused")
    assert "Bearer [hidden]" in str(raised.value), "the server did repeat it"
    journal = (tmp_path / "judge" / "journal.jsonl").read_text()
    assert journal.count("Bearer [hidden]") > QUESTIONS
    everything = "".join(said) + str(raised.value) + "".join(capfd.readouterr())
    for path in tmp_path.rglob("*"):
        if path.is_file():
            everything += path.read_text(errors="replace")
    assert "very-secret" not in everything
    assert "another-key" not in everything


def test_an_endpoint_without_a_key_is_asked_without_one(serve, review, monkeypatch, tmp_path):
    monkeypatch.setenv("ESCADA_JUDGE_API_KEY", "")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    review(serve("right", "--echo-key"))
    text = (tmp_path / "judge" / "journal.jsonl").read_text()
    assert "Bearer none" in text
    assert "hidden" not in text


def test_patience_doubles_and_keeps_to_the_server_s_wish():
    retry_policy = RetryPolicy(first_wait_seconds=1, longest_wait_seconds=60)
    assert [retry_policy.wait_seconds(n, None, 0) for n in (1, 2, 3, 8)] == [1, 2, 4, 60]
    assert retry_policy.wait_seconds(3, None, 1) == 2
    assert retry_policy.wait_seconds(1, 7.5, 0.5) == 7.5


def test_a_second_review_in_one_folder_is_refused_while_the_first_goes_on(serve, review, tmp_path):
    from escada.judge.journal import open_journal

    with (
        open_journal(tmp_path / "judge" / "journal.jsonl", str),
        pytest.raises(EscadaError, match="another review is writing here"),
    ):
        review(serve("right"))
