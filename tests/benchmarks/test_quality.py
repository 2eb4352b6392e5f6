"""Peers at equal compute: their scorer is the ruler's, a training is done once, and the test split
is read when it is asked for. No peer need be installed."""

import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from escada.errors import EscadaError
from escada.evaluation.ruler import score_documents
from escada.evaluation.scoring import windows_of
from escada.files import read_json, read_json_lines, write_json
from escada.models import recurrent, transformer
from escada.models.contract import build_model
from escada.models.roles import parameter_roles
from escada.spec import TokenizerSpec, TrainSpec
from escada.text.documents import Document
from escada.text.tokenizers import train_tokenizer
from escada.text.tokenizers.bytes import ByteTokenizer
from escada.training.optimizers import muon

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
TEXTS = ["", "a", "Olá, mundo.", "pão e queijo " * 9, "çãõ" * 40, "Uma frase.\nOutra frase, maior."]


@pytest.fixture(autouse=True)
def quality(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS / "peers" / "quality"))
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import quality

    return quality


class OneSeparator(ByteTokenizer):
    """Bytes, whose BOS ends a document too, as a peer's separator does."""

    eos_id = ByteTokenizer.bos_id


def documents(texts=TEXTS):
    return [Document(f"d{n}", "s", f"g{n % 3}", text) for n, text in enumerate(texts)]


def model_of(kind, vocab_size, uniform):
    config = {
        "transformer": transformer.Config(
            kind="transformer",
            context_tokens=9,
            d_model=16,
            n_heads=2,
            d_ff=32,
            n_layers=1,
            positions="learned",
        ),
        "recurrent": recurrent.Config(
            kind="recurrent", cell="lstm", d_embedding=8, d_hidden=16, n_layers=1
        ),
    }[kind]
    model = build_model(config, vocab_size, 0).eval()
    with torch.no_grad():
        model.output.weight.mul_(0 if uniform else 30)
        for bias in (p for name, p in model.output.named_parameters() if name == "bias"):
            bias.mul_(0 if uniform else 1)
    return model


def text_ids(tokenizer):
    from texts import TextIds

    class Ids(TextIds):
        separator, vocab_size = tokenizer.bos_id, tokenizer.vocab_size

        def encode(self, text):
            return tokenizer.encode(text).astype(np.int64)

    return Ids()


@pytest.mark.parametrize("uniform", [True, False])
def test_a_peer_without_a_state_is_scored_as_the_ruler_scores(uniform):
    from torch_peer import TorchPeer

    class Ours(TorchPeer):
        def logits(self, ids_BT):
            return self.model(ids_BT)

        def train(self, steps, after):
            raise NotImplementedError

    tokenizer = OneSeparator()
    peer = Ours()
    peer.model, peer.context_tokens = model_of("transformer", tokenizer.vocab_size, uniform), 9
    peer.text = text_ids(tokenizer)
    expected = score_documents(peer.model, tokenizer, documents()).nats
    found = peer.score(TEXTS)
    assert found == pytest.approx(expected, rel=1e-6)
    if uniform:
        tokens = [len(text.encode()) + 1 for text in TEXTS]
        assert found == pytest.approx(
            [n * math.log(tokenizer.vocab_size) for n in tokens], rel=1e-6
        )


@pytest.mark.parametrize("uniform", [True, False])
def test_a_peer_with_a_state_is_scored_as_the_ruler_scores(monkeypatch, uniform):
    import scoring

    monkeypatch.setattr(scoring, "CARRIED_TOKENS", 7)  # documents end within and between chunks
    monkeypatch.setattr(scoring, "CARRIED_ROWS", 4)
    tokenizer = OneSeparator()
    model = model_of("recurrent", tokenizer.vocab_size, uniform)

    def read_on(ids_BT, targets_BT, parts):
        """The state travels as the ids read so far: slow, and independent of the model's own."""
        so_far = ids_BT if parts is None else np.concatenate([parts[0], ids_BT], axis=1)
        with torch.no_grad():
            logits = model(torch.from_numpy(so_far))[:, -ids_BT.shape[1] :].double()
        nats = -logits.log_softmax(-1).gather(-1, torch.from_numpy(targets_BT)[..., None])[..., 0]
        return nats.numpy(), [so_far]

    ids, end = text_ids(tokenizer), [tokenizer.bos_id]
    sequences = [np.concatenate([end, ids.encode(text), end]) for text in TEXTS]
    expected = score_documents(model, tokenizer, documents()).nats
    assert scoring.carry(sequences, read_on) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("window", [2, 3, 8, 9])
