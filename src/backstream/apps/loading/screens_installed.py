"""Tells if the screens of `backstream web` can be served: they need the extra `web`."""

from __future__ import annotations

from importlib.util import find_spec

from backstream.errors import Failed

NEEDED = ("starlette", "uvicorn", "jinja2")


def check_installed() -> None:
    """Failed, with the command that installs them, where something is missing."""
    missing = [each for each in NEEDED if find_spec(each) is None]
    if missing:
        raise Failed(f"the screens are not installed: {', '.join(missing)} missing", hint="pip install 'backstream[web]'")
