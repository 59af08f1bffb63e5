"""The HTTP server inside the service's own event loop."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette

from recorder.exceptions import ConfigurationError


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # signals belong to the service


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there, so that a port in use is told before anything else starts."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"cannot listen on {host}:{port}",
            why=error.strerror or str(error),
            fix='set http.listen to another address, or to "" to turn HTTP off',
        ) from error
    listener.listen()
    return listener


async def serve(app: Starlette, listener: socket.socket) -> None:
    """Answer requests on *listener* until cancelled; it stays open, so that this may be called again."""
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    server = _Server(config)
    try:
        await server.serve(sockets=[listener.dup()])
    finally:
        for each in getattr(server, "servers", ()):  # there are none before it has started
            each.close()