def test_the_windows_are_the_ruler_s(window):
    from scoring import context_windows

    for length in range(1, 40):
        expected = [(w.start, w.stop, w.first_target) for w in windows_of(length, window)]
        assert list(context_windows(length, window)) == expected


def test_an_unknown_character_costs_what_the_ruler_charges():
    from texts import Characters

    training = ["aaab", "abbb", "z"]
    tokenizer = train_tokenizer(TokenizerSpec(kind="characters"), training)
    characters = Characters(training)
    assert characters.unknown_nats("aza") == pytest.approx(tokenizer.unknown_bits * math.log(2))
    assert (characters.encode("aza") == characters.unknown).tolist() == [False, True, False]


def test_flop_are_counted_by_escada_s_closed_form():
    from torch_peer import attention_flops_per_token, matmul_flops_per_token, muon_flops

    model = model_of("transformer", 300, uniform=False)
    expected = model.forward_flops_per_token(9)
    tied = 0 if isinstance(model.output, torch.nn.Linear) else 2 * 16 * 300
    found = matmul_flops_per_token(model) + attention_flops_per_token(1, 16, 9) + tied
    assert found == expected
    train = TrainSpec.model_construct(orthogonal_steps=5)
    assert muon_flops(parameter_roles(model)["matrices"], 5) == muon.flops_per_step(model, train)


def test_overrides_keep_the_type_and_say_that_they_were_chosen():
    from harness import UsageError, overridden

    settings = {"rate": (1e-3, "train.py"), "layers": (2, "README"), "state": (True, "ruler")}
    assert overridden(settings, ["layers=3"])["layers"] == (3, "chosen: given by --set")
    assert overridden(settings, ["state=false"])["state"][0] is False
    with pytest.raises(UsageError, match="there are rate, layers, state"):
        overridden(settings, ["rat=1"])
    with pytest.raises(UsageError, match="layers=many"):
        overridden(settings, ["layers=many"])


TOY = """
import numpy as np
from pathlib import Path
from harness import Peer, main
from texts import Characters

class Toy(Peer):
    protocol, context_tokens = "document/carried-state", None
    flop_per_step, tokens_per_step = 2.0, 3

    def __init__(self, texts, settings, seed, checkout):
        self.text, self.facts, self.level = Characters(texts), {"parameters": 1}, np.ones(1)

    def train(self, steps, after):
        with (Path(__file__).parent / "trained").open("a") as log:
            log.write(".")
        for step in range(1, steps + 1):
            self.level = np.array([1 + abs(step - 7) / 10])  # best at step 7 of 10
            after(step)

    def nats(self, sequences):
        return np.array([(len(ids) - 1) * self.level[0] for ids in sequences])

    def weights(self):
        return {"level": self.level.copy()}

    def load(self, weights):
        self.level = weights["level"]

main({"plain": {"width": (4, "README"), "batch": (8, "chosen: small")}}, Toy)
"""


@pytest.fixture
def toy(quality, tmp_path, monkeypatch):
    """quality.py with one peer, a toy that needs no environment of its own."""
    runners = shutil.copytree(quality.RUNNERS, tmp_path / "runners")
    (runners / "train_toy.py").write_text(TOY)
    monkeypatch.setattr(quality, "RUNNERS", runners)
    trials = quality._variants("toy", "toy", "plain", "torch", wide=("width=5",))
    monkeypatch.setattr(quality, "TRIALS", tuple(trials))
    return runners


@pytest.fixture
def train(quality, toy, corpus_path, tmp_path):
    def one(*more):
        quality.bare_code.cache_clear()  # as in a process of its own
        command = ["train", "--data", str(corpus_path), "--out", str(tmp_path / "out")]
        command += ["--torch-python", sys.executable, "--budget", "20", *more]
        return quality.train(quality.parser().parse_args(command))

    return one


def trainings(toy):
    return len((toy / "trained").read_text())


def test_a_training_is_done_once_and_the_test_split_only_scored(train, toy, tmp_path):
    assert train("--peer", "toy") == 0
    folder = tmp_path / "out" / "toy-20-s0"
    assert not (folder / "test.json").exists()
    assert not list(tmp_path.glob("out/documents-*/test.jsonl"))
    record = read_json(folder / "training.json")
    assert (record["steps"], record["flop"], record["best_step"]) == (10, 20.0, 8)
    assert train("--peer", "toy", "--split", "test") == 0
    assert trainings(toy) == 1
    scored = read_json(folder / "test.json")["documents"]
    (path,) = tmp_path.glob("out/documents-*/test.jsonl")
    texts = [row["text"] for row in read_json_lines(path)]
    best = [1.1 * (len(text) + 1) for text in texts]  # per character and separator, at step 8
    assert [row["nats"] for row in scored] == pytest.approx(best)


