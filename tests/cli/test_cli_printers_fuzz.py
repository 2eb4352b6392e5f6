"""Random names of rungs, sources and files through each printer: each row stays one line."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from escada.cli import data, doctor, plan
from escada.cli.measure import compare, evaluate, guard, judge, score
from escada.cost.machine import unknown_gpu
from escada.cost.money import load_prices
from escada.cost.planner import make_plan
from escada.cost.tokens import TrainingText
from escada.evaluation.tasks.documents import DocumentsResult
from escada.evaluation.text_score import TextScore
from escada.guardrails.task import GuardrailsResult
from escada.report.schema import ComparisonRow, Ladder
from escada.report.writers import terminal
from escada.runs.environment import Environment
from escada.spec import load_spec
from escada.training.memory import shape_of

NAME = st.text(st.characters(exclude_categories=()), max_size=40) | st.sampled_from(
    ["[/a]", "[bold]x[/bold]", ":smile:", "\x1b[2J", "a\nb", "\u2028", "x" * 10_000, "caf\udce9"]
)
RUNG = {"parameters": 1000, "beats_previous": None, "bits_per_byte": 2.0, "ci95": None, "seed": 0}
RUNG |= {"perplexity": 3.0, "tokens_per_second": 5.0, "training_flops": 1e9}
RUNG |= {"macro_bits_per_byte": 2.1, "groups": 9, "effective_groups": 3.5}
RUNG |= {"peak_memory_bytes": 1, "training_seconds": 1.0}
FOUND = {"bits_per_byte": 2.0, "ci95": None, "perplexity": 3.0, "accuracy": 0.5, "documents": 1}
FOUND |= {"bytes": 5, "tokens": 3, "profile": "reference", "unknown": 0}
FOUND |= {"protocol": "document/carried-state"}
FOUND |= {"context_tokens": None, "tokens_per_second": 5.0, "groups": 1}
FOUND |= {"effective_groups": 1.0, "ci95_borrowed": [], "ci95_leaves_out": []}
FOUND |= {"macro_bits_per_byte": 2.0, "macro_ci95": None, "corpus_hash": None, "by_source": {}}
SOURCE = {"bits_per_byte": 2.0, "ci95": None, "groups": 1, "effective_groups": 1.0, "bytes": 5}
ROW = {"difference": 0.1, "relative": 0.1, "ci95": None, "p_value": None, "verdict": "better"}
PART = {"difference": 0.1, "ci95": None, "p_value": None, "groups": 1, "verdict": "better"}
TEXT = TrainingText(tokens=1000, bytes=1025, vocab_size=213, basis="counted")
NOTED = {"sources_disagree": False, "alone": []}
many = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def lines(capsys):
    out = capsys.readouterr().out
    shown = out.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    assert not [c for c in shown if c != "\n" and (c < " " or "\x7f" <= c < "\xa0")]
    return shown.split("\n")[:-1]


@many
@given(name=NAME)
def test_a_corpus_s_table(capsys, name):
    data._table(("source", "split", "bytes"), [(name, "train", 7), ("b", "test", 8)])
    assert len(lines(capsys)) == 3


@many
@given(name=NAME)
def test_a_climb_s_table(capsys, name):
    rung = RUNG | {"name": name, "tokenizer": {"kind": name, "vocab_size": 4}}
    rung |= {"run": name, "status": "finished"}
    rung |= {"ci95_leaves_out": [name]}
    baseline = {"name": name, "key": "xz", "bits_per_byte": 2.0, "ci95": None}
    compared = [{"a": name, "b": "xz", "verdict": "worse", "difference": 0.1}]
    compared[0] |= {"ci95": None, "p_value": None}
    ladder = {"schema_version": 1, "rungs": [rung], "baselines": [baseline]}
    terminal.show_ladder(Ladder.model_validate(ladder | {"baseline_comparisons": compared}))
    assert len([line for line in lines(capsys) if "2.000" in line]) == 2


@many
@given(name=NAME)
def test_a_comparison(capsys, name):
    source = {name: PART}
    row = ROW | {"a": name, "b": name, "scope": "run", "by_source": source}
    compare._show([ComparisonRow.model_validate(row | NOTED)], "bits_per_byte")
    assert len([line for line in lines(capsys) if "+0.1000" in line]) == 2


@many
@given(name=NAME)
def test_a_measurement(capsys, name):
    tokenizer = {"kind": "bpe", "vocab_size": 4}
    found = FOUND | {"tokenizer": tokenizer, "split": name, "sources": {name: SOURCE}}
    evaluate._show(DocumentsResult(**found))
    assert lines(capsys)


@many
@given(name=NAME)
def test_guardrails(capsys, name):
    record = {"name": name, "value": 0.5, "ci95": [0.4, 0.6], "limit": 0.7, "direction": "at most"}
    record |= {"unit": "share", "verdict": "fail", "reason": f"r{name}", "calibration": None}
    record |= {"must_pass": "human", "must_fail": ["noise"], "not_told_apart": [name]}
    controls = {control: {name: {"value": 0.1}} for control in ("human", "noise")}
    found = {"guardrails": {name: record}, "origin": record, "controls": controls}
    found |= {"samples": {"judged": 1, "there": 1}, "verdict": "fail"}
    found["samples"] |= {"sha256": "", "empty": 0}
    causes = [{"cause": "noise", "text": name, "shown_by": [name]}]
    guard._show(GuardrailsResult(**found, causes=causes))
    out = lines(capsys)
    assert len(out) == 10
    assert "1 of 1 sample: fail" in out


@many
@given(name=NAME)
def test_a_judge_s_verdict(capsys, name):
    from escada.judge.panel import PROBE_PAIRS
    from escada.judge.verdict import Verdict

    row = {"name": name, "role": "run", "run": name, "rating": 5.0, "ci95": None, "comparisons": 1}
    said = {"code": "c", "text": name}
    probe = {"pairs": 0, "won": 0, "share": None, "ci95": None}
    found = {"schema_version": 1, "key": "", "kind": "endpoint", "model": name, "base_url": name}
    found |= {"rubric": None, "corpus_hash": "", "panel": "", "openings": {}, "seed": 0}
    found |= {"complete": True, "reliable": False, "reasons": [said], "notes": [said], "limits": {}}
    found |= {"ratings": [row], "controls": {"human": row | {"role": "human"}}}
    found |= {"swap_contradictions": None, "position_bias": None, "usd": None, "calls": 1}
    margin = {"difference": None, "ci95": None}
    found["human_above_noise"] = {"rating": margin, "direct_share": None}
    found["probes"] = dict.fromkeys(PROBE_PAIRS, probe) | {"marks": None}
    found |= {"questions": {"answered": 1, "total": 1, "unusable": 0, "pending": 0}}
    found |= {"tokens": {"input": 1, "output": 1}}
    found |= {"degraded": [{"part": name, "base_url": "", "reason": ""}]}
    judge._show(Verdict.model_validate(found), name)
    assert len(lines(capsys)) == 12


@many
@given(name=NAME)
def test_a_plan(capsys, name):
    spec = load_spec("v1")
    spec = spec.model_copy(update={"name": name, "preset": name})
    machine = replace(unknown_gpu(2**30, spec), title=name)
    found = make_plan(spec, shape_of(spec, 213), TEXT, machine, load_prices())
    plan._show(replace(found, total_steps=None))
    assert len(lines(capsys)) == 18


@many
@given(name=NAME)
def test_a_score(capsys, name):
    text = name.encode("utf-8", "replace").decode()
    other = {"id": 1, "name": text, "bits": 1.0}
    token = {"id": 1, "name": text, "text": text, "start_byte": 0, "stop_byte": 1, "bits": 2.0}
    token |= {"greedy": False, "alternatives": [other]}
    table = {"text": text, "profile": text, "tokenizer": text, "vocab_size": 4, "bytes": 7}
    table |= {"protocol": "document/carried-state", "context_tokens": None, "tokens": [token]}
    found = TextScore(**table, unknown=1, bits=3.0, bits_per_byte=2.0)
    score._show(name, found)
    assert len(lines(capsys)) == 5
    score._compare([(name, found)])
    assert len(lines(capsys)) == 2


@settings(many, max_examples=20)
@given(name=NAME)
def test_what_the_machine_has(capsys, name):
    machine = Environment(gpus=(name,), cpu=name, threads=1, cores=1, python=name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("escada.spec.rung_names", lambda: [])
        patch.setattr("escada.runs.environment.environment", lambda: machine)
        doctor.doctor()
    assert len(lines(capsys)) >= 9
