"""What probably happened, when guardrails fail: several failures often have one cause.

A cause is named from the pattern of the verdicts, in a sentence with the figures that show it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from escada.guardrails.evidence import ENOUGH
from escada.guardrails.language import PORTUGUESE
from escada.guardrails.limits import TOO_LITTLE

MOJIBAKE_SHARE = 0.2
"""From this share of texts with signs of a wrong decoding on, mojibake is named."""


class Cause(TypedDict):
    """A likely cause.

    `cause` is `uniform`, `another_writer`, `one_sign`, `loop`, `copy`, `language`, `mojibake`,
    `undertrained`, `too_little` or the name of a guardrail that fails alone; `shown_by` are the
    guardrails that fail by it.
    """

    cause: str
    text: str
    shown_by: list[str]


def name_causes(found: Mapping[str, Any]) -> list[Cause]:
    """The causes of a result that has `guardrails`, `origin`, `controls` and `evidence`.

    That samples are not the model's is said only where several kinds of evidence agree.

    Every guardrail that fails stands in the `shown_by` of some cause.
    """
    records = {**found["guardrails"], "origin": found["origin"]}
    failed = [name for name, record in records.items() if record["verdict"] == "fail"]
    if not failed:
        return []
    causes: list[Cause] = []

    def name(cause: str, text: str, *shown_by: str) -> None:
        if of_it := [n for n in shown_by if n in failed]:
            causes.append({"cause": cause, "text": text, "shown_by": of_it})

    too_little = [name for name in failed if name in TOO_LITTLE]
    improbable = "self_likelihood" in failed or "origin" in failed
    stranger = improbable and len(found["evidence"]) >= ENOUGH
    if stranger and _nearer_to_noise(found):
        name(
            "uniform",
            "the samples look uniformly drawn, not drawn from this model: "
            + _likelihood_in_words(found)
            + ". A sampler writes so that ignores the logits, for instance one that masks every "
            "token and falls back to uniform",
            *("self_likelihood", "origin", "byte_fallback_ratio", "short_piece_ratio"),
            *("lexicon_share", "portuguese_words", "language", *too_little),
        )
    elif stranger:
        name(
            "another_writer",
            "the samples were not drawn from this model with these sampler settings: "
            + _likelihood_in_words(found)
            + ". They are another run's or checkpoint's, were drawn with other settings or by a "
            "sampler that does not always follow the logits, or were changed afterwards",
            *("self_likelihood", "origin"),
        )
    elif improbable and found["evidence"]:
        name(
            "one_sign",
            "the model finds the samples less probable than expected: "
            + _likelihood_in_words(found)
            + ". Nothing else speaks against them, so it cannot be said that the model did not "
            "write them: chance, other sampler settings or a model of few steps can do this",
            *("self_likelihood", "origin"),
        )
    if "repetition" in failed:
        worst = records["repetition"]["details"]
        name(
            "loop",
            f"a loop: {worst['repeated_share']:.0%} of sample {worst['sample']} is repetition",
            "repetition",
        )
    if "copied_training_text" in failed:
        longest = records["copied_training_text"]["details"]
        name(
            "copy",
            f"a copy of the training text: sample {longest['sample']} holds "
            f"{longest['characters']} characters of it, “{_shortened(longest['passage'])}”",
            "copied_training_text",
        )
    if records["self_likelihood"]["details"]["mojibake_share"] >= MOJIBAKE_SHARE:
        name(
            "mojibake",
            "mojibake: the text was decoded with the wrong table, as Ã§ for ç",
            *("self_likelihood", "origin", "byte_fallback_ratio", "lexicon_share"),
            *("portuguese_words", "language"),
        )
    languages = records["language"].get("details", {}).get("languages", {})
    strange = "language" in failed and _strange(languages)
    if (strange or "portuguese_words" in failed) and "lexicon_share" not in failed:
        name(
            "language",
            f"the wrong language: texts are identified as {_counts(languages)}",
            *("portuguese_words", "language", "short_piece_ratio", "byte_fallback_ratio"),
        )
    gibberish = (
        "byte_fallback_ratio",
        "short_piece_ratio",
        "lexicon_share",
        "portuguese_words",
        "language",
        "self_likelihood",
        *too_little,
    )
    own = found["controls"]["own"]
    if records["origin"]["verdict"] == "pass":
        name(
            "undertrained",
            "the model itself writes so: the samples were drawn from it, and it has learned too "
            "little to write like the text it was trained on",
            *(n for n in gibberish if not _explained(n, causes)),
        )
    elif not found["evidence"]:
        name(
            "undertrained",
            "the model writes the same now: it has learned too little to write like the text it "
            "was trained on",
            *(n for n in gibberish if not _explained(n, causes) and _fails(own, n)),
        )
    name(
        "too_little",
        "the language's words and turns of phrase are missing: less of them than in human text",
        *(n for n in too_little if not _explained(n, causes)),
    )
    for guardrail in failed:
        if not _explained(guardrail, causes):
            name(guardrail, records[guardrail]["cause"], guardrail)
    return causes


def _fails(control: Mapping[str, Any], guardrail: str) -> bool:
    return control.get(guardrail, {}).get("verdict") == "fail"


def _explained(guardrail: str, causes: list[Cause]) -> bool:
    return any(guardrail in cause["shown_by"] for cause in causes)


def _strange(languages: Mapping[str, int]) -> bool:
    """Whether another language than Portuguese is the most frequent."""
    return next(iter(languages), PORTUGUESE) != PORTUGUESE


def _nearer_to_noise(found: Mapping[str, Any]) -> bool:
    """Whether the model finds the samples as improbable as noise rather than as human text."""
    human, noise = (
        found["controls"][name]["self_likelihood"]["value"] for name in ("human", "noise")
    )
    return found["guardrails"]["self_likelihood"]["value"] > (human + noise) / 2


def _likelihood_in_words(found: Mapping[str, Any]) -> str:
    record = found["guardrails"]["self_likelihood"]
    controls = found["controls"]
    own, human, noise = (
        controls[name]["self_likelihood"]["value"] for name in ("own", "human", "noise")
    )
    stored = found.get("stored_bits_per_token")
    said = "" if stored is None else f" (the file says {stored:.2f})"
    return (
        f"the model charges {record['value']:.2f} bits per token for them{said}, {own:.2f} for "
        f"what it writes now, {human:.2f} for human text, {noise:.2f} for noise"
    )


def _shortened(text: str, characters: int = 80) -> str:
    text = " ".join(text.split())
    return text if len(text) <= characters else text[: characters - 1] + "…"


def _counts(languages: Mapping[str, int]) -> str:
    return ", ".join(f"{code} ({times})" for code, times in languages.items())
