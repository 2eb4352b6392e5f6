"""Prometheus metrics for `/metrics`, in their own registry."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

FIRST_TOKEN_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
NEXT_TOKEN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class Metrics:
    """Counts and times by model.

    Only names of served models become labels, so clients cannot create new series.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        by_model = ("model",)
        self.requests = Counter(
            "escada_requests", "Requests for completions, by the answer's status.",
            ("model", "status"), registry=registry,
        )  # fmt: skip
        self.prompt_tokens = Counter(
            "escada_prompt_tokens", "Tokens of prompts.", by_model, registry=registry
        )
        self.completion_tokens = Counter(
            "escada_completion_tokens", "Tokens that were written.", by_model, registry=registry
        )
        self.scored_tokens = Counter(
            "escada_scored_tokens", "Tokens that were scored.", by_model, registry=registry
        )
        self.rows = Gauge(
            "escada_rows", "Texts that are being written or scored.", by_model, registry=registry
        )
        self.queue = Gauge("escada_queue_rows", "Texts that wait.", by_model, registry=registry)
        self._first = Histogram(
            "escada_first_token_seconds", "From a request to the first token of each sample.",
            by_model, buckets=FIRST_TOKEN_SECONDS, registry=registry,
        )  # fmt: skip
        self._next = Histogram(
            "escada_next_token_seconds", "From each token of a sample to the next.",
            by_model, buckets=NEXT_TOKEN_SECONDS, registry=registry,
        )  # fmt: skip

    def first_token(self, model: str, seconds: float) -> None:
        """Record a sample's first token."""
        self._first.labels(model).observe(seconds)
        self.completion_tokens.labels(model).inc()

    def next_token(self, model: str, seconds: float) -> None:
        """Record a further token of a sample."""
        self._next.labels(model).observe(seconds)
        self.completion_tokens.labels(model).inc()

    def exposition(self, rows: Mapping[str, tuple[int, int]]) -> bytes:
        """The metrics in Prometheus's text format; `rows` has running and waiting rows by model."""
        for model, (decoding, waiting) in rows.items():
            self.rows.labels(model).set(decoding)
            self.queue.labels(model).set(waiting)
        return generate_latest(self.registry)
