"""Texts that the service scores: `echo` with `logprobs`, `/escada/score`, the tokenizer routes."""

import math

import openai
import pytest
import torch
from tests.serve.conftest import (
    BYTES,
    LETTERS,
    Listener,
    SlowBatch,
    eventually,
    loaded_model,
    requests,
    running,
    talkative,
    usual_models,
)

from escada.evaluation.continuations import score_continuations
from escada.evaluation.ruler import score_documents
from escada.evaluation.text_score import sequence_of
from escada.serve.limits import Limits
from escada.serve.scoring_queue import TextToScore
from escada.text.documents import Document

KINDS = {"v1": ("lstm", LETTERS), "v5": ("sinusoidal", BYTES)}
MODELS = pytest.mark.parametrize("model", list(KINDS))
TEXT = "Era uma vez uma menina, e o avô não dormiu."
RIVALS = 3


@pytest.fixture(scope="module")
def client(here):
    with openai.OpenAI(base_url=f"{here.url}/v1", api_key="none", max_retries=0) as one:
        yield one


def scored(client, model, prompt, **options):
    wanted = {"max_tokens": 0, "echo": True, "logprobs": RIVALS} | options
    return client.completions.create(model=model, prompt=prompt, **wanted)


def nats_of(model, text):
    kind, tokenizer = KINDS[model]
    (found,) = score_continuations(talkative(kind, tokenizer), tokenizer, [""], [text])
    return found.nats


@MODELS
def test_a_prompt_is_scored_as_the_ruler_scores_it(client, model):
    answer = scored(client, model, TEXT)
    (choice,) = answer.choices
    found = choice.logprobs
    assert choice.text == TEXT
    assert choice.finish_reason == "length"
    assert answer.usage.completion_tokens == 0
    assert answer.usage.prompt_tokens == 1 + len(found.tokens)
    assert -sum(found.token_logprobs) == pytest.approx(nats_of(model, TEXT), rel=1e-6)
    assert len(found.tokens) == len(found.top_logprobs) == len(found.text_offset)
    for token, value, names, offset in zip(
        found.tokens, found.token_logprobs, found.top_logprobs, found.text_offset, strict=True
    ):
        assert names[token] == value
        assert len(names) in (RIVALS, RIVALS + 1)
        assert list(names.values()) == sorted(names.values(), reverse=True)
        if not token.startswith("bytes:"):
            assert TEXT[offset : offset + len(token)] == token


@MODELS
def test_what_is_written_after_a_scored_prompt_is_what_is_written_without(client, model):
    wanted = {"max_tokens": 12, "seed": 4, "logprobs": RIVALS}
    plain = client.completions.create(model=model, prompt="Era", **wanted).choices[0]
    alone = scored(client, model, "Era").choices[0]
    both = scored(client, model, "Era", **wanted).choices[0]
    assert both.text == "Era" + plain.text
    assert both.logprobs.tokens == alone.logprobs.tokens + plain.logprobs.tokens
    assert both.logprobs.token_logprobs[:3] == pytest.approx(alone.logprobs.token_logprobs)
    assert both.logprobs.token_logprobs[3:] == pytest.approx(plain.logprobs.token_logprobs)
    assert both.logprobs.text_offset == [0, 1, 2, *(3 + n for n in plain.logprobs.text_offset)]
    chunks = [c.choices[0] for c in scored(client, model, "Era", **wanted, stream=True)]
    assert "".join(chunk.text for chunk in chunks) == both.text
    assert [t for chunk in chunks for t in chunk.logprobs.tokens] == both.logprobs.tokens
    (only,) = scored(client, model, "Era", stream=True)
    assert only.choices[0] == alone


