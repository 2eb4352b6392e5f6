"""Limits per request and per service."""

from __future__ import annotations

from dataclasses import dataclass

STOP_STRINGS = 4
"""As in OpenAI's API."""
STOP_CHARACTERS = 200
"""Of one stop string; text that may be its beginning is held back, so long ones delay a stream."""
LOGPROBS = 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a service.

    Attributes:
        max_prompt_tokens: of one prompt, BOS included.
        max_tokens: generated per sample.
        max_n: samples per request, over all its prompts.
        max_rows: samples a model generates at the same time.
        max_queue: waiting samples, over all models.
        max_body_bytes: of a request.
        body_seconds: time limit for receiving a request's body.
    """

    max_prompt_tokens: int = 2048
    max_tokens: int = 1024
    max_n: int = 16
    max_rows: int = 64
    max_queue: int = 256
    max_body_bytes: int = 256 * 1024
    body_seconds: float = 30.0
