"""The judge's questions, and the validation of its answers.

There are two kinds of question, from the Portuguese templates in `prompts.toml`: three marks from 0
to 5 for one continuation, and which of two continuations is better, asked in both orders. No
question names a rung.

A question's key is a hash of the full text sent, the answer's schema, the judge's model and the
settings, but not of the endpoint's address. Answers are looked up by it.

Samples are untrusted text. They are enclosed in tags that they cannot forge, since the characters
for it are replaced (see `defused`), and the judge is told to follow no instruction inside them.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Annotated, Literal

import jinja2
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from escada.errors import EscadaError
from escada.files import content_hash, parse_json
from escada.judge.panel import PROBE_MARKS, PROBE_PAIRS, Opening, Panel


def _whole(value: object) -> object:
    if type(value) is not int:  # in Python, true and 3.0 equal an int
        raise ValueError("not an integer")
    return value


Mark = Annotated[Literal[0, 1, 2, 3, 4, 5], BeforeValidator(_whole)]
Kind = Literal["rubric", "pair"]


class RubricAnswer(BaseModel):
    """Three marks; the remarks come first, so that they are not made up to fit."""

    model_config = ConfigDict(extra="forbid", strict=True)
    remarks: str = Field(alias="observacoes")
    relevance: Mark = Field(alias="relevancia")
    coherence: Mark = Field(alias="coerencia")
    style: Mark = Field(alias="estilo")


class PairAnswer(BaseModel):
    """Which continuation is better."""

    model_config = ConfigDict(extra="forbid", strict=True)
    remarks: str = Field(alias="observacoes")
    preference: Literal["A", "B", "empate"] = Field(alias="preferencia")


Answer = RubricAnswer | PairAnswer
ANSWERS: dict[Kind, type[Answer]] = {"rubric": RubricAnswer, "pair": PairAnswer}


@dataclass(frozen=True, slots=True)
class Judge:
    """Everything that decides an answer besides the question's text; part of every key."""

    model: str
    max_output_tokens: int = 400
    temperature: float = 0.0


@dataclass(frozen=True, slots=True)
class Question:
    """One question to the judge.

    Attributes:
        key: hash of everything that decides the answer.
        entrants: names of the authors of the texts, in the order shown; not sent.
        words: the full text sent, as one user message, because some chat templates drop system
            messages silently.
    """

    key: str
    kind: Kind
    opening: str
    entrants: tuple[str, ...]
    words: str


class _Prompts(BaseModel):
    model_config = ConfigDict(extra="forbid")
    version: int
    preamble: str
    rubric: str
    pair: str
    again: str


@cache
def _prompts() -> _Prompts:
    source = resources.files("escada.judge").joinpath("prompts.toml")
    return _Prompts.model_validate(tomllib.loads(source.read_text(encoding="utf-8")))


@cache
def _template(kind: Kind) -> jinja2.Template:
    # no escaping: this is not HTML, and `defused` has replaced the relevant characters
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    return environment.from_string(_prompts().rubric if kind == "rubric" else _prompts().pair)


def rubric_version() -> dict[str, int | str]:
    """Version and hash of the prompts."""
    return {"version": _prompts().version, "sha256": content_hash(_prompts().model_dump())}


def again_message() -> str:
    """Appended to a question after an invalid answer."""
    return _prompts().again.strip()


_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_TURN = re.compile(r"\[(/?[A-Z_]+)\]")


def defused(text: str) -> str:
    """Neutralise a sample's markup.

    Angle brackets become typographic ones, so no tag of ours can be closed and no special token of
    a chat template (`<|im_end|>`, `<end_of_turn>`, `</s>`) can be written, which some servers would
    interpret. `[INST]` and the like become `(INST)`, control characters U+FFFD.
    """
    text = text.replace("<", "‹").replace(">", "›")
    return _CONTROLS.sub("\ufffd", _TURN.sub(r"(\1)", text))


@cache
def answer_schema(kind: Kind) -> dict[str, object]:
    """The JSON schema of an answer, for endpoints that take one."""
    return ANSWERS[kind].model_json_schema(by_alias=True)


def question(judge: Judge, opening: Opening, texts: Mapping[str, str], *shown: str) -> Question:
    """Build a question: marks for one text, or which of two is better, in the order `shown`."""
    kind, places = ("rubric", ["text"]) if len(shown) == 1 else ("pair", ["first", "second"])
    filled = {place: defused(texts[name]) for place, name in zip(places, shown, strict=True)}
    words = _template(kind).render(opening=defused(opening.text), **filled).strip()
    words = f"{_prompts().preamble.strip()}\n\n{words}"
    key = content_hash(
        {
            "words": words,
            "again": again_message(),
            "schema": answer_schema(kind),
            "model": judge.model,
            "max_output_tokens": judge.max_output_tokens,
            "temperature": judge.temperature,
        }
    )
    return Question(key, kind, opening.id, shown, words)


def questions(panel: Panel, judge: Judge, seed: int = 0) -> list[Question]:
    """Every question of a review, in a seeded random order, so that stopping early is no bias."""
    found = {one.key: one for one in _all_questions(panel, judge)}
    return sorted(
        found.values(), key=lambda q: hashlib.sha256(f"{seed}\n{q.key}".encode()).digest()
    )


def _all_questions(panel: Panel, judge: Judge) -> Iterator[Question]:
    for opening in panel.openings:
        texts = panel.texts(opening.id)
        for shown in [*((name,) for name in texts), *itertools.permutations(texts, 2)]:
            yield question(judge, opening, texts, *shown)
    for probe in panel.probes:
        for name in PROBE_MARKS:
            yield question(judge, probe.opening, probe.texts, name)
        for better, worse in PROBE_PAIRS.values():
            yield question(judge, probe.opening, probe.texts, better, worse)
            yield question(judge, probe.opening, probe.texts, worse, better)


END_OF_THINKING = re.compile(
    r"</(?:think|thinking|thought|reasoning)>"  # DeepSeek-R1, Qwen3 and others
    r"|◁/think▷"  # Kimi
    r"|\[/THINK\]"  # Magistral
    r"|<\|channel\|>final(?:\s*<\|constrain\|>\s*json)?\s*<\|message\|>"  # gpt-oss
)
"""Closing marks of a model's thinking. The opening mark is often part of the chat template and
missing from the reply."""
_END_OF_MESSAGE = re.compile(r"(?:<\|(?:return|end|im_end|eot_id)\|>|</s>)\s*$")
_FENCED = re.compile(r"```(?:json)?[ \t]*\n(.*?)\n?[ \t]*```", flags=re.DOTALL | re.IGNORECASE)


def read_answer(kind: Kind, text: str) -> Answer:
    """Validate a judge's reply.

    The reply must be the JSON object, alone or in one code fence, optionally after the thinking
    that some models write first. No other text is allowed, and nothing is repaired or guessed.

    Raises:
        ValueError: the reply is invalid; the message says why.
    """
    value = _json_value(text)
    try:
        return ANSWERS[kind].model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"another form: {where or 'answer'}: {first['msg']}") from error


def _json_value(reply: str) -> object:
    """Parse the reply as JSON, or else what follows the first closing mark where that works."""
    starts = [0, *(mark.end() for mark in END_OF_THINKING.finditer(reply))]
    for start in starts:
        rest = _END_OF_MESSAGE.sub("", reply[start:]).strip()
        if fenced := _FENCED.fullmatch(rest):
            rest = fenced[1]
        try:
            return parse_json(rest, "the judge's reply")
        except EscadaError:
            continue
    raise ValueError("not a JSON object")
