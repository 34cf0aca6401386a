"""Serves the screens with uvicorn, until somebody stops it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import msgspec
import uvicorn

from backstream.apps.config import Config
from backstream.apps.web.access.guard import Guard
from backstream.apps.web.access.sessions import Secrets
from backstream.apps.web.access.settings import WebSettings, check_listening, hosts_of
from backstream.apps.web.access.slow_clients import ImpatientProtocol
from backstream.apps.web.application import Application
from backstream.errors import Failed

MOST_AT_ONCE = 200  # connections; more are told to come back
IDLE_SECONDS = 15


class Listening(msgspec.Struct, frozen=True):
    """The address to listen at.

    `port`: 0 for any free one; `names`: other names by which browsers reach it; `cert`, `key`: for TLS.
    """

    host: str = "127.0.0.1"
    port: int = 0
    names: tuple[str, ...] = ()
    cert: Path | None = None
    key: Path | None = None


def serve(config: Config, settings: WebSettings, where: Listening, tell: Callable[[str], None]) -> None:
    """Serves until SIGINT or SIGTERM. `tell`: called with the URL as soon as it answers there.

    Raises Refused if others could come in without identification; Failed if the port is taken.
    """
    tls = where.cert is not None
    check_listening(where.host, settings, tls=tls)
    with _bound(where) as listener:
        port = int(listener.getsockname()[1])
        settings = msgspec.structs.replace(settings, hosts=hosts_of(where.host, port, where.names), secure=settings.secure or tls)
        known = Secrets()
        application = Application(config, settings, known, f"backstream-{port}")
        try:
            tell(_url(where, port, known, settings))
            uvicorn.Server(uvicorn_config(application.asgi, where.cert, where.key)).run(sockets=[listener])
        finally:
            application.site.close()


def _bound(where: Listening) -> socket.socket:
    family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
    try:
        return socket.create_server((where.host.strip("[]"), where.port), family=family, backlog=128)
    except OSError as error:
        raise Failed(
            f"cannot listen at {where.host}, port {where.port}: {error.strerror or error}", hint="Give another --port."
        ) from error


def _url(where: Listening, port: int, known: Secrets, settings: WebSettings) -> str:
    scheme = "https" if where.cert is not None else "http"
    host = f"[{where.host}]" if ":" in where.host else where.host
    return f"{scheme}://{host}:{port}/" + ("" if settings.auth else f"?token={known.token}")


def uvicorn_config(asgi: Guard, cert: Path | None = None, key: Path | None = None) -> uvicorn.Config:
    """Returns uvicorn's configuration: nothing is logged, and nobody can make it wait for ever."""
    return uvicorn.Config(
        asgi,
        http=ImpatientProtocol,
        ws="none",
        lifespan="off",
        access_log=False,  # addresses hold keys
        log_level="critical",  # texts of errors may hold items
        server_header=False,
        proxy_headers=False,  # who asks is told by the connection
        limit_concurrency=MOST_AT_ONCE,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=3,
        ssl_certfile=cert,
        ssl_keyfile=key,
    )
