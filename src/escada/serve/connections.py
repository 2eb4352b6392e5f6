"""Limits on connections: how many, how long a request may take to arrive, a response to be read.

uvicorn closes a connection that stays silent after a response. The rest is here:

head      a request line and its headers must be complete within `head_seconds` of the
          connection's start, or within the keep-alive time of the last response; else 408
reading   a client that does not read what waits for it is disconnected after `unread_seconds`,
          which cancels its request
number    where a client, or the service, has as many connections as it may, the one that has been
          idle longest is closed. A client whose connections are all in use gets 429.

`Connections.sweep` is called once a second.
"""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from collections.abc import Iterable
from http import HTTPStatus

import h11
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from escada.errors import EscadaError
from escada.serve.errors import ApiError, too_many_connections
from escada.serve.limits import MIN_READ_BYTES, Limits, client_of
from escada.serve.middleware import RAW_HEADERS, discard_body, with_headers

BACKLOG = 256
"""Connections that the system accepts for us while the event loop is busy."""
OTHER_DESCRIPTORS = 128
"""For files, the event loop, and connections that are being closed."""
UNREAD_BYTES = 32 * 1024
"""Of a response, waiting in this process, from which on its client counts as not reading."""
SEND_BUFFER_BYTES = 32 * 1024
"""Of a response, waiting in the system; left to itself, Linux would take megabytes a client."""


class Connections(ServerState):
    """All connections of a server."""

    def __init__(self, limits: Limits, max_connections: int) -> None:
        super().__init__()
        self.limits, self._max_connections = limits, max_connections
        self._by_client: defaultdict[str, set[Connection]] = defaultdict(set)

    def admit(self, new: Connection) -> bool:
        """Count a new connection; False: its client has too many in use.

        Above twice the limit, or where the service has too many in use, it is dropped.
        """
        own = self._by_client[new.address]
        most = self.limits.max_connections_per_client
        admitted = len(own) < most or _drop_idle(own)
        full = len(self.connections) > self._max_connections and not _drop_idle(self._all())
        self._by_client[new.address].add(new)
        if full or len(own) > 2 * most:
            new.drop()
        return admitted

    def forget(self, connection: Connection) -> None:
        """Count a connection no more."""
        self.connections.discard(connection)
        own = self._by_client[connection.address]
        own.discard(connection)
        if not own:
            del self._by_client[connection.address]

    def sweep(self) -> None:
        """Disconnect every client that has taken too long."""
        now = asyncio.get_running_loop().time()
        for connection in self._all():
            connection.check(now)

    def drop_all(self) -> None:
        """Disconnect every client."""
        for connection in self._all():
            connection.drop()

    def _all(self) -> list[Connection]:
        return [connection for own in self._by_client.values() for connection in own]


def _drop_idle(connections: Iterable[Connection]) -> bool:
    """Drop the connection that has been idle longest; False if none is idle."""
    idle = [each for each in connections if each.idle]
    if idle:
        min(idle, key=lambda each: each.idle_since).drop()
    return bool(idle)


class Connection(H11Protocol):
    """uvicorn's connection, with limits.

    Attributes:
        address: of its client, as it is counted.
        idle_since: the event loop's time of its start or of its last response.
    """

    server_state: Connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start, or refuse to."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=UNREAD_BYTES)
        self._limits = self.server_state.limits
        self.address = client_of(self.client[0]) if self.client else ""
        self.idle_since = self.loop.time()
        self._head_deadline = self.idle_since + self._limits.head_seconds
        self._refused = False
        self._unread: tuple[float, int] | None = None  # since when, bytes
        if not self.server_state.admit(self):
            self._refused = True
            self.app = self._refuse  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self.server_state.forget(self)
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        """Called when the client has read most of what waited."""
        self._unread = None
        super().resume_writing()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self.idle_since = self.loop.time()
        self._head_deadline = self.idle_since + self.timeout_keep_alive
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP; the response has the form of all others."""
        self._respond(ApiError(400, msg))

    @property
    def idle(self) -> bool:
        """Whether it may be closed without loss: no request is in progress."""
        return not self._refused and self._between_requests

    @property
    def _between_requests(self) -> bool:
        return not self.cycle or self.cycle.response_complete  # None before the first

    def check(self, now: float) -> None:
        """Disconnect the client if it has taken too long, at the event loop's time `now`."""
        if self.flow.write_paused or self.transport.is_closing():
            unread = self.transport.get_write_buffer_size()
            if self._unread is None or self._unread[1] - unread >= MIN_READ_BYTES:
                self._unread = now, unread
            elif now - self._unread[0] >= self._limits.unread_seconds:
                self.drop()
            return
        if self._between_requests and now >= self._head_deadline:
            if self.conn.trailing_data[0]:
                self._respond(ApiError(408, "The headers did not arrive in time."))
            else:
                self.transport.close()

    def drop(self) -> None:
        """Close at once, whatever has not been sent."""
        self.server_state.forget(self)
        self.transport.abort()

    def _respond(self, error: ApiError) -> None:
        """Respond to what is not a whole request, and close."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # a response has begun
            self.drop()
            return
        response = error.response()
        headers = [*response.raw_headers, *RAW_HEADERS, CLOSE_HEADER]
        reason = HTTPStatus(error.status).phrase.encode()
        for event in (
            h11.Response(status_code=error.status, headers=headers, reason=reason),
            h11.Data(data=bytes(response.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application of a client that has too many connections."""
        await discard_body(receive, self._limits.max_body_bytes)
        await too_many_connections().response()(scope, receive, with_headers(send))


def raise_descriptors(max_connections: int) -> int:
    """Let the process open the files that so many connections need; how many it may have then.

    Raises:
        EscadaError: hardly any.
    """
    if sys.platform == "win32":
        return max_connections  # no such limit
    import resource

    needed = max_connections + BACKLOG + OTHER_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft != resource.RLIM_INFINITY:
        max_connections = min(max_connections, soft - BACKLOG - OTHER_DESCRIPTORS)
    if max_connections < 1:
        raise EscadaError(
            f"only {soft} files may be open at the same time",
            where="the system's limit",
            fix=f"raise it: ulimit -n {needed}",
        )
    return max_connections
