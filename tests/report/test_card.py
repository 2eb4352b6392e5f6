"""The model card says what the run's files say, and says what they do not."""

import json
import shutil

import pytest

from escada.evaluation.task import Subject, complete
from escada.evaluation.tasks.documents import TEST, TRAINING
from escada.evaluation.tasks.samples import SAMPLES
from escada.files import read_json
from escada.report.writers.card import card_text, write_card
from escada.runs.run import open_run


@pytest.fixture(scope="module")
def trained(corpus_path, tmp_path_factory):
    from escada.budget import Budget
    from escada.spec import load_spec
    from escada.text.corpus import Corpus
    from escada.training.run import start

    sizes = ["model.d_hidden=24", "model.d_embedding=12", "train.batch_sequences=4"]
    spec = load_spec("v1", preset="laptop", overrides=[*sizes, "train.window_tokens=24"])
    out = tmp_path_factory.mktemp("runs")
    return start(
        spec.with_budget(Budget.parse("10 steps")), Corpus.open(corpus_path), out, device="cpu"
    ).path


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the run that a test may change."""
    return open_run(shutil.copytree(trained, tmp_path / trained.name))


def change(path, **values):
    table = read_json(path)
    path.write_text(json.dumps(table | values), encoding="utf-8")


def test_a_fresh_run_says_how_it_was_trained_and_what_was_not_measured(run):
    card = card_text(run)
    record = read_json(run.layout.record)
    for said in (
        "| budget | 10 steps |",
        "| steps | 10 of 10; the best weights are those of step 10 |",
        f"{record['parameters']:,} parameters",
        f"| tokens | {10 * 4 * 24:,} predicted |",
        f"| operations | {record['training_flops']:.3g} FLOP |",
        "| precision | fp32 " if record["precision"]["name"] == "fp32" else "| precision | bf16 ",
        "On test documents: not measured.",
        "On validation documents: not measured.",
        "On a sample of the training documents: not measured.",
        "Ainda não foi medido.",
        "Source: source.jsonl.",
        "Licence of the text: not recorded",
        record["spec_hash"],
        record["corpus_hash"],
        record["tokenizer"]["hash"],
        f'escada sample {run.name} --prompt "Era uma vez"',
    ):
        assert said in card
    assert "escada resume" not in card


def test_the_front_matter_is_what_model_hubs_read(run):
    _, front, rest = card_text(run).split("---\n", 2)
    keys = dict(line.split(": ", 1) for line in front.splitlines() if ": " in line)
    assert keys == {
        "language": "pt",
        "license": "other",
        "library_name": "escada",
        "pipeline_tag": "text-generation",
    }
    assert "  - recurrent\n" in front
    assert rest.startswith("\n# ")


def test_what_was_measured_is_on_it_with_interval_protocol_and_warning(run, corpus):
    complete(Subject(run, corpus, device="cpu"), TEST)
    complete(Subject(run, corpus, device="cpu"), TRAINING)
    complete(Subject(run, corpus, device="cpu"), SAMPLES)
    found = read_json(run.layout.evaluation("test"))
    low, high = found["ci95"]
    card = write_card(run).read_text(encoding="utf-8")
    assert f"| bits per byte | **{found['bits_per_byte']:.3f}** |" in card
    assert f"| 95 % interval | {low:.3f} to {high:.3f} |" in card
    assert "| protocol | document/carried-state |" in card
    assert f"| perplexity | {found['perplexity']:.2f} per token of its own tokenizer" in card
    assert "Never compare the perplexity with that of another tokenizer" in card
    for source, figure in found["by_source"].items():
        assert f"| bits per byte of {source} | {figure:.3f} |" in card
    assert f"alcança {found['bits_per_byte']:.3f} bits por byte".replace(".", ",") in card
    assert "On validation documents (" in card  # their groups tell how those of few vary
    assert "On a sample of the training documents (" in card
    share = read_json(run.layout.samples)["lexicon_share"]
    assert f"lexicon knows:\n{share:.2f}." in card


def test_every_figure_is_read_from_the_file(run, corpus):
    complete(Subject(run, corpus, device="cpu"), TEST)
    change(run.layout.evaluation("test"), bits_per_byte=1.2345, ci95=None, context_tokens=77)
    card = card_text(run)
    assert "| bits per byte | **1.234** |" in card or "| bits per byte | **1.235** |" in card
    assert "| 95 % interval | none: fewer than two groups |" in card
    assert "window of 77 tokens" in card


def test_marks_in_names_of_a_user_s_are_shown_and_not_obeyed(run, corpus):
    complete(Subject(run, corpus, device="cpu"), TEST)
    name = "**x** <b> `y` [z](http://a) |\n# \x1b _w_"
    change(run.layout.evaluation("test"), by_source={name: 1.5})
    change(run.layout.data, source=f"/home/ana/{name.replace('/', '')}")
    licence = {"name": name, "note": name}
    change(run.layout.data, licences={name: licence})
    card = card_text(run)
    shown = r"\*\*x\*\* \<b\> \`y\` \[z\](http://a) \| \# \ufffd \_w\_".replace(r"\ufffd", "\ufffd")
    assert f"| bits per byte of {shown} | 1.500 |\n" in card
    assert f"| {shown} | {shown} | {shown} |\n" in card
    assert f"Source: {shown.replace('//', '')}. " in card


def test_a_figure_of_other_weights_is_no_figure_of_this_model(run, corpus):
    complete(Subject(run, corpus, device="cpu"), TEST)
    figure = read_json(run.layout.evaluation("test"))["bits_per_byte"]
    assert f"**{figure:.3f}**" in card_text(run)
    facts = next(run.layout.checkpoints.glob("step-*/checkpoint.json"))
    change(facts, sha256={"model.safetensors": "0" * 64, "training.safetensors": "0" * 64})
    card = card_text(run)
    assert f"**{figure:.3f}**" not in card
    assert "On test documents: not measured on the weights that lie here now." in card


def test_licences_of_the_text_are_named_with_their_terms(run):
    from escada.text.sources import brwac

    licence = {"name": brwac.LICENCE.name, "note": brwac.LICENCE.note}
    change(run.layout.data, source="brwac", licences={"brwac": licence})
    card = card_text(run)
    assert f"| brwac | {licence['name']} | {licence['note']} |" in card
    assert "non-commercial" in card
    assert "license: other\n" in card
    change(run.layout.data, licences={"news": {"name": "CC BY 4.0", "note": ""}})
    assert "license: cc-by-4.0\n" in card_text(run)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cc-by-sa-4.0", "cc-by-sa-4.0"),
        ("mit", "mit"),
        ("cc0-1.0\nx: y", "other"),
        ("own", "other"),
    ],
)
def test_a_licence_that_a_data_sets_card_names_is_the_hubs(run, name, said):
    change(run.layout.data, licences={"ana/cartas": {"name": name, "note": ""}})
    assert card_text(run).split("\n")[2] == f"license: {said}"


def test_a_data_set_of_the_hub_keeps_its_owner_and_a_mixture_its_parts(run):
    change(run.layout.data, source="hub:ana/cartas + /home/ana/tese/notas.jsonl=0.3")
    card = card_text(run)
    assert "Source: hub:ana/cartas + notas.jsonl=0.3. " in card
    assert "/home/ana" not in card


def test_a_users_path_is_not_published(run):
    change(run.layout.data, source="/home/ana/tese/cartas.jsonl")
    card = card_text(run)
    assert "Source: cartas.jsonl." in card
    assert "/home/ana" not in card


@pytest.mark.parametrize("missing", ["training_flops", "peak_memory_bytes", "training_seconds"])
def test_what_a_record_lacks_is_said_to_be_missing(run, missing):
    record = read_json(run.layout.record)
    assert card_text(run).count("not recorded") == 1  # the licence
    del record[missing]
    run.layout.record.write_text(json.dumps(record))
    assert card_text(run).count("not recorded") == 2


def test_an_unfinished_run_says_so_and_how_to_go_on(run):
    change(run.layout.record, status="interrupted", step=6)
    card = card_text(run)
    assert "its status is *interrupted*" in card
    assert "| steps | 6 of 10" in card
    assert f"escada resume {run.name}" in card


def test_writing_it_twice_changes_nothing(run):
    path = write_card(run)
    before = path.stat().st_mtime_ns
    assert write_card(run) == path
    assert path.stat().st_mtime_ns == before


def test_the_card_says_what_the_training_cost_and_what_of_that_is_an_estimate(run):
    change(
        run.layout.cost,
        kwh=0.5,
        energy_estimated=True,
        usd=0.1,
        brl=0.55,
        co2_g=19.25,
        utilisation=0.42,
        peak_flop_per_second=5e11,
        flop_per_second=2.1e11,
        predicted={"kwh": 0.4, "brl": 0.44, "micro_batch": 8},
    )
    card = card_text(run)
    for said in (
        "| energy | 0.5 kWh, estimated; cpu: ",
        "| cost | USD 0.1, BRL 0.55 for electricity |",
        "| CO2 | 19 g, grid brazil at 38.5 g/kWh |",
        "| speed | 2.1e+11 FLOP/s, 42 % of the device's measured peak of 5e+11 FLOP/s |",
        "| the plan had said | kwh 0.4 (measured 0.5), brl 0.44 (measured 0.55) |",
        f"| tokens read | {10 * 4 * 24:,}, of which ",
    ):
        assert said in card


@pytest.mark.parametrize("older", [{"schema_version": 1}, {"schema_version": 2, "sessions": []}])
def test_a_card_without_a_cost_sheet_says_nothing_of_energy(run, older):
    run.layout.cost.write_text(json.dumps(older), encoding="utf-8")
    assert "| energy |" not in card_text(run)


def test_samples_are_shown_and_what_a_model_wrote_cannot_leave_its_fence(run, corpus):
    assert "None of the weights that lie here now were kept." in card_text(run)
    complete(Subject(run, corpus, device="cpu"), SAMPLES)
    table = read_json(run.layout.samples)
    table["samples"][0]["text"] = "fim\n~~~\n<script>\n# Not a title \x07"
    run.layout.samples.write_text(json.dumps(table), encoding="utf-8")
    card = card_text(run)
    section = card.split("## Samples")[1].split("## The text that it was trained on")[0]
    prompt = table["samples"][0]["prompt"]
    assert f"~~~~text\n{prompt}⟩fim\n~~~\n<script>\n# Not a title \ufffd\n~~~~\n" in section
    kinds = {sample["category"] for sample in table["samples"]}
    assert section.count("⟩") == len(kinds) + 1  # the sentence that explains the sign
    assert f"seed {table['seed']}." in section
    assert "No guardrails were run on these samples." in section


def test_the_guardrails_on_a_card_are_those_of_its_samples(run, corpus):
    from escada.files import sha256_file

    complete(Subject(run, corpus, device="cpu"), SAMPLES)
    guards = {"language": {"verdict": "fail", "meaning": "share of Portuguese"}}
    found = {"schema_version": 1, "verdict": "fail", "guardrails": guards}
    path = run.layout.evaluation("guardrails")
    path.parent.mkdir(exist_ok=True)
    of_these = {"samples": {"sha256": sha256_file(run.layout.samples)}}
    path.write_text(json.dumps(found | of_these), encoding="utf-8")
    card = card_text(run)
    assert "noise: **fail**." in card
    assert "It fails `language`: share of Portuguese." in card
    path.write_text(json.dumps(found | {"samples": {"sha256": "0" * 64}}), encoding="utf-8")
    assert "No guardrails were run on these samples." in card_text(run)


def test_a_card_says_what_its_intervals_rest_on(run, corpus):
    from escada.files import read_json, write_json

    complete(Subject(run, corpus, device="cpu"), TEST)
    path = run.layout.evaluation("test")
    found = read_json(path)
    write_json(path, found | {"groups": 1126, "effective_groups": 10.46, "ci95_leaves_out": ["s"]})
    card = card_text(run)
    worth = "as informative as 10.5 groups of equal size"
    assert f"| groups of documents | 1,126, {worth}; n = 1 for s, how" in card
    assert f"| mean of the sources | {found['macro_bits_per_byte']:.3f} (95 % interval" in card


@pytest.fixture
def against_baseline(run, corpus):
    """A function that keeps what a climb says of the run and the best baseline."""
    from escada.files import read_json, write_json

    complete(Subject(run, corpus, device="cpu"), TEST)
    test = read_json(run.layout.evaluation("test"))

    def keep(**changed):
        found = {name: test[name] for name in ("corpus_hash", "weights", "weights_sha256")}
        found |= {"baseline": {"key": "kneser_ney", "name": "n-grams", "bits_per_byte": 1.834}}
        found |= {"difference": 0.1141, "ci95": [0.09, 0.138], "p_value": 0.0004, "scope": "run"}
        write_json(run.layout.evaluation("best-baseline"), found | {"verdict": "worse"} | changed)
        return card_text(run)

    return keep


def test_a_card_says_how_the_run_stands_against_the_best_baseline(against_baseline):
    card = against_baseline()
    row = "worse than n-grams (1.834): +0.114, 95 % interval +0.090 to +0.138, p < 0.001"
    assert f"| against the best baseline | {row}, by the paired test of runs |" in card
    assert "; pelo teste pareado, é pior que a referência mais forte (1,834)." in card
    undecided = against_baseline(verdict="undecided", p_value=0.25, scope="recipe")
    row = "not told apart from n-grams (1.834): +0.114, 95 % interval +0.090 to +0.138, p = 0.250"
    assert f"| against the best baseline | {row}, by the paired test of recipes |" in undecided
    assert "não se distingue da referência mais forte" in undecided
    alone = against_baseline(verdict="undecided", ci95=None, p_value=None)
    assert "not told apart from n-grams (1.834): +0.114, by the paired test of runs |" in alone


@pytest.mark.parametrize("changed", [{"weights_sha256": "0"}, {"corpus_hash": "0"}])
def test_a_comparison_of_other_weights_or_documents_is_none_of_this_model(
    against_baseline, changed
):
    assert "best baseline" not in against_baseline(**changed)


def of_rung(run, name, **about):
    """The run as if it were one of another rung, with its preset's own settings."""
    from dataclasses import replace

    from escada.spec import load_spec

    spec = load_spec(name, preset="laptop")
    return replace(run, spec=spec.model_copy(update={"about": spec.about.model_copy(update=about)}))


def test_a_card_says_what_changed_in_this_run_and_what_that_does_not_test(run):
    card = card_text(of_rung(run, "v2"))
    assert (
        "| what changed | from v1, its preset laptop in this version of escada: Model: "
        "embedding 32 → 48, hidden state 128 → 192. Training: stride 1 → 4. |"
    ) in card
    assert "| not tested here | dropout and weight-drop: the same in both |" in card
    assert "embedding 32 → 48; estado oculto 128 → 192." in card
    assert "Não testado aqui, igual nos dois: dropout e weight-drop." in card
    assert "author's note" not in card


def test_a_card_without_a_rung_to_compare_with_has_the_author_s_words(run):
    from escada.spec import Bilingual

    note = Bilingual(en="Wider.", pt="Mais larga.")
    card = card_text(of_rung(run, "v2", follows="my_rung", changes=note))
    assert "| what changes | Wider. |" in card
    assert "what changed" not in card
    assert "| author's note on the rung | Wider. |" in card_text(of_rung(run, "v2", changes=note))
