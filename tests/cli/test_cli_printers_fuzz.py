"""Random names of rungs, sources and files through each printer: each row stays one line."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from escada.cli import compare, data, evaluate
from escada.report.writers import terminal as table

NAME = st.text(st.characters(exclude_categories=()), max_size=40) | st.sampled_from(
    ["[/a]", "[bold]x[/bold]", ":smile:", "\x1b[2J", "a\nb", "\u2028", "x" * 10_000, "caf\udce9"]
)
RUNG = {"parameters": 1000, "beats_previous": None, "bits_per_byte": 2.0, "ci95": None, "seed": 0}
RUNG |= {"perplexity": 3.0, "tokens_per_second": 5.0, "training_flops": 1e9}
RUNG |= {"macro_bits_per_byte": 2.1, "groups": 9, "effective_groups": 3.5}
RUNG |= {"peak_memory_bytes": 1, "training_seconds": 1.0}
FOUND = {"bits_per_byte": 2.0, "ci95": None, "perplexity": 3.0, "accuracy": 0.5, "documents": 1}
FOUND |= {"bytes": 5, "tokens": 3, "profile": "reference", "unknown": 0, "protocol": "document"}
FOUND |= {"context_tokens": None, "tokens_per_second": 5.0, "groups": 1}
FOUND |= {"effective_groups": 1.0, "ci95_borrowed": [], "ci95_leaves_out": []}
FOUND |= {"macro_bits_per_byte": 2.0, "macro_ci95": None}
SOURCE = {"bits_per_byte": 2.0, "ci95": None, "groups": 1}
ROW = {"difference": 0.1, "relative": 0.1, "ci95": None, "p_value": None, "verdict": "better"}
PART = {"difference": 0.1, "ci95": None, "p_value": None, "groups": 1, "verdict": "better"}
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
    rung |= {"ci95_leaves_out": [name]}
    baseline = {"name": name, "key": "xz", "bits_per_byte": 2.0, "ci95": None}
    compared = [{"a": name, "b": "xz", "verdict": "worse"}]
    ladder = {"rungs": [rung], "baselines": [baseline], "baseline_comparisons": compared}
    table.ladder_table(ladder)
    assert len([line for line in lines(capsys) if "2.000" in line]) == 2


@many
@given(name=NAME)
def test_a_comparison(capsys, name):
    source = {name: PART}
    row = ROW | {"a": name, "b": name, "scope": "run", "by_source": source}
    compare._show([row | NOTED], "bits_per_byte")
    assert len([line for line in lines(capsys) if "+0.1000" in line]) == 2


@many
@given(name=NAME)
def test_a_measurement(capsys, name):
    tokenizer = {"kind": "bpe", "vocab_size": 4}
    evaluate._show(FOUND | {"tokenizer": tokenizer, "split": name, "sources": {name: SOURCE}})
    assert lines(capsys)
