"""What one user may ask for, so that there is something left for the others."""

from __future__ import annotations

from dataclasses import dataclass

STOP_STRINGS = 4
"""As in OpenAI's API."""
STOP_CHARACTERS = 200
"""Of one stop string: text that may be its beginning is held back, so long ones delay a stream."""
LOGPROBS = 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a service.

    Attributes:
        max_prompt_tokens: of one prompt, BOS included.
        max_tokens: that one sample may write.
        max_n: samples of one request, all its prompts together.
        max_rows: samples that a model writes at the same time.
        max_queue: samples that wait, of all models together.
        max_body_bytes: of a request.
        body_seconds: within which a request's body must be here.
    """

    max_prompt_tokens: int = 2048
    max_tokens: int = 1024
    max_n: int = 16
    max_rows: int = 64
    max_queue: int = 256
    max_body_bytes: int = 256 * 1024
    body_seconds: float = 30.0
