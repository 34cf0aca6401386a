"""The addresses of screens, below the path at which another application or a server has mounted this one."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any
from urllib.parse import quote

_ROOT: ContextVar[str] = ContextVar("root", default="")


def enter(scope: Mapping[str, Any]) -> dict[str, Any]:
    """Remembers the mount's path for the addresses of one request. Returns the request as it is below that path.

    Servers differ in whether `path` begins with `root_path` (https://asgi.readthedocs.io/en/latest/specs/www.html#http).
    """
    path, root = str(scope["path"]), str(scope.get("root_path", "")).strip("/")
    _ROOT.set(f"/{quote(root)}" if root else "")
    below = path.removeprefix(f"/{root}") if root else path
    if below and not below.startswith("/"):
        below = path  # another name that begins like the mount's
    return {**scope, "path": below or "/", "root_path": ""}


def root() -> str:
    """Returns the beginning of all addresses: empty, or the path of the mount."""
    return _ROOT.get()


def at(path: str) -> str:
    """Returns the address of a path of this application."""
    return root() + path
