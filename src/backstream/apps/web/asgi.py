"""The application for any ASGI server, by the environment: `uvicorn --factory backstream.apps.web.asgi:create`."""

from __future__ import annotations

import os

from backstream.apps.config import Config
from backstream.apps.web.access.guard import App
from backstream.apps.web.access.sessions import Secrets
from backstream.apps.web.access.settings import WebSettings
from backstream.apps.web.application import Application
from backstream.errors import Refused, UsageError

LEAST = 32  # bytes of a secret
COOKIE = "backstream"


def create() -> App:
    """Returns the application, read-only.

    Raises Refused without a way to identify visitors; UsageError if the environment is invalid.
    """
    settings = WebSettings(
        private=os.environ.get("BACKSTREAM_WEB_PRIVATE") == "1",
        hidden=frozenset(_words("HIDE")),
        masked=frozenset(_words("MASK")),
        hosts=frozenset(each.lower() for each in _words("HOSTS")),
        auth=os.environ.get("BACKSTREAM_WEB_AUTH", ""),
        proxies=tuple(_words("PROXIES")),
        secure=True,
    )
    if not settings.auth:
        raise Refused("anybody could read all items", hint="Set BACKSTREAM_WEB_AUTH: header:NAME or basic:FILE. See docs/web.md.")
    if not settings.hosts:
        raise UsageError("the names by which browsers reach it are not given", hint="Set BACKSTREAM_WEB_HOSTS, with commas.")
    secret = os.environ.get("BACKSTREAM_WEB_SECRET", "").encode()
    if secret and len(secret) < LEAST:
        raise UsageError(f"BACKSTREAM_WEB_SECRET has fewer than {LEAST} bytes")
    return Application(Config(), settings, Secrets(secret or None), COOKIE).asgi


def _words(name: str) -> list[str]:
    return [each.strip() for each in os.environ.get(f"BACKSTREAM_WEB_{name}", "").split(",") if each.strip()]
