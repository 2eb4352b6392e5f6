"""The server: bind an address, serve until a signal, shut down.

SIGTERM or SIGINT: new requests get 503, running ones have a grace period to finish, the rest fail,
and the exit code is 0. A second signal stops at once.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType

import uvicorn

from escada.errors import EscadaError
from escada.serve.app import create_app
from escada.serve.connections import (
    BACKLOG,
    SEND_BUFFER_BYTES,
    Connection,
    Connections,
    raise_descriptors,
)
from escada.serve.middleware import is_this_machine
from escada.serve.service import Service

KEEP_ALIVE_SECONDS = 30
LAST_SECONDS = 3
"""For the last bytes of responses that failed at the end of the grace period."""


@dataclass(frozen=True, slots=True)
class Address:
    """A bound address, not listening yet.

    Attributes:
        host: as the user named it.
        only_this_machine: whether it is a loopback address.
    """

    socket: socket.socket
    host: str
    only_this_machine: bool

    @property
    def url(self) -> str:
        """For a browser."""
        host, port = self.socket.getsockname()[:2]
        return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def bind(host: str, port: int, *, tokens: Sequence[str]) -> Address:
    """Bind an address before any model is loaded, so that a mistake shows at once.

    Raises:
        EscadaError: the address is in use, forbidden or unknown, or reachable by others without a
            token being set.
    """
    where = f"{host}:{port}"
    if "" in (token.strip() for token in tokens):
        raise EscadaError("the token is empty", where="--token", fix="give a long random text")
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as error:
        raise EscadaError("unknown host", where=where, fix="give a name or an address") from error
    only_this_machine = is_this_machine(str(address[0]))
    if not only_this_machine and not tokens:
        raise EscadaError(
            "others can reach this address, so a token is required",
            where=where,
            fix="set ESCADA_TOKEN (or --token), or use --host 127.0.0.1",
        )
    bound = socket.socket(family, socket.SOCK_STREAM)
    if sys.platform != "win32":  # on Windows it would let other processes take the address
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise _bind_error(error, where) from error
    return Address(bound, host, only_this_machine)


def _bind_error(error: OSError, where: str) -> EscadaError:
    if error.errno == errno.EADDRINUSE:
        return EscadaError("the port is in use", where=where, fix="choose another --port")
    if error.errno in (errno.EACCES, errno.EPERM):
        return EscadaError("no permission for this port", where=where, fix="use one above 1023")
    if error.errno == errno.EADDRNOTAVAIL:
        return EscadaError("not an address of this machine", where=where, fix="check --host")
    return EscadaError(
        f"cannot listen: {error.strerror}", where=where, fix="check --host and --port"
    )


class Server(uvicorn.Server):
    """uvicorn with a graceful shutdown of our own.

    Args:
        tokens: any of them is accepted.
        grace_seconds: for running requests after the first signal.
        ready: called once requests are accepted.
    """

    def __init__(
        self,
        service: Service,
        address: Address,
        *,
        tokens: Sequence[str] = (),
        grace_seconds: float = 20.0,
        ready: Callable[[], None],
    ) -> None:
        app = create_app(
            service, tokens=tokens, only_this_machine=address.only_this_machine, host=address.host
        )
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http=Connection,
            ws="none",
            lifespan="on",
            log_level="error",  # whatever clients do, they fill no log
            access_log=False,
            proxy_headers=False,  # clients can forge them
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=2 * LAST_SECONDS,
        )
        super().__init__(config)
        self.max_connections = raise_descriptors(service.limits.max_connections)
        self.server_state = self._connections = Connections(service.limits, self.max_connections)
        self.address = address
        self._service, self._grace_seconds, self._ready = service, grace_seconds, ready
        self._deadline: float | None = None

    @property
    def broken(self) -> bool:
        """Whether a bug stopped the scheduler."""
        return self._service.scheduler.broken

    def stop_scheduler(self) -> None:
        """Stop the scheduler: after a second signal uvicorn skips the application's shutdown."""
        self._service.scheduler.stop()
        self._service.scheduler.join()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """First signal: shut down gracefully; second signal: stop at once."""
        del sig, frame
        if self._deadline is not None:
            self.should_exit = self.force_exit = True
        self._service.stopping = True
        self._deadline = time.monotonic() + self._grace_seconds

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second; True means exit."""
        if counter % 10 == 0:
            self._connections.sweep()
        if self.broken:
            return True
        if self._deadline is not None:
            if time.monotonic() > self._deadline:
                self._service.scheduler.stop()  # which fails the requests still waiting
                return True
            if not self._service.active:
                return True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close all connections, those whose clients do not read after `LAST_SECONDS`."""
        asyncio.get_running_loop().call_later(LAST_SECONDS, self._connections.drop_all)
        await super().shutdown(sockets)


def run(server: Server) -> None:
    """Serve until a signal asks to stop.

    Raises:
        EscadaError: another process started listening there meanwhile.
        RuntimeError: the scheduler broke.
    """
    address = server.address
    with address.socket:
        address.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        try:
            address.socket.listen(BACKLOG)
        except OSError as error:
            raise _bind_error(error, address.url) from error
        server.run([address.socket])
    server.stop_scheduler()
    if server.broken:
        raise RuntimeError("the scheduler's thread ended by the error above")
