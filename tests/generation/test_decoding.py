"""Decoding with state against recomputation from scratch, past the window too; and its promises."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from escada.errors import EscadaError
from escada.generation.decoder import Decoder, context_start
from escada.generation.decoding import generate, random_stream
from escada.generation.inference import exact_inference
from escada.generation.samplers import SamplerSettings, sample
from escada.text.tokenizers.bytes import ByteTokenizer
from escada.text.tokenizers.characters import CharacterTokenizer

MODELS = ["lstm", "gru", "sinusoidal", "learned"]
BYTES = ByteTokenizer()
PROMPTS = ["Era", "", "Não sei que dia é hoje, mas chove.", "Era", "O", "abcdef", "ghijkl"]
HOT = SamplerSettings(temperature=1.0, top_p=0.98, repetition_penalty=1.1)


def generate_by_recomputation(model, tokenizer, prompt, settings, *, max_tokens, number, seed):
    """The slow, obvious way: every token reads its whole context from scratch, one row alone."""
    tokens = [tokenizer.bos_id, *tokenizer.encode(prompt).tolist()]
    uniforms = random_stream(seed, prompt, number).random(max_tokens)
    window = model.context_tokens
    written, all_logits, nats = [], [], 0.0
    model.eval()
    for t in range(max_tokens):
        context = tokens[context_start(len(tokens), window) :]
        with torch.no_grad():
            logits = model(torch.tensor([context]))[0, -1].double()
        seen = np.zeros((1, model.vocab_size), dtype=bool)
        seen[0, tokens] = True
        banned = [i for i in (tokenizer.bos_id, tokenizer.unk_id) if i is not None]
        token = int(
            sample(
                logits.numpy()[None], uniforms[t : t + 1], settings, seen_BV=seen, banned=banned
            )[0]
        )
        nats -= float(torch.log_softmax(logits, dim=-1)[token])
        all_logits.append(logits)
        written.append(token)
        tokens.append(token)
        if token == tokenizer.eos_id:
            break
    return written, torch.stack(all_logits), nats / len(written) / math.log(2)


@pytest.mark.parametrize("name", MODELS)
def test_decoding_with_state_equals_recomputation_past_the_window_too(tiny, name):
    model = tiny(name, BYTES.vocab_size)
    samples = generate(model, BYTES, PROMPTS, HOT, max_tokens=60, n=2, seed=5, profile="reference")
    assert len(samples) == 2 * len(PROMPTS)
    lengths = set()
    for i, found in enumerate(samples):
        prompt = PROMPTS[i // 2]
        number = i % 2 + 2 * PROMPTS[: i // 2].count(prompt)
        ids, _, bits = generate_by_recomputation(
            model, BYTES, prompt, HOT, max_tokens=60, number=number, seed=5
        )
        assert found.ids == ids
        assert found.bits_per_token == pytest.approx(bits, rel=1e-5)
        assert found.finished == (ids[-1] == BYTES.eos_id)
        lengths.add(len(ids))
    assert max(lengths) == 60  # past every window


@pytest.mark.parametrize("name", MODELS)
def test_logits_with_state_equal_those_of_recomputation(tiny, name):
    """Rows of several lengths, each crossing its window at another time; rows leave on the way."""
    model = tiny(name, 50).eval()
    rng = np.random.default_rng(1)
    rows = [rng.integers(50, size=n).tolist() for n in (1, 5, 5, 16, 17, 40)]
    with exact_inference(model):
        decoder = Decoder(model, rows)
        for step in range(45):
            for b, row in enumerate(rows):
                context = row[context_start(len(row), model.context_tokens) :]
                expected = model(torch.tensor([context]))[0, -1]
                torch.testing.assert_close(decoder.logits_BV[b], expected, rtol=0, atol=2e-5)
            if step in (10, 25):
                kept = [b for b in range(len(rows)) if b != 1]
                rows = [rows[b] for b in kept]
                decoder.keep(kept)
            new = rng.integers(50, size=len(rows)).tolist()
            rows = [[*row, token] for row, token in zip(rows, new, strict=True)]
            decoder.append(new)


@pytest.mark.parametrize("name", ["gru", "learned"])
def test_nothing_is_read_twice_but_the_refill_of_a_full_context(tiny, name, monkeypatch):
    model = tiny(name, BYTES.vocab_size)
    read = []
    advance = model.advance

    def counting(ids_BT, state):
        read.append(ids_BT.numel())
        return advance(ids_BT, state)

    monkeypatch.setattr(model, "advance", counting)
    settings = SamplerSettings(temperature=1.0, top_p=None)
    # the ids are forced to go on: EOS never has a chance in 40 tokens for this seed
    found = generate(model, BYTES, ["Era"], settings, max_tokens=40, seed=3, profile="reference")
    assert len(found[0].ids) == 40
    n_prompt, window = 4, model.context_tokens
    if window is None:
        assert sum(read) == n_prompt + 39
    else:
        contexts = [context_start(n, window) for n in range(n_prompt, n_prompt + 40)]
        refills = len(set(contexts)) - 1
        assert sum(read) == n_prompt + 39 + refills * (window // 2)


@given(st.integers(1, 5000), st.integers(2, 300))
def test_the_context_holds_more_than_half_a_window_and_never_more_than_one(n, window):
    start = context_start(n, window)
    held = n - start
    assert held == n if n <= window else window // 2 < held <= window
    dropped = context_start(n + 1, window) - start
    assert dropped in (0, window - window // 2)
    assert (dropped > 0) == (held == window)  # only a full context drops


def test_a_model_without_a_window_keeps_everything():
    assert context_start(10**9, None) == 0


@pytest.mark.parametrize("name", MODELS)
def test_a_rows_text_is_the_same_alone_and_in_any_batch(tiny, name):
    model = tiny(name, BYTES.vocab_size)

    def texts(prompts, **options):
        found = generate(model, BYTES, prompts, HOT, max_tokens=30, profile="reference", **options)
        return [sample.ids for sample in found]

    together = texts(PROMPTS[:3], n=3)
    assert texts(PROMPTS[:3], n=3, batch_rows=2) == together
    assert texts(PROMPTS[:3], n=3, batch_rows=1) == together
    assert texts(PROMPTS[2:3], n=3) == together[6:]
    assert texts(PROMPTS[2:3], n=1) == together[6:7]


def test_a_longer_sample_begins_with_the_shorter_one(tiny):
    model = tiny("lstm", BYTES.vocab_size)
    short, long = (
        generate(model, BYTES, ["Era"], HOT, max_tokens=n, profile="reference")[0].ids
        for n in (10, 25)
    )
    assert long[:10] == short


def test_samples_differ_by_seed_number_prompt_and_model(tiny):
    settings = SamplerSettings(temperature=1.0, top_p=None)

    def ids(model, prompts, seed=0, n=1):
        found = generate(
            model, BYTES, prompts, settings, max_tokens=20, n=n, seed=seed, profile="reference"
        )
        return [tuple(sample.ids) for sample in found]

    one, other = (tiny("sinusoidal", BYTES.vocab_size, seed=seed) for seed in (0, 1))
    assert ids(one, ["Era"]) == ids(one, ["Era"])
    assert ids(one, ["Era"]) != ids(other, ["Era"])
    assert ids(one, ["Era"]) != ids(one, ["Era"], seed=1)
    assert len(set(ids(one, ["Era"], n=4))) == 4
    assert len(set(ids(one, ["Era", "Era"], n=2))) == 4


def test_each_row_has_a_random_stream_of_its_own():
    keys = [(0, "Era", 0), (1, "Era", 0), (0, "Eras", 0), (0, "Era", 1), (10, "Era", 0)]
    streams = [tuple(random_stream(*key).random(3)) for key in keys]
    assert len(set(streams)) == len(keys)
    assert tuple(random_stream(0, "Era", 0).random(3)) == streams[0]


def test_the_same_prompt_twice_goes_on_with_the_numbers_of_its_samples(tiny):
    model = tiny("gru", BYTES.vocab_size)
    twice = generate(model, BYTES, ["a", "a"], HOT, max_tokens=9, n=2, profile="reference")
    once = generate(model, BYTES, ["a"], HOT, max_tokens=9, n=4, profile="reference")
    assert [s.ids for s in twice] == [s.ids for s in once]


CHARACTERS = CharacterTokenizer("abcdefgh ")


def test_unk_and_bos_are_never_sampled_though_the_model_wants_them(table_model):
    tokenizer = CHARACTERS
    table = torch.zeros(tokenizer.vocab_size, tokenizer.vocab_size)
    table[:, [tokenizer.unk_id, tokenizer.bos_id]] = 12.0
    model = table_model(table)
    for settings in (SamplerSettings(1.0, top_p=None), SamplerSettings(greedy=True)):
        found = generate(
            model, tokenizer, ["ab"], settings, max_tokens=30, n=5, profile="reference"
        )
        for one in found:
            assert not {tokenizer.unk_id, tokenizer.bos_id} & set(one.ids)
            assert "\N{REPLACEMENT CHARACTER}" not in one.text
            # the figure is of the unfiltered model, which gives these tokens almost nothing
            assert one.bits_per_token > 15


def test_a_row_stops_at_eos_and_the_others_go_on(table_model):
    tokenizer = CHARACTERS
    a, b, c, d = (int(i) for i in tokenizer.encode("abcd"))
    table = torch.full((tokenizer.vocab_size,) * 2, -50.0)
    for before, after in ((a, b), (b, tokenizer.eos_id), (c, d), (d, c)):
        table[before, after] = 50.0
    found = generate(
        table_model(table),
        tokenizer,
        ["c", "a", "cc", "b"],
        SamplerSettings(greedy=True),
        max_tokens=5,
        profile="reference",
    )
    assert [s.text for s in found] == ["dcdcd", "b", "dcdcd", ""]
    assert [s.finished for s in found] == [False, True, False, True]
    assert found[1].ids == [b, tokenizer.eos_id]
    assert [s.prompt_tokens for s in found] == [2, 2, 3, 2]
    assert found[0].bits_per_token == pytest.approx(0, abs=1e-6)


def test_repetition_penalty_sees_the_prompt_and_what_was_written(table_model):
    tokenizer = CHARACTERS
    table = torch.full((tokenizer.vocab_size,) * 2, -9.0)
    a, b, c = (int(i) for i in tokenizer.encode("abc"))
    table[:, a], table[:, b], table[:, c] = 3.0, 2.5, 2.0
    settings = SamplerSettings(greedy=True, repetition_penalty=2.0)
    found = generate(
        table_model(table), tokenizer, ["a"], settings, max_tokens=3, profile="reference"
    )
    assert found[0].text == "bca"  # a was in the prompt; then b, then c, then all are penalised


def test_prompts_go_through_the_runs_cleaning(tiny):
    model = tiny("gru", BYTES.vocab_size)
    raw, clean = "Cafe\N{COMBINING ACUTE ACCENT}\N{ZERO WIDTH SPACE}  forte", "Café forte"
    found = generate(model, BYTES, [raw], HOT, max_tokens=5, profile="reference")[0]
    assert found.prompt == clean
    assert found == generate(model, BYTES, [clean], HOT, max_tokens=5, profile="reference")[0]


def test_a_trained_models_samples_score_well_below_log2_of_the_vocabulary():
    """Trained here: counts of a text as a table. Noise, under the same model, scores far above."""
    from escada.models.contract import build_model
    from escada.models.recurrent import Config

    text = "o rato roeu a roupa do rei de roma. " * 20
    tokenizer = CharacterTokenizer(text)
    ids = torch.tensor([[tokenizer.bos_id, *tokenizer.encode(text).tolist()]])
    model = build_model(
        Config(kind="recurrent", d_embedding=16, d_hidden=48), tokenizer.vocab_size, 0
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    windows = ids[0].unfold(0, 41, 20)
    for _ in range(40):
        loss = torch.nn.functional.cross_entropy(
            model(windows[:, :-1]).flatten(0, 1), windows[:, 1:].flatten()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    settings = SamplerSettings(temperature=1.0, top_p=None)
    found = generate(
        model, tokenizer, ["o rato"], settings, max_tokens=80, n=5, profile="reference"
    )
    bits = np.mean([s.bits_per_token for s in found])
    assert bits < 0.5 * math.log2(tokenizer.vocab_size)


def test_generating_leaves_the_model_and_the_global_random_state_as_they_were(tiny):
    model = tiny("lstm", BYTES.vocab_size).train()
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one = generate(model, BYTES, ["a"], HOT, max_tokens=8, profile="reference")
    assert model.training
    assert torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), before)
    assert one == generate(model, BYTES, ["a"], HOT, max_tokens=8, profile="reference")


def test_a_diverged_model_is_an_error(tiny):
    model = tiny("gru", BYTES.vocab_size)
    with torch.no_grad():
        next(model.parameters()).fill_(math.nan)
    with pytest.raises(EscadaError, match="not a finite number"):
        generate(model, BYTES, ["a"], HOT, max_tokens=3, profile="reference")


@pytest.mark.parametrize("option", ["max_tokens", "n"])
def test_nothing_to_generate_is_an_error(tiny, option):
    with pytest.raises(EscadaError, match=option):
        generate(
            tiny("gru", BYTES.vocab_size), BYTES, ["a"], HOT, profile="reference", **{option: 0}
        )