@MODELS
def test_prompts_of_a_list_come_in_its_order_with_their_copies(client, model):
    prompts = ["Era", "O avô dormiu e a menina também.", "", "Era"]
    answer = scored(client, model, prompts, n=2)
    assert [choice.index for choice in answer.choices] == list(range(8))
    for place, choice in enumerate(answer.choices):
        prompt = prompts[place // 2]
        assert choice.text == prompt
        expected = nats_of(model, prompt) if prompt else 0
        assert -sum(choice.logprobs.token_logprobs) == pytest.approx(expected, rel=1e-5)


@MODELS
def test_ids_are_named_as_they_were_given(client, model):
    tokenizer = KINDS[model][1]
    ids = tokenizer.encode("Era uma vez").tolist()
    text = scored(client, model, "Era uma vez").choices[0]
    bare = scored(client, model, [ids]).choices[0]
    assert bare == text
    whole = scored(client, model, [[tokenizer.bos_id, *ids]]).choices[0].logprobs
    assert whole.tokens == ["<bos>", *text.logprobs.tokens]
    assert whole.token_logprobs == [None, *text.logprobs.token_logprobs]
    assert whole.top_logprobs[0] is None
    assert whole.text_offset == [0, *text.logprobs.text_offset]


def test_an_unknown_character_pays_as_in_the_ruler_and_is_never_a_first_choice(client):
    found = scored(client, "v1", "Era 😀", logprobs=20).choices[0].logprobs
    assert -sum(found.token_logprobs) == pytest.approx(nats_of("v1", "Era 😀"), rel=1e-6)
    assert found.tokens[-1] == "<unk>"
    assert found.token_logprobs[-1] < max(found.top_logprobs[-1].values())


@MODELS
def test_the_harness_form_of_a_request_gives_the_continuations_score(client, model):
    """What lm-eval 0.4.13 sends and reads: ids without BOS, one token more, `[ctxlen:-1]`."""
    kind, tokenizer = KINDS[model]
    pairs = [("A menina viu", " o rio"), ("A menina viu", " os rio"), ("O avô", " não dormiu")]
    whole = [tokenizer.encode(a + b).tolist() for a, b in pairs]
    answer = client.completions.create(
        model=model, prompt=whole, temperature=0, max_tokens=1, logprobs=1, seed=1234, echo=True
    )
    expected = score_continuations(
        talkative(kind, tokenizer), tokenizer, [a for a, _ in pairs], [b for _, b in pairs]
    )
    for choice, (context, _), one in zip(answer.choices, pairs, expected, strict=True):
        length = len(tokenizer.encode(context))
        values = choice.logprobs.token_logprobs[length:-1]
        tops = choice.logprobs.top_logprobs[length:-1]
        assert sum(values) == pytest.approx(-one.nats, rel=1e-5)
        greedy = all(v == max(top.values()) for v, top in zip(values, tops, strict=True))
        assert greedy == one.greedy


@MODELS
def test_a_text_has_the_rulers_bits_per_byte(here, model):
    kind, tokenizer = KINDS[model]
    body = {"model": model, "text": f" {TEXT}\u200b", "alternatives": 2}
    status, _, found = here.request("POST", "/escada/score", body)
    assert status == 200
    ruler = score_documents(talkative(kind, tokenizer), tokenizer, [Document("d", "s", "g", TEXT)])
    assert found["text"] == TEXT
    assert found["bits"] == pytest.approx(float(ruler.nats[0]) / math.log(2), rel=1e-6)
    assert found["bits_per_byte"] == pytest.approx(found["bits"] / len(TEXT.encode()))
    assert found["tokens"][-1]["name"] == "<eos>"
    assert "".join(token["text"] for token in found["tokens"]) == TEXT
    assert all(len(token["alternatives"]) == 2 for token in found["tokens"])


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"model": "v1", "text": " "}, 400, "text"),
        ({"model": "v1", "text": "a" * 3000}, 400, "text"),
        ({"model": "v1"}, 400, "text"),
        ({"model": "v1", "text": "a", "alternatives": 21}, 400, "alternatives"),
        ({"model": "v1", "text": "a", "top": 2}, 400, "top"),
        ({"model": "v9", "text": "a"}, 404, "model"),
    ],
)
def test_a_text_that_cannot_be_scored_is_refused(here, body, status, param):
    found, _, answer = here.request("POST", "/escada/score", body)
    assert (found, answer["error"]["param"]) == (status, param)


@MODELS
def test_ids_and_texts_lead_to_each_other(here, model):
    tokenizer = KINDS[model][1]
    ids = tokenizer.encode("Era  uma vez".replace("  ", " ")).tolist()
    body = {"model": model, "prompt": "Era  uma\u200b vez ", "return_token_strs": True}
    _, _, found = here.request("POST", "/tokenize", body)
    assert found["tokens"] == [tokenizer.bos_id, *ids]
    assert found["count"] == len(ids) + 1
    assert found["token_strs"][0] == "<bos>"
    assert found["max_model_len"] == 2048
    _, _, bare = here.request("POST", "/tokenize", body | {"add_special_tokens": False})
    assert bare["tokens"] == ids
    _, _, back = here.request("POST", "/detokenize", {"model": model, "tokens": found["tokens"]})
    assert back == {"prompt": "Era uma vez"}
    _, _, info = here.request("GET", f"/tokenizer_info?model={model}")
    for name, token in (("bos_token", tokenizer.bos_id), ("eos_token", tokenizer.eos_id)):
        asked = {"model": model, "prompt": info[name], "add_special_tokens": False}
        assert here.request("POST", "/tokenize", asked)[2]["tokens"] == [token]
        inside = asked | {"prompt": f"a{info[name]}"}
        assert token not in here.request("POST", "/tokenize", inside)[2]["tokens"]


