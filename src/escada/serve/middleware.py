"""Checks before a request reaches its route (Host, token, body size), and response headers.

Host     on a loopback address, only names of this machine are accepted: another site could point
         its own name at 127.0.0.1 (DNS rebinding) and read the responses.
token    compared in constant time. The page itself is public: it asks for the token.
body     read completely before routing, up to a size limit and a time limit.
headers  on every response. The Content-Security-Policy allows only same-origin resources, and
         no CORS header is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import re
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from escada.serve.errors import ApiError
from escada.serve.limits import Limits, client_of

CLIENT = "escada.client"
"""Key in the request scope: the client that fair queueing counts the request for."""
HEADERS = {
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
RAW_HEADERS = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
PUBLIC = ("/", "/favicon.ico", "/health", "/ready")
STATIC = "/static"
DISCARDED_BODIES = 16
"""Of a body that is too large, at most this many times the limit are read and discarded."""
DISCARD_SECONDS = 1.0


class SecurityMiddleware:
    """ASGI middleware; see the module docstring.

    Args:
        tokens: any of them is accepted; none: no authentication.
        only_this_machine: accept only Host names of this machine, as on a loopback address.
        host: name given by the user; accepted as Host too.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        *,
        tokens: Sequence[str] = (),
        only_this_machine: bool = True,
        host: str = "127.0.0.1",
    ) -> None:
        self._app, self._limits = app, limits
        self._tokens = [token.encode("utf-8") for token in tokens]
        self._only_this_machine, self._host = only_this_machine, host.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # the server supports no other type
            raise AssertionError(f"a request of type {scope['type']}")
        send = with_headers(send)
        try:
            headers = {name.lower(): value for name, value in scope["headers"]}
            self._check_host(headers.get(b"host", b""))
            who = self._check_token(scope["path"], headers.get(b"authorization", b""))
            receive = await self._whole_body(headers, receive)
        except ApiError as error:
            await error.response()(scope, receive, send)
            return
        address = scope["client"][0] if scope.get("client") else ""
        scope[CLIENT] = f"{who} {client_of(address)}"
        await self._app(scope, receive, send)

    def _check_host(self, value: bytes) -> None:
        if not self._only_this_machine:
            return
        given = value.decode("latin-1")
        name = host_name(given)
        if not name or (name != self._host and not is_this_machine(name)):
            raise ApiError(
                421,
                f"This service answers only to names of its own machine, not to {given!r}.",
                code="unknown_host",
            )

    def _check_token(self, path: str, value: bytes) -> int:
        """The index of the matching token; 0 if none is needed."""
        if not self._tokens or path in PUBLIC or path.startswith(STATIC + "/"):
            return 0
        scheme, _, given = value.partition(b" ")
        given = given.strip()
        # Compare with every token, so that the time does not depend on which one matches.
        equal = [hmac.compare_digest(given, token) for token in self._tokens]
        if scheme.lower() != b"bearer" or not any(equal):
            raise ApiError(
                401,
                "A token is needed: send the header 'Authorization: Bearer TOKEN'.",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return equal.index(True)

    async def _whole_body(self, headers: dict[bytes, bytes], receive: Receive) -> Receive:
        """Read the body and return a `receive` that replays it, then reports disconnects."""
        limit = self._limits.max_body_bytes
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and len(length) < 20 and int(length) > limit:
            if int(length) <= DISCARDED_BODIES * limit:
                await discard_body(receive, int(length))
            raise _too_large(limit)
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        break
                    body += message.get("body", b"")
                    if len(body) > limit:
                        if message.get("more_body", False):
                            await discard_body(receive, DISCARDED_BODIES * limit)
                        raise _too_large(limit)
                    if not message.get("more_body", False):
                        break
        except TimeoutError as error:
            raise ApiError(
                408, "The body did not arrive in time.", headers={"Connection": "close"}
            ) from error
        waiting: list[Message] = [{"type": "http.request", "body": bytes(body)}]

        async def replay() -> Message:
            return waiting.pop() if waiting else await receive()

        return replay


async def discard_body(receive: Receive, most_bytes: int) -> None:
    """Read and drop what a client is still sending, up to a limit.

    Closing a connection with unread bytes resets it, and the client may lose the error response.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_SECONDS):
            while most_bytes > 0:
                message = await receive()
                most_bytes -= len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return


def _too_large(limit: int) -> ApiError:
    return ApiError(
        413,
        f"The body is too large; at most {limit} bytes are allowed.",
        code="body_too_large",
        headers={"Connection": "close"},
    )


def with_headers(send: Send) -> Send:
    """A `send` that adds `HEADERS` to the response."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *RAW_HEADERS]
        await send(message)

    return send_with_headers


_HOST = re.compile(r"(\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[^\[\]:@/]+))(:[0-9]+)?")


def host_name(header: str) -> str:
    """The name in a Host header, without port and brackets, in lower case; "" if malformed."""
    match = _HOST.fullmatch(header.strip().lower())
    return (match["v6"] or match["name"]) if match else ""


def is_this_machine(name: str) -> bool:
    """Whether a name always means this machine: `localhost` or a loopback address."""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
