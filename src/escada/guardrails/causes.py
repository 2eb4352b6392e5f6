"""Likely causes of failing guardrails, from the pattern of their verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from escada.guardrails.evidence import ENOUGH
from escada.guardrails.guardrail import TOO_LITTLE
from escada.guardrails.results import CauseFound, GuardrailsResult
from escada.text.filters.language import PORTUGUESE

MOJIBAKE_SHARE = 0.2
"""Share of texts with signs of a wrong decoding from which mojibake is reported."""
SHOWN_CHARACTERS = 80
"""Limit of a quoted passage."""


def name_causes(found: GuardrailsResult) -> list[CauseFound]:
    """The causes of the failures, from verdicts, controls and evidence.

    That the samples are not the model's is reported only where several kinds of evidence agree.
    """
    all_found = found.all_guardrails()
    failed = [name for name, one in all_found.items() if one.verdict == "fail"]
    if not failed:
        return []
    causes: list[CauseFound] = []

    def name(cause: str, text: str, *shown_by: str) -> None:
        if of_it := [n for n in shown_by if n in failed]:
            causes.append(CauseFound(cause=cause, text=text, shown_by=of_it))

    def unexplained(names: Sequence[str]) -> list[str]:
        return [n for n in names if not any(n in cause.shown_by for cause in causes)]

    too_little = [name for name in failed if name in TOO_LITTLE]
    improbable = "self_likelihood" in failed or "origin" in failed
    stranger = improbable and len(found.evidence) >= ENOUGH
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
    elif improbable and found.evidence:
        name(
            "one_sign",
            "the model finds the samples less probable than expected: "
            + _likelihood_in_words(found)
            + ". Nothing else speaks against them, so it cannot be said that the model did not "
            "write them: chance, other sampler settings or a model of few steps can do this",
            *("self_likelihood", "origin"),
        )
    if "repetition" in failed:
        worst = all_found["repetition"].details
        name(
            "loop",
            f"a loop: {worst['repeated_share']:.0%} of sample {worst['sample']} is repetition",
            "repetition",
        )
    if "copied_training_text" in failed:
        longest = all_found["copied_training_text"].details
        passage = " ".join(longest["passage"].split())
        if len(passage) > SHOWN_CHARACTERS:
            passage = passage[: SHOWN_CHARACTERS - 1] + "…"
        name(
            "copy",
            f"a copy of the training text: sample {longest['sample']} holds "
            f"{longest['characters']} characters of it, “{passage}”",
            "copied_training_text",
        )
    if all_found["self_likelihood"].details["mojibake_share"] >= MOJIBAKE_SHARE:
        name(
            "mojibake",
            "mojibake: the text was decoded with the wrong table, as Ã§ for ç",
            *("self_likelihood", "origin", "byte_fallback_ratio", "lexicon_share"),
            *("portuguese_words", "language"),
        )
    languages: Mapping[str, int] = all_found["language"].details.get("languages", {})
    strange = "language" in failed and next(iter(languages), PORTUGUESE) != PORTUGUESE
    if (strange or "portuguese_words" in failed) and "lexicon_share" not in failed:
        counts = ", ".join(f"{code} ({times})" for code, times in languages.items())
        name(
            "language",
            f"the wrong language: texts are identified as {counts}",
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
    own = found.controls["own"]
    if all_found["origin"].verdict == "pass":
        name(
            "undertrained",
            "the model itself writes so: the samples were drawn from it, and it has learned too "
            "little to write like the text it was trained on",
            *unexplained(gibberish),
        )
    elif not found.evidence:
        name(
            "undertrained",
            "the model writes the same now: it has learned too little to write like the text it "
            "was trained on",
            *(n for n in unexplained(gibberish) if n in own and own[n].verdict == "fail"),
        )
    name(
        "too_little",
        "the language's words and turns of phrase are missing: less of them than in human text",
        *unexplained(too_little),
    )
    for guardrail in unexplained(failed):
        name(guardrail, all_found[guardrail].cause or "", guardrail)
    return causes


def _likelihoods(found: GuardrailsResult) -> list[float | None]:
    """Bits per token of the samples and of the controls own, human and noise; None if all empty."""
    of_all = (found.guardrails, *(found.controls[name] for name in ("own", "human", "noise")))
    return [one["self_likelihood"].value for one in of_all]


def _nearer_to_noise(found: GuardrailsResult) -> bool:
    samples, _, human, noise = _likelihoods(found)
    if samples is None or human is None or noise is None:
        return False
    return samples > (human + noise) / 2


def _likelihood_in_words(found: GuardrailsResult) -> str:
    figures = ("–" if value is None else f"{value:.2f}" for value in _likelihoods(found))
    samples, own, human, noise = figures
    stored = found.stored_bits_per_token
    said = "" if stored is None else f" (the file says {stored:.2f})"
    return (
        f"the model charges {samples} bits per token for them{said}, {own} for what it writes now, "
        f"{human} for human text, {noise} for noise"
    )
