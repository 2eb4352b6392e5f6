"""The official client, unchanged, against a real server."""

import math

import openai
import pytest
from tests.serve.conftest import (
    BYTES,
    LETTERS,
    SlowBatch,
    eventually,
    running,
    talkative,
    usual_models,
)

from escada.generation.decoding import generate
from escada.generation.samplers import SamplerSettings
from escada.serve.limits import Limits


@pytest.fixture(scope="module")
def client(here):
    with openai.OpenAI(base_url=f"{here.url}/v1", api_key="none", max_retries=0) as one:
        yield one


MODELS = pytest.mark.parametrize("model", ["v1", "v5"])


def test_models_are_listed_and_found(client):
    names = [model.id for model in client.models.list()]
    assert names == ["v1", "v5"]
    assert client.models.retrieve("v5").owned_by == "escada"


@MODELS
def test_a_completion_has_text_reason_and_usage(client, model):
    answer = client.completions.create(model=model, prompt="Era uma vez", max_tokens=12, seed=1)
    (choice,) = answer.choices
    assert choice.finish_reason in ("length", "stop")
    assert choice.index == 0
    assert choice.logprobs is None
    assert answer.model == model
    assert answer.object == "text_completion"
    assert answer.usage.prompt_tokens == 12  # BOS and eleven characters, or bytes
    assert answer.usage.completion_tokens <= 12
    assert answer.usage.total_tokens == 12 + answer.usage.completion_tokens
    if choice.finish_reason == "length":
        assert answer.usage.completion_tokens == 12


def test_the_text_is_that_of_escada_sample(client):
    settings = SamplerSettings(temperature=0.9, top_k=20, top_p=0.9, repetition_penalty=1.2)
    expected = generate(
        talkative("lstm", LETTERS), LETTERS, ["Era", "Era", "Não"], settings,
        max_tokens=20, n=2, seed=5, profile="reference",
    )  # fmt: skip
    answer = client.completions.create(
        model="v1", prompt=["Era", "Era", "Não"], n=2, max_tokens=20, seed=5,
        temperature=0.9, top_p=0.9, extra_body={"top_k": 20, "repetition_penalty": 1.2},
    )  # fmt: skip
    assert [choice.text for choice in answer.choices] == [sample.text for sample in expected]
    assert [choice.index for choice in answer.choices] == list(range(6))
    assert len({choice.text for choice in answer.choices}) == 6


@MODELS
def test_same_seed_same_text_and_another_seed_another(client, model):
    def text(seed):
        return client.completions.create(model=model, prompt="O", max_tokens=40, seed=seed)

    first, again, other = text(1), text(1), text(2)
    assert first.choices[0].text == again.choices[0].text != other.choices[0].text
    assert first.system_fingerprint == again.system_fingerprint
    drawn = [text(None) for _ in range(2)]
    assert drawn[0].choices[0].text != drawn[1].choices[0].text
    assert text(drawn[0].seed).choices[0].text == drawn[0].choices[0].text


@MODELS
def test_a_stream_is_the_whole_answer_in_pieces(client, model):
    wanted = {
        "model": model, "prompt": ["Não", "É"], "n": 2, "max_tokens": 30, "seed": 3, "logprobs": 2
    }  # fmt: skip
    whole = client.completions.create(**wanted)
    texts, tokens, reasons = {}, {}, {}
    chunks = list(
        client.completions.create(**wanted, stream=True, stream_options={"include_usage": True})
    )
    for chunk in chunks[:-1]:
        assert chunk.usage is None
        for choice in chunk.choices:
            assert choice.index not in reasons, "a piece after the last one"
            texts[choice.index] = texts.get(choice.index, "") + choice.text
            tokens.setdefault(choice.index, []).extend(choice.logprobs.tokens)
            if choice.finish_reason:
                reasons[choice.index] = choice.finish_reason
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    for choice in whole.choices:
        assert texts[choice.index] == choice.text
        assert tokens[choice.index] == choice.logprobs.tokens
        assert reasons[choice.index] == choice.finish_reason


def test_pieces_of_a_stream_never_hold_half_a_character(client):
    """The Transformer writes bytes: most are no text alone, and what is invalid is U+FFFD."""
    wanted = {"model": "v5", "prompt": "ção", "max_tokens": 200, "seed": 8, "temperature": 1.5}
    whole = client.completions.create(**wanted).choices[0].text
    pieces = [chunk.choices[0].text for chunk in client.completions.create(**wanted, stream=True)]
    assert "".join(pieces) == whole
    assert "" in pieces  # a byte that waits for the rest of its character