def test_the_model_may_be_left_out_where_there_is_one(here):
    status, _, answer = here.request("POST", "/tokenize", {"prompt": "a"})
    assert status == 400
    assert "v1, v5" in answer["error"]["message"]
    assert here.request("GET", "/tokenizer_info")[0] == 400
    assert here.request("POST", "/detokenize", {"model": "v9", "tokens": []})[0] == 404
    assert here.request("POST", "/detokenize", {"model": "v1", "tokens": [10**6]})[0] == 400
    with running({"v1": loaded_model("v1")}) as one:
        assert one.request("POST", "/tokenize", {"prompt": "a"})[2]["count"] == 2
        assert one.request("GET", "/tokenizer_info")[2]["eos_token"] == "<eos>"


def to_score(count, letters=400):
    return [TextToScore(sequence_of("a" * letters, LETTERS), 0) for _ in range(count)]


def test_scoring_does_not_starve_what_is_written(make):
    scheduler, _ = make(max_queue=4096)
    written, flood = Listener(), Listener()
    scheduler.submit_scoring("v1", "greedy", to_score(400), flood)
    scheduler.submit("v1", "modest", requests(max_tokens=40), written)
    scheduler.start()
    eventually(lambda: written.finished, seconds=30)
    assert flood.finished < 400  # it would take many times as long


def test_a_text_to_score_does_not_wait_for_anothers_four_hundred(make):
    scheduler, _ = make(max_queue=4096)
    flood, modest = Listener(), Listener()
    scheduler.submit_scoring("v1", "greedy", to_score(400), flood)
    scheduler.submit_scoring("v1", "modest", to_score(1), modest)
    scheduler.start()
    eventually(lambda: modest.finished, seconds=30)
    assert flood.finished <= 2 * 2048 // 400 + 2


def test_texts_of_a_client_who_left_are_forgotten(make):
    scheduler, _ = make(SlowBatch)
    left, stays = Listener(), Listener()
    job = scheduler.submit_scoring("v1", "a", to_score(20), left)
    scheduler.submit_scoring("v1", "b", to_score(1), stays)
    scheduler.start()
    scheduler.cancel(job)
    eventually(lambda: stays.finished)
    eventually(lambda: scheduler.rows() == {"v1": (0, 0)})
    assert left.finished <= 10


def test_a_model_whose_logits_are_not_finite_says_so_and_scores_on(make):
    scheduler, batches = make()
    parameter = next(batches["v1"].model.parameters())
    kept = parameter.detach().clone()
    failed, later = Listener(), Listener()
    with torch.no_grad():
        parameter.fill_(math.nan)
    scheduler.submit_scoring("v1", "a", to_score(2), failed)
    scheduler.start()
    eventually(lambda: failed.failures)
    assert "not a finite number" in failed.failures[0].message
    with torch.no_grad():
        parameter.copy_(kept)
    scheduler.submit_scoring("v1", "a", to_score(2), later)
    eventually(lambda: later.finished == 2)


def test_scores_count_against_the_queue_and_in_the_metrics():
    limits = Limits(max_rows=2, max_queue=4)
    with running(usual_models(limits, SlowBatch), limits) as service:
        client = openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0)
        long = {"model": "v1", "prompt": "a", "max_tokens": 500, "stream": True}
        with client.completions.create(n=3, **long) as stream:  # one runs, two wait
            next(iter(stream))
            with pytest.raises(openai.RateLimitError) as caught:
                scored(client, "v1", ["a"] * 2)
            assert caught.value.code == "queue_full"
        eventually(lambda: service.service.scheduler.rows()["v1"] == (0, 0))
        scored(client, "v1", ["aaa", "aa"])
        text = service.request("GET", "/metrics", raw=True)[2].decode()
        assert 'escada_scored_tokens_total{model="v1"} 5.0' in text