def test_another_recipe_or_seed_or_code_trains_again_and_a_comment_does_not(train, toy):
    train("--peer", "toy")
    with (toy / "train_toy.py").open("a") as code:
        code.write("# a comment\n")
    train("--peer", "toy")
    assert trainings(toy) == 1
    train("--peer", "toy", "--seed", "1")
    assert trainings(toy) == 2
    code = (toy / "train_toy.py").read_text()
    (toy / "train_toy.py").write_text(code.replace("(4, ", "(6, "))
    train("--peer", "toy")
    assert trainings(toy) == 3


def test_a_budget_below_a_step_is_one_line(quality, train, toy, capfd):
    assert train("--peer", "toy", "--budget", "0.5") == 1
    words = capfd.readouterr().err
    assert "less than half of one step" in words
    assert "Traceback" not in words


def test_a_peer_that_is_absent_is_one_line_with_what_to_do(quality, tmp_path, capsys):
    one = quality.parser().parse_args(["train", "--budget", "1", "--out", str(tmp_path)])
    one.torch_python, one.nanogpt = Path(sys.executable), None
    (trial,) = quality.wanted(["nanogpt_char"])
    with pytest.raises(EscadaError, match="give --nanogpt DIR, or set NANOGPT"):
        quality._train_one(trial, 1.0, tmp_path, one)
    one.torch_python = tmp_path / "python"
    with pytest.raises(EscadaError, match="make bench-env"):
        quality._train_one(trial, 1.0, tmp_path, one)
    with pytest.raises(EscadaError, match="one of nanogpt_char, "):
        list(quality.wanted(["nanogtp"]))


def test_a_bare_git_directory_is_unpacked_with_its_commit(quality, tmp_path):
    checkout = tmp_path / "peer"
    checkout.mkdir()
    (checkout / "model.py").write_text("GPT = 1\n")
    git = ["git", "-C", str(checkout), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    files, commit = quality.unpacked(checkout / ".git", tmp_path / "out", "nanogpt")
    assert (files / "model.py").read_text() == "GPT = 1\n"
    assert quality.unpacked(checkout, tmp_path / "out", "nanogpt") == (checkout, commit)
    with pytest.raises(EscadaError, match="--nanogpt"):
        quality.unpacked(tmp_path / "nowhere", tmp_path / "out", "nanogpt")


def test_results_have_a_table_a_picture_and_what_was_chosen(quality, train, tmp_path, capsys):
    train()
    results = tmp_path / "results" / "quality.json"
    command = ["collect", "--out", str(tmp_path / "out"), "--results", str(results)]
    quality.collect(quality.parser().parse_args(command))
    figures = read_json(results)["figures"]
    assert [figure["name"] for figure in figures] == ["toy", "toy_wide"]
    table = results.with_suffix(".md").read_text()
    assert "`batch` = 8: small" in table
    assert "`width` = 5: given by --set" in table
    assert (results.with_name("quality-pt.svg")).read_text().count("bits por byte") == 1
    assert (results.with_name("quality-en.png")).exists()

    scores = tmp_path / "out" / "toy-20-s0" / "validation.json"
    changed = read_json(scores)
    changed["documents"].pop()
    write_json(scores, changed)
    with pytest.raises(EscadaError, match="scored on different documents"):
        quality.collect(quality.parser().parse_args(command))


def test_at_ten_times_the_budget_a_family_has_its_recipe_and_its_best_variant(quality):
    from quality_results import Figure, best_of_family

    def figure(name, bits, flop=1e12):
        return Figure(
            name=name, family="nanochat", ours=False, seed=0, budget_flop=flop, flop=flop,
            seconds=1, threads=1, steps=1, tokens=1, parameters=1, bits_per_byte=bits, ci95=None,
            protocol="document/half-window", context_tokens=2, documents_key="",
        )  # fmt: skip

    figures = [figure("nanochat", 2.3), figure("nanochat_x4", 2.1), figure("nanochat_x16", 2.2)]
    seeds = [*figures, figure("nanochat_x16", 1.9), figure("nanochat", 1.0, flop=1.04e12)]
    (point,) = best_of_family(seeds)["nanochat"]
    assert point.bits_per_byte == pytest.approx((2.3 + 1.0) / 2)
    trials = [trial for trial in quality.TRIALS if trial.family == "nanochat"]
    names = [trial.name for trial in trials]
    assert [trial.name for trial in quality.due(trials, 1e12, figures)] == names
    assert names == ["nanochat", "nanochat_x4", "nanochat_x16"]
    due = quality.due(trials, 1e13, figures)
    assert [trial.name for trial in due] == ["nanochat_x4", "nanochat"]