@MODELS
def test_logprobs_name_each_token_and_its_rivals(client, model):
    answer = client.completions.create(
        model=model, prompt="Era", max_tokens=25, seed=4, logprobs=3, temperature=1.3
    )
    choice = answer.choices[0]
    found = choice.logprobs
    count = answer.usage.completion_tokens
    assert len(found.tokens) == len(found.token_logprobs) == len(found.top_logprobs) == count
    assert len(found.text_offset) == count
    for token, value, names in zip(
        found.tokens, found.token_logprobs, found.top_logprobs, strict=True
    ):
        assert value < 0
        assert names[token] == value
        assert len(names) in (3, 4)  # three, and the one that was chosen
        values = list(names.values())
        assert values == sorted(values, reverse=True)
        assert sum(math.exp(v) for v in values) <= 1 + 1e-6
    for token, offset in zip(found.tokens, found.text_offset, strict=True):
        if not token.startswith(("bytes:", "<eos>")):
            assert choice.text[offset : offset + len(token)] == token


def test_logprobs_of_zero_name_the_chosen_token_only(client):
    answer = client.completions.create(model="v1", prompt="a", max_tokens=3, seed=1, logprobs=0)
    found = answer.choices[0].logprobs
    assert [list(names) for names in found.top_logprobs] == [[token] for token in found.tokens]


def test_logprobs_are_the_models_own_whatever_the_sampler(client):
    def first(**settings):
        answer = client.completions.create(
            model="v1", prompt="Era", max_tokens=1, logprobs=5, **settings
        )
        return answer.choices[0].logprobs.top_logprobs[0]

    plain, cold = first(temperature=0, seed=1), first(temperature=2, seed=1, top_p=0.1)
    shared = set(plain) & set(cold)
    assert len(shared) >= 5
    assert all(plain[token] == pytest.approx(cold[token]) for token in shared)


@pytest.mark.parametrize("stream", [False, True])
def test_text_ends_before_a_stop_string(client, stream):
    wanted = {"model": "v1", "prompt": "Era", "max_tokens": 60, "seed": 6}
    free = client.completions.create(**wanted).choices[0].text
    stop = free[20:23]
    assert "�" not in stop
    answer = client.completions.create(**wanted, stop=["#", stop], stream=stream)
    choices = [chunk.choices[0] for chunk in answer] if stream else answer.choices
    assert "".join(choice.text for choice in choices) == free[: free.index(stop)]
    assert choices[-1].finish_reason == "stop"
    alone = client.completions.create(**wanted, stop=stop)
    assert alone.choices[0].text == free[: free.index(stop)]


def test_temperature_zero_is_greedy(client):
    texts = {
        client.completions.create(
            model="v1", prompt="Era", temperature=0, max_tokens=20, seed=seed
        ).choices[0].text
        for seed in range(3)
    }  # fmt: skip
    assert len(texts) == 1


def test_ids_of_tokens_are_a_prompt_too(client):
    ids = LETTERS.encode("Era uma vez").tolist()
    wanted = {"model": "v1", "max_tokens": 15, "seed": 2}
    text = client.completions.create(prompt="Era uma vez", **wanted)
    for prompt in (ids, [ids], [LETTERS.bos_id, *ids]):
        answer = client.completions.create(prompt=prompt, **wanted)
        assert answer.choices[0].text == text.choices[0].text
        assert answer.usage == text.usage


def test_echo_begins_with_the_prompt_as_it_was_read(client):
    wanted = {"model": "v1", "prompt": "Era  uma\u200b vez ", "max_tokens": 5, "seed": 2}
    text = client.completions.create(**wanted).choices[0].text
    assert client.completions.create(**wanted, echo=True).choices[0].text == "Era uma vez" + text
    chunks = client.completions.create(**wanted, echo=True, stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks) == "Era uma vez" + text


