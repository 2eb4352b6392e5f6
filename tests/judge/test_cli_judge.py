"""`escada judge` as a process: killed, interrupted, and refused."""

import json
import os
import re
import signal
import time
from collections import Counter

import pytest
from tests.processes import Escada

from escada.files import read_json

PROMPTS = 3
QUESTIONS = PROMPTS * (3 + 6) + (PROMPTS + 1) // 2 * (4 + 12) + 10 * (2 + 3 * 2)


def command(runs, served, out, *more):
    return [
        *("judge", *(str(run.path) for run in runs)),
        *("--base-url", served.base_url, "--model", "j", "--out", str(out)),
        *("--prompts", str(PROMPTS), "--first-wait", "0.02", *more),
    ]


def environment():
    return os.environ | {"ESCADA_JUDGE_API_KEY": "sk-0123456789abcdef"}


def start(*arguments):
    return Escada(command(*arguments), env=environment())


def wait_for(condition, process):
    for _ in range(6000):
        if condition():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    raise AssertionError("waited in vain")


def answers(out):
    path = out / "journal.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return sum('"event": "answer"' in line for line in lines)


def opinion(verdict):
    way = {"calls", "tokens", "usd", "base_url", "degraded", "answers_by_form"}
    return {key: value for key, value in verdict.items() if key not in way}


def test_killed_in_the_middle_nothing_is_asked_twice_and_nothing_is_lost(
    serve, review, runs, tmp_path
):
    stall = tmp_path / "stall"
    stall.touch()
    served = serve("right", "--stall-after", "20", "--stall-file", str(stall))
    out = tmp_path / "killed"
    process = start(runs, served, out)
    # four questions are on their way, never to be answered, and the rest waits
    wait_for(lambda: len(served.outcomes("stalled")) == 4 and answers(out) >= 20, process)
    process.kill()
    process.communicate()
    with (out / "journal.jsonl").open("a") as file:
        file.write('{"event": "answer", "key": "torn by the')
    stall.unlink()
    process = start(runs, served, out, "--json")
    shown, said = process.communicate()
    assert process.returncode == 0, said
    answered = Counter(served.answered)
    assert max(answered.values()) == 1
    assert len(answered) == QUESTIONS
    undisturbed, _ = review(serve("right"), out="undisturbed")
    assert opinion(json.loads(shown)) == opinion(undisturbed)
    assert f"{QUESTIONS}/{QUESTIONS} questions" in said


def test_ctrl_c_waits_for_what_is_on_its_way_saves_and_says_how_to_go_on(serve, runs, tmp_path):
    served = serve("right", "--delay", "0.3")
    out = tmp_path / "judge"
    process = start(runs, served, out)
    wait_for(lambda: answers(out) >= 3, process)
    process.send_signal(signal.SIGINT)
    shown, said = process.communicate()
    assert process.returncode == 130
    assert "The same command goes on." in said
    assert "Traceback" not in said
    assert shown == ""
    assert answers(out) == len(served.answered) < QUESTIONS, "no reply was dropped"
    assert not (out / "verdict.json").exists()


@pytest.mark.slow
def test_a_second_ctrl_c_does_not_wait(serve, runs, tmp_path):
    served = serve("right", "--delay", "60")
    out = tmp_path / "judge"
    process = start(runs, served, out)
    wait_for(lambda: (out / "journal.jsonl").exists(), process)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in said


@pytest.mark.slow
def test_killed_at_any_moment_no_recorded_answer_is_asked_for_again(serve, review, runs, tmp_path):
    served = serve("right", "--delay", "0.05")
    out = tmp_path / "judge"
    for more in (1, 11, 7):
        process, before = start(runs, served, out), answers(out)
        wait_for(lambda n=before + more: answers(out) >= n, process)
        process.kill()
        process.communicate()
    process = start(runs, served, out, "--json")
    shown, said = process.communicate()
    assert process.returncode == 0, said
    assert answers(out) == QUESTIONS
    twice = sum(count - 1 for count in Counter(served.answered).values())
    assert twice <= 3 * 4, "only what was on its way when the process died"
    undisturbed, _ = review(serve("right"), out="undisturbed")
    assert opinion(json.loads(shown)) == opinion(undisturbed)


def test_a_person_reads_first_whether_to_believe_it_and_no_key_is_shown(serve, runs, tmp_path):
    served = serve("first", "--echo-key")
    process = start(runs, served, tmp_path / "judge")
    shown, said = process.communicate()
    assert process.returncode == 0, said
    assert shown.startswith("judged by j: NOT RELIABLE\n")
    assert re.search(r"100% \[\d+%, 100%\] of the \d+ decided pairs without noise", shown)
    assert "human" in shown
    everything = shown + said
    for path in (tmp_path / "judge").iterdir():
        everything += path.read_text()
    assert "0123456789abcdef" not in everything
    assert "Bearer [hidden]" in everything


def invoke(*arguments):
    import typer
    from typer.testing import CliRunner

    from escada.cli.measure.judge import judge

    app = typer.Typer()
    app.command()(judge)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no judge is named"),
        (["--base-url", "http://h/v1"], "no judge is named"),
        (["--reference", "{run}", "--model", "m"], "needs no endpoint"),
        (["--base-url", "http://a:b@h/v1", "--model", "m"], "user or password"),
        (["--base-url", "http://h", "--model", "m", "--max-usd", "1"], "needs the prices"),
        (
            ["--base-url", "http://h", "--model", "m", "--usd-per-million-input-tokens", "1"],
            "one price of two",
        ),
    ],
)
def test_what_a_user_got_wrong_is_one_clear_error(runs, arguments, message):
    from escada.errors import EscadaError

    with pytest.raises(EscadaError, match=message):
        invoke(runs[0].path, *(part.replace("{run}", str(runs[1].path)) for part in arguments))


def test_the_default_folder_lies_beside_the_runs_and_a_reference_needs_no_endpoint(runs):
    result = invoke(
        *(runs[0].path, runs[1].path, "--reference", runs[1].path, "--prompts", 1),
        *("--device", "cpu", "--json"),
    )
    verdict = json.loads(result.stdout)
    folder = runs[0].path.parent / "judge"
    assert read_json(folder / "verdict.json") == verdict
    shown = invoke(
        *(runs[0].path, runs[1].path, "--reference", runs[1].path, "--prompts", 1),
        *("--device", "cpu"),
    ).stdout
    assert "bits per byte under" in shown
    assert "its own rating says nothing" in shown
