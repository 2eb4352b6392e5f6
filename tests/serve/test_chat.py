"""A chat with models that know none: the official client, unchanged, against a real server."""

import jinja2
import openai
import pytest
from tests.serve.conftest import SlowBatch, running, usual_models

from escada.serve.limits import Limits
from escada.serve.routes.chat import Message, document_of

TALK = [
    {"role": "system", "content": "Um conto."},
    {
        "role": "user",
        "content": [{"type": "text", "text": "Era uma "}, {"type": "text", "text": "vez"}],
    },
    {"role": "assistant", "content": "um rei."},
    {"role": "user", "content": "Ele"},
]
DOCUMENT = "Um conto.\n\nEra uma vez\n\num rei.\n\nEle"
MODELS = pytest.mark.parametrize("model", ["v1", "v5"])


@pytest.fixture(scope="module")
def client(here):
    with openai.OpenAI(base_url=f"{here.url}/v1", api_key="none", max_retries=0) as one:
        yield one


@MODELS
def test_an_answer_is_the_completion_of_the_texts_joined_by_blank_lines(client, model):
    options = {"model": model, "max_tokens": 30, "seed": 3, "n": 2, "temperature": 0.8}
    answer = client.chat.completions.create(messages=TALK, extra_body={"top_k": 9}, **options)
    expected = client.completions.create(prompt=DOCUMENT, extra_body={"top_k": 9}, **options)
    assert [choice.message.content for choice in answer.choices] == [
        choice.text for choice in expected.choices
    ]
    assert [choice.finish_reason for choice in answer.choices] == [
        choice.finish_reason for choice in expected.choices
    ]
    assert {choice.message.role for choice in answer.choices} == {"assistant"}
    assert answer.object == "chat.completion"
    assert answer.usage == expected.usage
    assert answer.seed == 3


def test_the_template_that_the_models_state_is_the_one_that_is_used(client):
    messages = [Message.model_validate(message) for message in TALK]
    plain = [{"role": one.role, "content": one.text} for one in [*messages, Message(role="user")]]
    stated = client.models.retrieve("v1").chat_template
    assert jinja2.Template(stated).render(messages=plain) == document_of(messages) == DOCUMENT


@MODELS
def test_a_stream_is_the_whole_answer_in_pieces(client, model):
    wanted = {"model": model, "messages": TALK, "n": 2, "max_tokens": 30, "seed": 3}
    whole = client.chat.completions.create(**wanted)
    chunks = list(
        client.chat.completions.create(
            **wanted, stream=True, stream_options={"include_usage": True}
        )
    )
    texts, reasons = {}, {}
    for chunk in chunks[:-1]:
        assert chunk.object == "chat.completion.chunk"
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + choice.delta.content
            if choice.finish_reason:
                reasons[choice.index] = choice.finish_reason
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    for choice in whole.choices:
        assert texts[choice.index] == choice.message.content
        assert reasons[choice.index] == choice.finish_reason


def test_the_client_s_own_stream_helper_reads_it(client):
    wanted = {"model": "v1", "messages": TALK, "max_tokens": 200, "seed": 3, "stop": ["a", "e"]}
    with client.chat.completions.stream(**wanted) as stream:
        final = stream.get_final_completion()
    whole = client.chat.completions.create(**wanted)
    assert final.choices[0].message.role == "assistant"
    assert final.choices[0].message.content == whole.choices[0].message.content
    again = [*TALK, final.choices[0].message.model_dump(exclude={"parsed"})]
    assert client.chat.completions.create(model="v1", messages=again, max_tokens=1).choices


def test_a_stop_string_ends_an_answer(client):
    wanted = {"model": "v1", "messages": TALK, "max_tokens": 60, "seed": 3}
    text = client.chat.completions.create(**wanted).choices[0].message.content
    (choice,) = client.chat.completions.create(**wanted, stop=text[4:6]).choices
    assert choice.finish_reason == "stop"
    assert choice.message.content == text[: text.index(text[4:6])]


def test_without_a_number_an_answer_has_256_tokens_or_the_limit_if_lower(client):
    short = Limits(max_tokens=8)
    with running(usual_models(short), short) as service:
        limited = openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0)
        asked = {"model": "v1", "messages": TALK, "seed": 2}
        assert limited.chat.completions.create(**asked).usage.completion_tokens <= 8
        with pytest.raises(openai.BadRequestError, match="at most 8"):
            limited.chat.completions.create(**asked, max_completion_tokens=9)
    counts = [
        client.chat.completions.create(model="v1", messages=TALK, seed=seed).usage.completion_tokens
        for seed in range(4)
    ]
    assert 16 < max(counts) <= 256


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
         "messages"),
        ({"messages": [{"role": "user", "content": "a" * 3000}]}, "messages"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"logprobs": True}, "logprobs"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"max_tokens": 10**6}, "max_tokens"),
        ({"extra_body": {"temperatur": 1}}, "temperatur"),
    ],
)  # fmt: skip
def test_what_is_refused_names_its_field(client, change, param):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**{"model": "v1", "messages": TALK} | change)
    assert caught.value.param == param


def test_a_chat_counts_as_a_request_and_keeps_to_the_queue():
    limits = Limits(max_rows=2, max_queue=4)
    with running(usual_models(limits, SlowBatch), limits) as service:
        client = openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0)
        asked = {"model": "v1", "messages": TALK}
        with client.chat.completions.create(n=3, max_tokens=500, stream=True, **asked) as stream:
            next(iter(stream))
            assert service.service.active == 1
            with pytest.raises(openai.RateLimitError):
                client.chat.completions.create(n=2, **asked)