def test_no_prompt_opens_a_document_and_a_long_one_exceeds_the_context(client):
    answer = client.completions.create(model="v5", prompt="", max_tokens=3, seed=1)
    assert answer.usage.prompt_tokens == 1
    long = "abc " * 30  # the Transformer's context is 16 tokens
    answer = client.completions.create(model="v5", prompt=long, max_tokens=40, seed=1)
    expected = generate(
        talkative("sinusoidal", BYTES), BYTES, [long],
        SamplerSettings(temperature=1.0, top_p=1.0), max_tokens=40, seed=1, profile="reference",
    )  # fmt: skip
    assert answer.choices[0].text == expected[0].text


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 10**6}, "max_tokens"),
        ({"temperature": 2.5}, "temperature"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"n": 0}, "n"),
        ({"n": 100}, "n"),
        ({"logprobs": 21}, "logprobs"),
        ({"best_of": 3}, "best_of"),
        ({"suffix": "fim"}, "suffix"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"frequency_penalty": 1}, "frequency_penalty"),
        ({"logit_bias": {"50": 1}}, "logit_bias"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": ""}, "stop"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [10**6]}, "prompt"),
        ({"prompt": ["a"] * 17}, "prompt"),
        ({"prompt": "a" * 5000}, "prompt"),
        ({"prompt": [["a"], [1]]}, "prompt"),
        ({"extra_body": {"top_k": -1}}, "top_k"),
        ({"extra_body": {"min_p": 1.5}}, "min_p"),
        ({"extra_body": {"repetition_penalty": 0}}, "repetition_penalty"),
        ({"extra_body": {"temperatur": 1}}, "temperatur"),
        ({"extra_body": {"seed": "7"}}, "seed"),
    ],
)
def test_what_is_refused_names_its_field(client, change, param):
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(**{"model": "v1", "prompt": "a"} | change)
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"
    assert len(caught.value.message) > 20


def test_values_that_mean_nothing_are_accepted(client):
    answer = client.completions.create(
        model="v1", prompt="a", max_tokens=1, n=2, best_of=2, suffix="", presence_penalty=0,
        frequency_penalty=0, logit_bias={}, user="somebody", extra_body={"min_p": 0},
    )  # fmt: skip
    assert len(answer.choices) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stop": ["a", "b", "c", "d", "e"]}, "at most 4 texts, each of 1 to 200 characters"),
        ({"stop": 7}, "at most 4 texts"),
        ({"stop": ["a" * 201]}, "1 to 200 characters"),
        ({"logprobs": 21}, "from 0 to 20"),
        ({"best_of": 0}, "must equal n"),
        ({"n": 100}, "at most 16"),
        ({"max_tokens": 0}, "set echo"),
        ({"max_tokens": 10**6}, "at most 1024"),
        ({"suffix": "fim"}, "not supported"),
        ({"extra_body": {"temperatur": 1}}, "did you mean 'temperature'"),
    ],
)
def test_what_is_refused_says_the_limit_or_what_to_write(client, change, words):
    with pytest.raises(openai.BadRequestError, match=words):
        client.completions.create(**{"model": "v1", "prompt": "a"} | change)


def test_zero_switches_filters_off(client):
    wanted = {"model": "v1", "prompt": "Era", "seed": 3, "max_tokens": 20}
    plain = client.completions.create(**wanted).choices[0].text
    off = client.completions.create(**wanted, extra_body={"top_k": 0, "min_p": 0})
    assert off.choices[0].text == plain


def test_an_unknown_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.completions.create(model="v9", prompt="a")
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError, match="v9"):
        client.models.retrieve("v9")


def test_an_unknown_path_is_not_found(client):
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="v1", input="Era")


@pytest.mark.parametrize("letters", [300_000, 3_000_000])
def test_a_body_too_large_has_its_status(client, letters):
    """And not a reset connection, though the client is still sending when the answer is decided."""
    for _ in range(10):
        with pytest.raises(openai.APIStatusError) as caught:
            client.completions.create(model="v1", prompt="a" * letters)
        assert caught.value.status_code == 413


def test_a_wrong_token_is_an_authentication_error():
    with running(tokens=["one", "segredo"]) as service:
        options = {"base_url": f"{service.url}/v1", "max_retries": 0}
        for wrong in ("none", "segred", "segredo2", "SEGREDO"):
            with pytest.raises(openai.AuthenticationError):
                openai.OpenAI(api_key=wrong, **options).models.list()
        right = openai.OpenAI(api_key="segredo", **options)
        assert right.completions.create(model="v1", prompt="a", max_tokens=1).choices


def test_a_full_queue_is_a_rate_limit_error_that_says_when_to_come_again():
    limits = Limits(max_rows=2, max_queue=4)
    with running(usual_models(limits, SlowBatch), limits) as service:
        client = openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0)
        with pytest.raises(openai.BadRequestError, match="at most 3 are allowed"):
            client.completions.create(model="v1", prompt="a", n=4)  # it never fits
        long = {"model": "v1", "prompt": "a", "max_tokens": 500, "stream": True}
        with client.completions.create(n=3, **long) as stream:  # one runs, two wait
            next(iter(stream))
            with pytest.raises(openai.RateLimitError) as caught:
                client.completions.create(model="v1", prompt="a", n=2)
            assert caught.value.code == "queue_full"
            assert 1 <= int(caught.value.response.headers["retry-after"]) <= 60
        eventually(lambda: service.service.scheduler.rows()["v1"] == (0, 0))
        assert client.completions.create(model="v1", prompt="a", n=2, max_tokens=2).choices
