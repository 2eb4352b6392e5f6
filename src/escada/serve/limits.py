"""Limits per request, per client and per service."""

from __future__ import annotations

import ipaddress
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
        max_n: samples per request, over all its prompts; see also `samples_per_request`.
        max_rows: samples a model generates at the same time.
        max_queue: waiting samples, over all models.
        max_body_bytes: of a request.
        max_connections: over all clients.
        max_connections_per_client: for clients see `client_of`.
        head_seconds: time limit for a request line and its headers, from the connection's start.
        body_seconds: time limit for receiving a request's body.
        unread_seconds: a client that takes fewer than `MIN_READ_BYTES` of a waiting response in
            this time is disconnected.
    """

    max_prompt_tokens: int = 2048
    max_tokens: int = 1024
    max_n: int = 16
    max_rows: int = 64
    max_queue: int = 256
    max_body_bytes: int = 256 * 1024
    max_connections: int = 2048
    max_connections_per_client: int = 128
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    unread_seconds: float = 10.0

    @property
    def reserved_queue(self) -> int:
        """Part of the queue for single samples of clients that have none waiting."""
        return self.max_queue // 4

    @property
    def samples_per_request(self) -> int:
        """`max_n`, or what an empty queue takes from one client."""
        return max(1, min(self.max_n, self.max_queue - self.reserved_queue))


MIN_READ_BYTES = 4096


def client_of(address: str) -> str:
    """The client that an address is counted for: itself, or its network of 64 bits in IPv6.

    A user of IPv6 has at least such a network. An IPv4 address is the same in IPv6's form.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if not isinstance(ip, ipaddress.IPv6Address):
        return address
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return f"{ipaddress.IPv6Address(int(ip) >> 64 << 64)}/64"
